/** Images and documents as blocks. Sound and moving pictures have no form here. */
import { isUtf8 } from "node:buffer";
import { type Media, MediaDetail } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { MediaKind } from "../../core/dialect.ts";
import { writeExtras } from "../../core/extras.ts";
import type { WritableObject } from "../../core/json.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import type { Target } from "../../core/target.ts";
import { formatName, imageTypes } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

/** Undefined where the image is refused. */
export function writeImage(media: Media, path: string, context: WriteContext): WritableObject | undefined {
  const { report } = context;
  const source = writeImageSource(media, path, context);
  if (source === undefined) return undefined;
  if (media.detail !== MediaDetail.UNSPECIFIED && media.detail !== MediaDetail.AUTO) {
    report.dropped(`${path}.detail`, "images are looked at in one way");
  }
  const block: WritableObject = { type: "image", source };
  writeExtras(block, media.extrasJson, formatName, path, report);
  return block;
}

function writeImageSource(media: Media, path: string, context: WriteContext): WritableObject | undefined {
  if (media.source.case !== "data") return writeReference(media, path, context);
  const type = mediaType(media, media.source.value, path, context);
  if (!imageTypes.has(type)) {
    context.report.refused(path, `images are JPEG, PNG, GIF or WebP, not ${type || "of an unknown type"}`);
    return undefined;
  }
  return { type: "base64", media_type: type, data: base64(media.source.value) };
}

/** Undefined where the file is refused. A picture becomes an image. */
export function writeDocument(media: Media, path: string, context: WriteContext): WritableObject | undefined {
  const { report } = context;
  const data = media.source.case === "data" ? media.source.value : undefined;
  const type = data === undefined ? media.mimeType : mediaType(media, data, path, context);
  if (data !== undefined && imageTypes.has(type)) return writeImage(media, path, context);
  const source = data === undefined ? writeReference(media, path, context) : writeDocumentSource(data, type, path, context);
  if (source === undefined) return undefined;
  const { title, context: background, citations } = media.document ?? { title: "", context: "", citations: undefined };
  const block: WritableObject = {
    type: "document",
    source,
    title: title || media.filename || undefined,
    context: background || undefined,
    citations: citations === undefined ? undefined : { enabled: citations },
  };
  writeExtras(block, media.extrasJson, formatName, path, report);
  return block;
}

function writeDocumentSource(data: Uint8Array, type: string, path: string, { report }: WriteContext): WritableObject | undefined {
  if (type === "application/pdf") return { type: "base64", media_type: type, data: base64(data) };
  if (!isText(type) || !isUtf8(data)) {
    report.refused(path, `documents are PDF or text in UTF-8, not ${type || "of an unknown type"}`);
    return undefined;
  }
  // Plain text is the only type of text that the API names.
  if (type !== "text/plain") report.coerced(`${path}.mime_type`, "text/plain");
  return { type: "text", media_type: "text/plain", data: Buffer.from(data).toString("utf8") };
}

function isText(type: string): boolean {
  return type.startsWith("text/") || /^application\/(?:[\w.-]+\+)?(?:json|xml|yaml|x-yaml|toml)$/.test(type);
}

function writeReference({ source, mimeType }: Media, path: string, { target, report }: WriteContext): WritableObject | undefined {
  if (source.case === "providerFile") {
    const { id, provider } = source.value;
    if (provider === "" || provider === target.provider) return { type: "file", file_id: id };
    report.refused(path, `the file is stored at provider ${provider}`);
    return undefined;
  }
  if (source.case !== "url") {
    report.refused(path, "has no content");
    return undefined;
  }
  if (target.traits.imageUrls === false) {
    report.refused(path, "the model takes content only as data, not by address");
    return undefined;
  }
  if (!/^https?:\/\//i.test(source.value)) {
    report.refused(path, `content is taken from https addresses only${mimeType === "" ? "" : `; send ${mimeType} as data`}`);
    return undefined;
  }
  return { type: "url", url: source.value };
}

/** What the bytes are; else what the client says. The API checks and refuses what does not agree. */
function mediaType({ mimeType }: Media, data: Uint8Array, path: string, { report }: WriteContext): string {
  const said = mimeType.toLowerCase().split(";", 1)[0]?.trim() ?? "";
  const sniffed = sniffMediaType(data) ?? said;
  if (said !== "" && sniffed !== said) report.coerced(`${path}.mime_type`, sniffed);
  return sniffed;
}

function base64(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
}

/** Images and documents are fetched by the service, over https. */
export function takesUrl(url: string, kind: MediaKind, { traits }: Target): boolean {
  return traits.imageUrls !== false && (kind === "image" || kind === "file") && /^https:\/\//i.test(url);
}
