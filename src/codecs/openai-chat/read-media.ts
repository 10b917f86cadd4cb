/** Images, sound and files of content parts: data: URLs and base64 become bytes. */
import { create } from "@bufbuild/protobuf";
import { type Media, MediaSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Fields } from "../../core/fields.ts";
import { decodeBase64, isDataUrl, readMediaUrl } from "../../core/media-source.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { audioTypes, details } from "../../core/openai-words.ts";

/** `image_url: {url, detail}`. Some clients send the URL alone. */
export function readImage(part: Fields): Media {
  if (typeof part.peek("image_url") === "string") return readMediaUrl(part.requiredString("image_url"), part.pathOf("image_url"));
  const image = part.object("image_url") ?? part.fail("image_url", "is required");
  const media = readMediaUrl(image.requiredString("url"), image.pathOf("url"));
  const detail = image.knownWord("detail", details);
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

/** `file: {file_data, filename}` or `{file_id}`. */
export function readFile(part: Fields): Media {
  const file = part.object("file") ?? part.fail("file", "is required");
  const filename = file.string("filename") ?? "";
  const id = file.string("file_id");
  if (id !== undefined) {
    if (id === "") file.fail("file_id", "must not be empty");
    return create(MediaSchema, { source: { case: "providerFile", value: { id } }, filename });
  }
  const text = file.string("file_data") ?? file.fail("file_data", "or file_id is required");
  const media = isDataUrl(text)
    ? readMediaUrl(text, file.pathOf("file_data"))
    : create(MediaSchema, { source: { case: "data", value: decodeBase64(text, file.pathOf("file_data")) } });
  media.filename = filename;
  if (media.mimeType === "" && media.source.case === "data") media.mimeType = sniffMediaType(media.source.value) ?? "";
  return media;
}
