/** Images, sound, moving pictures and files: `inlineData` for content, `fileData` for addresses and stored files. */
import { type Media, MediaDetail } from "../../../gen/dragoman/v1/generate_pb.ts";
import { writeExtras } from "../../core/extras.ts";
import type { WritableObject } from "../../core/json.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import type { Target } from "../../core/target.ts";
import { filesUri, formatName, mediaResolutions, typeByExtension } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

export type MediaKind = "image" | "audio" | "video" | "file";

/** Media types that clients write in other ways; the API takes the registered ones. */
const aliases: Readonly<Record<string, string>> = {
  "image/jpg": "image/jpeg",
  "audio/mp3": "audio/mpeg",
  "audio/x-wav": "audio/wav",
  "audio/wave": "audio/wav",
  "audio/vnd.wave": "audio/wav",
};

/** Undefined where the media is refused. */
export function writeMedia(media: Media, kind: MediaKind, path: string, context: WriteContext): WritableObject | undefined {
  const { report, target } = context;
  if (kind === "image" && target.traits.vision === false) {
    report.refused(path, "the model takes no images");
    return undefined;
  }
  const place = `${path}.${kind}`;
  const part = writeSource(media, place, context);
  if (part === undefined) return undefined;
  writeDetail(media, part, place, context);
  writeStretch(media, part);
  reportUnwritten(media, place, context);
  writeExtras(part, media.extrasJson, formatName, path, report);
  return part;
}

function writeSource(media: Media, path: string, context: WriteContext): WritableObject | undefined {
  const { source } = media;
  const { report, target } = context;
  switch (source.case) {
    case "data": {
      const mimeType = dataType(media, source.value, path, context);
      return mimeType === "" ? undefined : { inlineData: { mimeType, data: base64(source.value) } };
    }
    case "providerFile": {
      const { id, provider } = source.value;
      if (provider === "" || provider === target.provider) return fileData(id.includes("://") ? id : filesUri + id, media, path, context);
      report.refused(path, `the file is stored at provider ${provider}`);
      return undefined;
    }
    case "url":
      return writeUrl(source.value, media, path, context);
    default:
      report.refused(path, "has no content");
      return undefined;
  }
}

function writeUrl(url: string, media: Media, path: string, context: WriteContext): WritableObject | undefined {
  if (!isGoogles(url) && !/^https?:\/\//i.test(url)) {
    context.report.refused(path, "content is taken from https and gs addresses only; send it as data");
    return undefined;
  }
  if (!isGoogles(url) && context.target.traits.imageUrls === false) {
    context.report.refused(path, "the model takes content only as data, not by address");
    return undefined;
  }
  return fileData(url, media, path, context);
}

/** What Google keeps is taken by its address; of others the target's traits tell. */
export function takesUrl(url: string, _kind: MediaKind, { traits }: Target): boolean {
  return isGoogles(url) || (traits.imageUrls !== false && /^https?:\/\//i.test(url));
}

function isGoogles(url: string): boolean {
  return url.startsWith("gs://") || url.startsWith(filesUri);
}

function fileData(fileUri: string, { mimeType }: Media, path: string, { report }: WriteContext): WritableObject {
  const said = registeredType(mimeType);
  if (said !== "") return { fileData: { mimeType: said, fileUri } };
  const guessed = typeByExtension(fileUri);
  if (guessed === undefined) return { fileData: { fileUri } };
  report.defaulted(`${path}.mime_type`, `${guessed}, by the end of the address`);
  return { fileData: { mimeType: guessed, fileUri } };
}

/** What the bytes are; else what the client says. Empty where neither is known. */
function dataType({ mimeType }: Media, data: Uint8Array, path: string, { report }: WriteContext): string {
  const named = registeredType(mimeType);
  const sniffed = sniffMediaType(data);
  if (sniffed === undefined) {
    if (!named.includes("/")) report.refused(`${path}.mime_type`, "must be a media type such as image/png: the content does not tell");
    return named.includes("/") ? named : "";
  }
  if (sniffed !== named.toLowerCase()) report.coerced(`${path}.mime_type`, sniffed);
  return sniffed;
}

function registeredType(mimeType: string): string {
  const said = mimeType.trim();
  return aliases[said.toLowerCase()] ?? said;
}

function writeDetail({ detail }: Media, part: WritableObject, path: string, { report, target }: WriteContext): void {
  if (detail === MediaDetail.UNSPECIFIED || detail === MediaDetail.AUTO) return;
  const level = mediaResolutions[detail];
  if (level === undefined || target.traits.mediaResolution === false)
    report.dropped(`${path}.detail`, "the model looks at all media alike");
  else part.mediaResolution = { level };
}

function writeStretch({ startMs, endMs, framesPerSecond }: Media, part: WritableObject): void {
  if (startMs === undefined && endMs === undefined && framesPerSecond === undefined) return;
  part.videoMetadata = { startOffset: seconds(startMs), endOffset: seconds(endMs), fps: framesPerSecond };
}

/** A protobuf duration. */
function seconds(milliseconds: number | undefined): string | undefined {
  return milliseconds === undefined ? undefined : `${milliseconds / 1000}s`;
}

function reportUnwritten({ filename, document, transcript }: Media, path: string, { report }: WriteContext): void {
  if (filename !== "") report.dropped(`${path}.filename`, "files have no names");
  if (transcript !== "") report.dropped(`${path}.transcript`, "media has no transcript");
  if (document === undefined) return;
  if (document.title !== "") report.dropped(`${path}.document.title`, "documents have no titles");
  if (document.context !== "") report.dropped(`${path}.document.context`, "documents have no context of their own");
  if (document.citations === true) report.dropped(`${path}.document.citations`, "documents are not cited");
}

function base64(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
}
