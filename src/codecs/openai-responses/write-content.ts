/** Parts of a message as content parts, with what could not be carried in the report. */
import type { CacheMarker } from "../../../gen/dragoman/v1/call_pb.ts";
import type { Media, Part } from "../../../gen/dragoman/v1/generate_pb.ts";
import { writeExtras } from "../../core/extras.ts";
import { mergeExtras, type Writable, type WritableObject } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { writeLogprobs } from "../../core/openai-logprobs.ts";
import { details, wordFor } from "../../core/openai-words.ts";
import type { TranslationReport } from "../../core/translation.ts";
import { codePoints, writeAnnotation } from "./annotations.ts";
import { cacheTtls, format } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

/** A part with its place in the core request. */
export interface Placed {
  readonly part: Part;
  readonly path: string;
}

export const mediaCases: ReadonlySet<string | undefined> = new Set(["image", "audio", "file", "video"]);

/** Content of a user, of instructions, or of a tool's result. Undefined for what has no form here; the report says so. */
export function writeInputPart({ part, path }: Placed, context: WriteContext): Writable | undefined {
  const { report } = context;
  const { case: kind, value } = part.part;
  let written: WritableObject | undefined;
  switch (kind) {
    case "text":
      written = { type: "input_text", text: value };
      if (part.annotations.length > 0) report.dropped(`${path}.annotations`, "the target takes citations in its own answers only");
      break;
    case "refusal":
      report.emulated(path, "as text: only the model refuses");
      written = { type: "input_text", text: value };
      break;
    case "image":
      written = writeImage(value, path, context);
      break;
    case "file":
      written = writeFile(value, path, context);
      break;
    case "audio":
      report.refused(`${path}.audio`, "the target takes no audio");
      break;
    case "opaque":
      if (value.format === format) return rawJsonObject(value.dataJson, path);
      report.dropped(path, `a block of ${value.format || "another format"}`);
      break;
    default:
      if (kind === "video") report.refused(path, "the target takes no video");
      else report.dropped(path, `${kind ?? "an empty part"} has no place in this message`);
  }
  if (written === undefined) return undefined;
  if (context.marked.has(part)) writeCacheMarker(written, part.cache, `${path}.cache`, report);
  writeExtras(written, part.extrasJson, format, path, report);
  return written;
}

/** Content of an earlier answer: text with its citations, or a refusal. `extras` are the part's own unknown fields. */
export function writeOutputPart({ part, path }: Placed, extras: string | undefined, { report }: WriteContext): Writable {
  if (part.part.case === "opaque") return rawJsonObject(part.part.value.dataJson, path);
  let written: WritableObject;
  if (part.part.case === "refusal") written = { type: "refusal", refusal: part.part.value };
  else {
    const text = part.part.case === "text" ? part.part.value : "";
    const annotations: Writable[] = [];
    part.annotations.forEach((annotation, index) => {
      const citation = writeAnnotation(annotation, codePoints(text));
      if (citation === undefined) report.dropped(`${path}.annotations[${index}]`, "a citation of this kind has no equal");
      else annotations.push(citation);
    });
    written = { type: "output_text", text, annotations };
    if (part.logprobs.length > 0) written.logprobs = writeLogprobs(part.logprobs);
  }
  mergeExtras(written, extras);
  return written;
}

function writeImage(media: Media, path: string, { target, report }: WriteContext): WritableObject | undefined {
  const { source } = media;
  const written: WritableObject = { type: "input_image" };
  if (source.case === "data") written.image_url = dataUrl(source.value, imageType(media, source.value, path, report));
  else if (source.case === "url") {
    if (!/^https?:/i.test(source.value)) report.refused(`${path}.image.url`, "must be an http or https address: the target reads no other");
    written.image_url = source.value;
  } else {
    const id = storedId(media, `${path}.image`, target.provider, report);
    if (id === undefined) return undefined;
    written.file_id = id;
  }
  const detail = wordFor(details, media.detail);
  if (detail !== undefined) written.detail = detail;
  else if (media.detail !== 0) {
    written.detail = "auto";
    report.coerced(`${path}.image.detail`, "auto: the target has no detail in between");
  }
  return written;
}

/** The type that the bytes show wins over the one that was named: services refuse a wrong one. */
function imageType({ mimeType }: Media, bytes: Uint8Array, path: string, report: TranslationReport): string {
  const sniffed = sniffMediaType(bytes);
  if (sniffed === undefined || sniffed === mimeType || !sniffed.startsWith("image/")) return mimeType;
  if (mimeType !== "" && mimeType !== "image/jpg") report.coerced(`${path}.image.mime_type`, `${sniffed}, as the image itself says`);
  return sniffed;
}

const defaultFilename = "document";

function writeFile(media: Media, path: string, { target, report }: WriteContext): WritableObject | undefined {
  const { source } = media;
  if (media.document !== undefined) report.dropped(`${path}.file.document`, "the target has no treatment of documents");
  const written: WritableObject = { type: "input_file" };
  if (media.filename !== "") written.filename = media.filename;
  if (source.case === "url") written.file_url = source.value;
  else if (source.case === "data") {
    const type = media.mimeType || sniffMediaType(source.value) || "application/octet-stream";
    if (media.filename === "") {
      written.filename = type === "application/pdf" ? `${defaultFilename}.pdf` : defaultFilename;
      report.defaulted(`${path}.file.filename`, "a name: the target wants one beside data");
    }
    written.file_data = dataUrl(source.value, type);
  } else {
    const id = storedId(media, `${path}.file`, target.provider, report);
    if (id === undefined) return undefined;
    written.file_id = id;
  }
  return written;
}

/** Undefined, and refused, for a file that is stored elsewhere. */
function storedId({ source }: Media, path: string, target: string, report: TranslationReport): string | undefined {
  if (source.case !== "providerFile") {
    report.refused(path, "has no content");
    return undefined;
  }
  const { id, provider } = source.value;
  if (provider === "" || provider === target) return id;
  report.refused(`${path}.provider_file`, `the file is stored at ${provider}, the call goes to ${target}`);
  return undefined;
}

/** Lifetimes that the target does not offer go to the next longer one, else to the longest. */
export function writeCacheMarker(target: WritableObject, marker: CacheMarker | undefined, path: string, report: TranslationReport): void {
  if (marker === undefined) return;
  const written: WritableObject = { mode: "explicit" };
  if (marker.ttlSeconds !== undefined) written.ttl = ttlWord(marker.ttlSeconds, `${path}.ttl_seconds`, report);
  target.prompt_cache_breakpoint = written;
}

export function ttlWord(seconds: number, path: string, report: TranslationReport): string {
  const offered = Object.entries(cacheTtls).sort(([, left], [, right]) => left - right);
  const [word, ttl] = offered.find(([, ttl]) => ttl >= seconds) ?? (offered.at(-1) as [string, number]);
  if (ttl !== seconds) report.coerced(path, `${ttl} seconds, the nearest that the target offers`);
  return word;
}

function dataUrl(bytes: Uint8Array, mimeType: string): string {
  return `data:${mimeType || sniffMediaType(bytes) || "application/octet-stream"};base64,${toBase64(bytes)}`;
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}
