/** Parts of a message as Chat content, with what could not be carried in the report. */
import type { CacheMarker } from "../../../gen/dragoman/v1/call_pb.ts";
import type { Media, Part } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { MediaKind } from "../../core/dialect.ts";
import { writeExtras } from "../../core/extras.ts";
import type { Writable, WritableObject } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { audioTypes, details, wordFor } from "../../core/openai-words.ts";
import type { Target } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { OpenAiChatQuirks } from "./quirks.ts";
import { type CacheField, cacheTtls, format } from "./wire.ts";
import { dataUrl, toBase64 } from "./write-media.ts";

/** What every piece of a request's writer needs. */
export interface WriteContext {
  readonly quirks: OpenAiChatQuirks;
  readonly target: Target;
  readonly report: TranslationReport;
}

/** More words of audio media types that mean the two formats there are. */
const audioWords: Readonly<Record<string, string>> = {
  "audio/x-wav": "wav",
  "audio/wave": "wav",
  "audio/vnd.wave": "wav",
  "audio/mp3": "mp3",
};

/**
 * One content part; undefined where it has no form here, which is reported. `path` is the part's in the core request.
 * Parts with a place of their own (calls, results, reasoning) are not content and must not come here.
 */
export function writePart(part: Part, path: string, context: WriteContext): Writable | undefined {
  const { case: kind, value } = part.part;
  const { report } = context;
  let written: WritableObject | undefined;
  switch (kind) {
    case "text":
      written = { type: "text", text: value };
      break;
    case "refusal":
      written = { type: "refusal", refusal: value };
      break;
    case "image":
      written = writeImage(value, path, context);
      break;
    case "audio":
      written = writeAudio(value, path, context);
      break;
    case "file":
      written = writeFile(value, path, context);
      break;
    case "video":
      report.refused(`${path}.video`, "the target takes no video");
      break;
    case "opaque":
      if (value.format === format) return rawJsonObject(value.dataJson, `${path}.opaque.data_json`);
      report.dropped(`${path}.opaque`, `a block of ${value.format} has no equal`);
      break;
    default:
      report.dropped(path, `${kind ?? "an empty part"} has no place in this message`);
  }
  if (written === undefined) return undefined;
  writeCacheMarker(written, part.cache, `${path}.cache`, context);
  writeExtras(written, part.extrasJson, format, path, report);
  return written;
}

function writeImage(media: Media, path: string, { quirks, target, report }: WriteContext): WritableObject | undefined {
  const { source } = media;
  let url: string;
  if (source.case === "data") url = dataUrl(source.value, imageType(media, source.value, path, report));
  else if (source.case === "url") {
    url = source.value;
    if (!/^https?:/i.test(url)) report.refused(`${path}.image.url`, "must be an http or https address: the target reads no other");
    else if ((target.traits.imageUrls ?? quirks.imageUrls) === false) {
      report.refused(`${path}.image.url`, "the target takes images as data only");
    }
  } else {
    report.refused(`${path}.image.provider_file`, "the target takes images by data or address, not by file id");
    return undefined;
  }
  const image: WritableObject = { url };
  const detail = wordFor(details, media.detail);
  if (detail !== undefined) image.detail = detail;
  else if (media.detail !== 0) {
    image.detail = "auto";
    report.coerced(`${path}.image.detail`, "auto: the target has no detail in between");
  }
  return { type: "image_url", image_url: image };
}

/** The type that the bytes show wins over the one that was named: services refuse a wrong one. */
function imageType({ mimeType }: Media, bytes: Uint8Array, path: string, report: TranslationReport): string {
  const sniffed = sniffMediaType(bytes);
  if (sniffed === undefined || sniffed === mimeType || !sniffed.startsWith("image/")) return mimeType;
  if (mimeType !== "" && mimeType !== "image/jpg") report.coerced(`${path}.image.mime_type`, `${sniffed}, as the image itself says`);
  return sniffed;
}

/** Images may be named by address; sound and files may not. */
export function takesUrl(url: string, kind: MediaKind, { traits }: Target, quirks: OpenAiChatQuirks): boolean {
  return kind === "image" && (traits.imageUrls ?? quirks.imageUrls) !== false && /^https?:/i.test(url);
}

function writeAudio(media: Media, path: string, { quirks, report }: WriteContext): WritableObject | undefined {
  const { source } = media;
  const mimeType = media.mimeType || (source.case === "data" ? (sniffMediaType(source.value) ?? "") : "");
  const word = wordFor(audioTypes, mimeType) ?? audioWords[mimeType];
  if (quirks.inputAudio === false) report.refused(`${path}.audio`, "the target takes no audio");
  else if (source.case !== "data") report.refused(`${path}.audio`, "the target takes audio as data only");
  else if (word === undefined)
    report.refused(`${path}.audio.mime_type`, "must be audio/wav or audio/mpeg: the target takes no other audio");
  else return { type: "input_audio", input_audio: { data: toBase64(source.value), format: word } };
  return undefined;
}

function writeFile(media: Media, path: string, { quirks, target, report }: WriteContext): WritableObject | undefined {
  const { source } = media;
  if (quirks.inputFiles === false) {
    report.refused(`${path}.file`, "the target takes no files");
    return undefined;
  }
  if (media.document !== undefined) report.dropped(`${path}.file.document`, "the target has no treatment of documents");
  const file: WritableObject = {};
  if (media.filename !== "") file.filename = media.filename;
  if (source.case === "data") {
    file.file_data = dataUrl(source.value, media.mimeType);
    return { type: "file", file };
  }
  if (source.case === "providerFile") {
    const { id, provider } = source.value;
    if (provider === "" || provider === target.provider) return { type: "file", file: { ...file, file_id: id } };
    report.refused(`${path}.file.provider_file`, `the file is stored at ${provider}, the call goes to ${target.provider}`);
  } else report.refused(`${path}.file.url`, "the target takes files by data or file id, not by address");
  return undefined;
}

/** Lifetimes that the target does not offer go to the next longer one, else to the longest. */
export function writeCacheMarker(
  target: WritableObject,
  marker: CacheMarker | undefined,
  path: string,
  { quirks, report }: WriteContext,
): void {
  if (marker === undefined) return;
  const field = quirks.cacheField ?? "prompt_cache_breakpoint";
  if (field === "none") {
    report.dropped(path, "the target has no cache markers");
    return;
  }
  const written: WritableObject = field === "cache_control" ? { type: "ephemeral" } : { mode: "explicit" };
  if (marker.ttlSeconds !== undefined) written.ttl = ttlWord(field, marker.ttlSeconds, path, report);
  target[field] = written;
}

function ttlWord(field: CacheField, seconds: number, path: string, report: TranslationReport): string {
  const offered = Object.entries<number>(cacheTtls[field]).sort(([, left], [, right]) => left - right);
  const [word, ttl] = offered.find(([, ttl]) => ttl >= seconds) ?? (offered.at(-1) as [string, number]);
  if (ttl !== seconds) report.coerced(`${path}.ttl_seconds`, `${ttl} seconds, the nearest that the target offers`);
  return word;
}
