/** Images, sound and files of content parts: data: URLs and base64 become bytes. */
import { create } from "@bufbuild/protobuf";
import { type Media, MediaSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Fields } from "../../core/fields.ts";
import { decodeBase64, isDataUrl, readMediaUrl } from "../../core/media-source.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { audioTypes, details } from "../../core/openai-words.ts";

/** `{image_url, detail}` or `{file_id, detail}`. */
export function readImage(part: Fields): Media {
  const id = part.string("file_id");
  const media = id === undefined ? readMediaUrl(part.requiredString("image_url"), part.pathOf("image_url")) : storedFile(part, id);
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
  if (url !== undefined) return readMediaUrl(url, part.pathOf("file_url"));
  const text = part.string("file_data") ?? part.fail("file_data", "or file_url or file_id is required");
  if (isDataUrl(text)) return readMediaUrl(text, part.pathOf("file_data"));
  return create(MediaSchema, { source: { case: "data", value: decodeBase64(text, part.pathOf("file_data")) } });
}

function storedFile(part: Fields, id: string): Media {
  if (id === "") part.fail("file_id", "must not be empty");
  return create(MediaSchema, { source: { case: "providerFile", value: { id } } });
}
