/** Citations of a content part; offsets are Unicode code points of that part's text. */
import { create } from "@bufbuild/protobuf";
import { type Annotation, AnnotationSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { isJsonObject, type JsonValue, mergeExtras, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { tokenCount } from "../../core/usage.ts";
import { format } from "./wire.ts";

/** Length in Unicode code points. */
export function codePoints(text: string): number {
  let count = text.length;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code >= 0xd800 && code <= 0xdbff) count--;
  }
  return count;
}

/** Undefined where the value is no citation. */
export function readAnnotation(value: JsonValue | undefined): Annotation | undefined {
  if (!isJsonObject(value)) return undefined;
  const { type, url, title, file_id, filename, container_id, start_index, end_index, ...rest } = value;
  const annotation = create(AnnotationSchema);
  if (type === "url_citation") annotation.source = { case: "url", value: urlSource(text(url), text(title)) };
  else if (type === "file_citation" || type === "container_file_citation") {
    annotation.source = { case: "file", value: fileSource(text(file_id), text(filename), text(container_id)) };
  } else {
    const dataJson = writeJson(value as Writable);
    annotation.source = { case: "opaque", value: { $typeName: "dragoman.v1.OpaquePart", format, type: text(type), dataJson } };
    return annotation;
  }
  const start = tokenCount(start_index);
  const end = tokenCount(end_index);
  if (start !== undefined) annotation.startIndex = start;
  if (end !== undefined) annotation.endIndex = end;
  if (Object.keys(rest).length > 0) annotation.extrasJson[format] = writeJson(rest as Writable);
  return annotation;
}

function urlSource(url: string, title: string) {
  return { $typeName: "dragoman.v1.UrlSource", url, title, encryptedIndex: "" } as const;
}

function fileSource(fileId: string, filename: string, containerId: string) {
  return { $typeName: "dragoman.v1.FileSource", fileId, filename, containerId } as const;
}

function text(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

/** Undefined where the source has no form here. `length`: code points of the part, for citations of all of it. */
export function writeAnnotation(annotation: Annotation, length: number): WritableObject | undefined {
  const { source } = annotation;
  const written: WritableObject = {};
  const place = { start_index: annotation.startIndex ?? 0, end_index: annotation.endIndex ?? length };
  if (source.case === "url") Object.assign(written, { type: "url_citation", ...place, url: source.value.url, title: source.value.title });
  else if (source.case === "file") {
    const { fileId, filename, containerId } = source.value;
    if (containerId === "") Object.assign(written, { type: "file_citation", file_id: fileId, filename });
    else Object.assign(written, { type: "container_file_citation", container_id: containerId, file_id: fileId, filename, ...place });
  } else if (source.case === "opaque" && source.value.format === format) {
    mergeExtras(written, source.value.dataJson);
    return written;
  } else return undefined;
  mergeExtras(written, annotation.extrasJson[format]);
  // The place in the list of files is required of a citation without a stretch.
  if (written.type === "file_citation") written.index ??= 0;
  return written;
}
