/** Images, sound and files of content parts: data: URLs and base64 become bytes. */
import { create } from "@bufbuild/protobuf";
import { type Media, MediaSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { invalidField } from "../../core/error.ts";
import type { Fields } from "../../core/fields.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { audioTypes, details } from "./wire.ts";

/** `{image_url, detail}` or `{file_id, detail}`. */
export function readImage(part: Fields): Media {
  const id = part.string("file_id");
  const media = id === undefined ? readSource(part.requiredString("image_url"), part.pathOf("image_url")) : storedFile(part, id);
  const detail = part.knownWord("detail", details);
  if (detail !== undefined) media.detail = detail;
  return media;
}

/** `input_audio: {data, format}`. */
export function readAudio(part: Fields): Media {
  const audio = part.object("input_audio") ?? part.fail("input_audio", "is required");
  const data = decodeBase64(audio.requiredString("data"), audio.pathOf("data"));
  const word = audio.string("format");
  const mimeType = word === undefined ? (sniffMediaType(data) ?? "") : (audioTypes[word] ?? `audio/${word}`);
  return create(MediaSchema, { source: { case: "data", value: data }, mimeType });
}

/** `file_data`, `file_url` or `file_id`, with a `filename`. */
export function readFile(part: Fields): Media {
  const filename = part.string("filename") ?? "";
  const media = readFileSource(part);
  media.filename = filename;
  if (media.mimeType === "" && media.source.case === "data") media.mimeType = sniffMediaType(media.source.value) ?? "";
  return media;
}

function readFileSource(part: Fields): Media {
  const id = part.string("file_id");
  if (id !== undefined) return storedFile(part, id);
  const url = part.string("file_url");
  if (url !== undefined) return readSource(url, part.pathOf("file_url"));
  const text = part.string("file_data") ?? part.fail("file_data", "or file_url or file_id is required");
  if (isDataUrl(text)) return readSource(text, part.pathOf("file_data"));
  return create(MediaSchema, { source: { case: "data", value: decodeBase64(text, part.pathOf("file_data")) } });
}

function storedFile(part: Fields, id: string): Media {
  if (id === "") part.fail("file_id", "must not be empty");
  return create(MediaSchema, { source: { case: "providerFile", value: { id } } });
}

/** An address, or the bytes of a data: URL (RFC 2397). */
function readSource(url: string, path: string): Media {
  if (!isDataUrl(url)) {
    if (url === "") throw invalidField(path, "must not be empty");
    return create(MediaSchema, { source: { case: "url", value: url } });
  }
  const comma = url.indexOf(",");
  if (comma === -1) throw invalidField(path, "is a data: URL without a comma before its data");
  const [mimeType = "", ...parameters] = url.slice(5, comma).split(";");
  const body = url.slice(comma + 1);
  const data = parameters.some((word) => word.trim().toLowerCase() === "base64") ? decodeBase64(body, path) : decodePercent(body, path);
  return create(MediaSchema, { source: { case: "data", value: data }, mimeType: mimeType.trim().toLowerCase() });
}

function isDataUrl(text: string): boolean {
  return /^data:/i.test(text);
}

/** Both alphabets of RFC 4648, padding optional. Node decodes anything, so what it would skip is refused first. */
function decodeBase64(text: string, path: string): Uint8Array {
  const compact = /\s/.test(text) ? text.replace(/\s+/g, "") : text;
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(compact) || compact.replace(/=+$/, "").length % 4 === 1) {
    throw invalidField(path, "is not valid base64");
  }
  return new Uint8Array(Buffer.from(compact, "base64"));
}

function decodePercent(text: string, path: string): Uint8Array {
  try {
    return new Uint8Array(Buffer.from(decodeURIComponent(text), "utf8"));
  } catch {
    throw invalidField(path, "is a data: URL with wrong percent-encoding");
  }
}
