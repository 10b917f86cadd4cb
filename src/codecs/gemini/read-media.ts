/** `inlineData` and `fileData` of a part, with what stands beside them. */
import { create } from "@bufbuild/protobuf";
import { type Media, MediaDetail, MediaSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Fields } from "../../core/fields.ts";
import { decodeBase64 } from "../../core/media-source.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { byWord, filesUri, mediaKindOf, mediaResolutions, typeByExtension } from "./wire.ts";

export type MediaCase = ReturnType<typeof mediaKindOf>;

const details = byWord(mediaResolutions);

/** The part has `inlineData`. */
export function readInlineData(part: Fields): { readonly kind: MediaCase; readonly media: Media } {
  const blob = part.object("inlineData") ?? part.fail("inlineData", "is required");
  const data = decodeBase64(blob.string("data") ?? "", blob.pathOf("data"));
  const mimeType = blob.string("mimeType") || sniffMediaType(data) || "";
  const media = create(MediaSchema, { source: { case: "data", value: data }, mimeType });
  readBeside(part, media);
  return { kind: mediaKindOf(mimeType), media };
}

/** The part has `fileData`. */
export function readFileData(part: Fields): { readonly kind: MediaCase; readonly media: Media } {
  const file = part.object("fileData") ?? part.fail("fileData", "is required");
  const uri = file.requiredString("fileUri");
  if (uri === "") file.fail("fileUri", "must not be empty");
  const mimeType = file.string("mimeType") ?? "";
  const isStored = uri.startsWith(filesUri);
  const media = create(MediaSchema, {
    source: isStored ? { case: "providerFile", value: { id: uri } } : { case: "url", value: uri },
    mimeType,
  });
  readBeside(part, media);
  return { kind: kindOfAddress(uri, mimeType), media };
}

/** Films of YouTube are named by the page they are on. */
function kindOfAddress(uri: string, mimeType: string): MediaCase {
  if (mimeType !== "") return mediaKindOf(mimeType);
  if (/^https:\/\/(?:www\.|m\.)?(?:youtube\.com|youtu\.be)\//.test(uri)) return "video";
  return mediaKindOf(typeByExtension(uri) ?? "");
}

function readBeside(part: Fields, media: Media): void {
  const resolution = typeof part.peek("mediaResolution") === "object" ? part.object("mediaResolution") : undefined;
  media.detail = resolution?.knownWord("level", details) ?? MediaDetail.UNSPECIFIED;
  const stretch = part.object("videoMetadata");
  if (stretch === undefined) return;
  const start = readOffset(stretch, "startOffset");
  if (start !== undefined) media.startMs = start;
  const end = readOffset(stretch, "endOffset");
  if (end !== undefined) media.endMs = end;
  const rate = stretch.number("fps", { min: Number.MIN_VALUE });
  if (rate !== undefined) media.framesPerSecond = rate;
}

/** A protobuf duration in whole milliseconds; a finer one stays unread, so that it survives in extras. */
function readOffset(fields: Fields, name: string): number | undefined {
  const text = fields.peek(name);
  if (typeof text !== "string" || !/^\d{1,6}(?:\.\d{1,3}0*)?s$/.test(text)) return undefined;
  fields.value(name);
  return Math.round(Number(text.slice(0, -1)) * 1000);
}
