/** Images as content of a user's message, and documents as the API's own kind of document. */
import { isUtf8 } from "node:buffer";
import { type Media, MediaDetail } from "../../../gen/dragoman/v1/generate_pb.ts";
import { writeExtras } from "../../core/extras.ts";
import type { WritableObject } from "../../core/json.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { formatName, imageDetails, imageTypes } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

/** Undefined where the image is refused. */
export function writeImage(media: Media, path: string, context: WriteContext): WritableObject | undefined {
  const { report } = context;
  const url = writeImageUrl(media, path, context);
  if (url === undefined) return undefined;
  const detail = imageDetails[media.detail];
  if (detail !== undefined && !detail.exact) report.coerced(`${path}.detail`, detail.word);
  const image: WritableObject = { url, detail: media.detail === MediaDetail.UNSPECIFIED ? undefined : detail?.word };
  writeExtras(image, media.extrasJson, formatName, path, report);
  return { type: "image_url", image_url: image };
}

function writeImageUrl(media: Media, path: string, context: WriteContext): string | undefined {
  const { report } = context;
  const { source } = media;
  if (source.case === "data") {
    const type = mediaType(media, source.value, path, context);
    if (imageTypes.has(type)) return `data:${type};base64,${toBuffer(source.value).toString("base64")}`;
    report.refused(path, `images are JPEG, PNG, GIF or WebP, not ${type || "of an unknown type"}`);
  } else if (source.case === "url" && /^https?:\/\//i.test(source.value)) return source.value;
  else report.refused(path, source.case === "url" ? "images are taken from https addresses only" : "no files are stored at the provider");
  return undefined;
}

/** `{data, id?}` of a text; undefined where the file is refused. A picture is none: ask writeImage. */
export function writeDocument(media: Media, path: string, context: WriteContext): WritableObject | undefined {
  const { report } = context;
  const { source, document, filename } = media;
  if (source.case !== "data") {
    report.refused(path, source.case === "url" ? "documents are taken as text, not by address" : "no files are stored at the provider");
    return undefined;
  }
  const type = mediaType(media, source.value, path, context);
  if (!isText(type) || !isUtf8(source.value)) {
    report.refused(path, `documents are text in UTF-8, not ${type || "of an unknown type"}`);
    return undefined;
  }
  if (document?.citations !== undefined) report.dropped(`${path}.document.citations`, "citations are asked for the whole call");
  const data: WritableObject = {
    title: document?.title || filename || undefined,
    context: document?.context || undefined,
    text: toBuffer(source.value).toString("utf8"),
  };
  const written: WritableObject = { data };
  writeExtras(written, media.extrasJson, formatName, path, report);
  return written;
}

/** Whether a file is a picture by its first bytes or, where they do not tell, by what the client says. */
export function isPicture({ source, mimeType }: Media): boolean {
  const sniffed = source.case === "data" ? sniffMediaType(source.value) : undefined;
  return imageTypes.has(sniffed ?? essence(mimeType));
}

function isText(type: string): boolean {
  return type.startsWith("text/") || /^application\/(?:[\w.-]+\+)?(?:json|xml|yaml|x-yaml|toml)$/.test(type);
}

/** What the bytes are; else what the client says. */
function mediaType({ mimeType }: Media, data: Uint8Array, path: string, { report }: WriteContext): string {
  const said = essence(mimeType);
  const sniffed = sniffMediaType(data) ?? said;
  if (said !== "" && sniffed !== said) report.coerced(`${path}.mime_type`, sniffed);
  return sniffed;
}

function essence(mimeType: string): string {
  return mimeType.toLowerCase().split(";", 1)[0]?.trim() ?? "";
}

function toBuffer(data: Uint8Array): Buffer {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}
