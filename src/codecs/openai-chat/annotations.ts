/** Citations of Chat Completions: `url_citation` entries, offsets in the whole message's text. */
import { create } from "@bufbuild/protobuf";
import { type Annotation, AnnotationSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  mergeExtras,
  type Writable,
  type WritableObject,
  writeJson,
} from "../../core/json.ts";
import { tokenCount } from "../../core/usage.ts";
import { format } from "./wire.ts";

/** From this length on one search costs less than looking at each unit; most texts hold none of these. */
const longText = 32;
const highSurrogate = /[\ud800-\udbff]/;

/** Length in Unicode code points, which is what offsets count. */
export function codePoints(text: string): number {
  if (text.length >= longText && !highSurrogate.test(text)) return text.length;
  let count = text.length;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0xd800 && code <= 0xdbff) count--;
  }
  return count;
}

/** `base`: code points of the message's text before the block that is cited. Undefined where the value is no citation. */
export function readAnnotation(value: JsonValue, base: number): Annotation | undefined {
  if (!isJsonObject(value)) return undefined;
  const { type, url_citation: citation, ...rest } = value;
  if (type !== "url_citation" || !isJsonObject(citation)) {
    const source = {
      $typeName: "dragoman.v1.OpaquePart",
      format,
      type: typeof type === "string" ? type : "",
      dataJson: writeJson(value as Writable),
    } as const;
    return create(AnnotationSchema, { source: { case: "opaque", value: source } });
  }
  const { url, title, start_index, end_index, ...unknown } = citation;
  const annotation = create(AnnotationSchema, {
    source: { case: "url", value: { url: typeof url === "string" ? url : "", title: typeof title === "string" ? title : "" } },
  });
  const start = tokenCount(start_index);
  const end = tokenCount(end_index);
  if (start !== undefined) annotation.startIndex = Math.max(0, start - base);
  if (end !== undefined) annotation.endIndex = Math.max(0, end - base);
  const extras: JsonObject = { ...rest };
  if (Object.keys(unknown).length > 0) extras.url_citation = unknown;
  if (Object.keys(extras).length > 0) annotation.extrasJson[format] = writeJson(extras as Writable);
  return annotation;
}

/** Undefined where the source has no form here. `length`: code points of the block, for citations of all of it. */
export function writeAnnotation(annotation: Annotation, base: number, length: number): Writable | undefined {
  const { source } = annotation;
  if (source.case === "opaque") return source.value.format === format ? rawObject(source.value.dataJson) : undefined;
  if (source.case !== "url") return undefined;
  const citation: WritableObject = {
    end_index: base + (annotation.endIndex ?? length),
    start_index: base + (annotation.startIndex ?? 0),
    title: source.value.title,
    url: source.value.url,
  };
  const written: WritableObject = { type: "url_citation", url_citation: citation };
  mergeExtras(written, annotation.extrasJson[format]);
  return written;
}

function rawObject(text: string): WritableObject {
  const written: WritableObject = {};
  mergeExtras(written, text);
  return written;
}
