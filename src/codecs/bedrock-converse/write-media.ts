/** Images, documents, sound and moving pictures as blocks: data, or an object in S3. */
import { type Media, MediaDetail } from "../../../gen/dragoman/v1/generate_pb.ts";
import { writeExtras } from "../../core/extras.ts";
import type { WritableObject } from "../../core/json.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

/** What the API calls media types. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html */
const imageFormats: Readonly<Record<string, string>> = {
  "image/jpeg": "jpeg",
  "image/jpg": "jpeg",
  "image/png": "png",
  "image/gif": "gif",
  "image/webp": "webp",
};
const documentFormats: Readonly<Record<string, string>> = {
  "application/pdf": "pdf",
  "text/csv": "csv",
  "application/msword": "doc",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
  "application/vnd.ms-excel": "xls",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
  "text/html": "html",
  "text/plain": "txt",
  "text/markdown": "md",
};
const audioFormats: Readonly<Record<string, string>> = {
  "audio/mpeg": "mp3",
  "audio/mp3": "mp3",
  "audio/wav": "wav",
  "audio/x-wav": "wav",
  "audio/wave": "wav",
  "audio/flac": "flac",
  "audio/aac": "aac",
  "audio/x-aac": "x-aac",
  "audio/ogg": "ogg",
  "audio/opus": "opus",
  "audio/mp4": "mp4",
  "audio/m4a": "m4a",
  "audio/x-m4a": "m4a",
  "audio/webm": "webm",
  "audio/x-matroska": "mka",
  "audio/pcm": "pcm",
  "audio/l16": "pcm",
};
const videoFormats: Readonly<Record<string, string>> = {
  "video/mp4": "mp4",
  "video/quicktime": "mov",
  "video/x-matroska": "mkv",
  "video/webm": "webm",
  "video/x-flv": "flv",
  "video/mpeg": "mpeg",
  "video/x-ms-wmv": "wmv",
  "video/3gpp": "three_gp",
};

/** Whether the service takes media from this address. */
export function isStored(url: string): boolean {
  return /^s3:\/\//i.test(url);
}

export function writeImage(media: Media, path: string, context: WriteContext): WritableObject | undefined {
  const { report } = context;
  if (media.detail !== MediaDetail.UNSPECIFIED && media.detail !== MediaDetail.AUTO) {
    report.dropped(`${path}.detail`, "images are looked at in one way");
  }
  const image = writeFormatted(media, imageFormats, "images are JPEG, PNG, GIF or WebP", path, context);
  return image === undefined ? undefined : extend("image", image, media, path, context);
}

export function writeAudio(media: Media, path: string, context: WriteContext): WritableObject | undefined {
  reportExcerpt(media, path, context);
  const audio = writeFormatted(media, audioFormats, "the type of sound is not taken", path, context);
  return audio === undefined ? undefined : extend("audio", audio, media, path, context);
}

export function writeVideo(media: Media, path: string, context: WriteContext): WritableObject | undefined {
  reportExcerpt(media, path, context);
  const video = writeFormatted(media, videoFormats, "the type of video is not taken", path, context);
  return video === undefined ? undefined : extend("video", video, media, path, context);
}

/** A picture becomes an image. */
export function writeDocument(media: Media, path: string, context: WriteContext): WritableObject | undefined {
  const { report, documents } = context;
  const type = mediaType(media, path, context);
  if (imageFormats[type] !== undefined) return writeImage(media, path, context);
  const format = documentFormats[type] ?? (isText(type) ? "txt" : undefined);
  if (format === undefined) {
    report.refused(path, `documents are PDF, Word, Excel, CSV, HTML, Markdown or text, not ${type || "of an unknown type"}`);
    return undefined;
  }
  if (documentFormats[type] === undefined) report.coerced(`${path}.mime_type`, "text/plain");
  const source = writeSource(media, path, context);
  if (source === undefined) return undefined;
  const { title, context: background, citations } = media.document ?? { title: "", context: "", citations: undefined };
  const wanted = title || media.filename;
  const { name, isMade } = documents.claim(wanted);
  const namePath = `${path}.${title === "" ? "filename" : "document.title"}`;
  if (isMade && wanted === "") report.defaulted(namePath, name);
  else if (name !== wanted) report.coerced(namePath, `${name}, as names are letters, digits, spaces, - ( ) [ ], and each stands once`);
  const document: WritableObject = {
    format,
    name,
    source,
    context: background || undefined,
    citations: citations === undefined ? undefined : { enabled: citations },
  };
  return extend("document", document, media, path, context);
}

function isText(type: string): boolean {
  return type.startsWith("text/") || /^application\/(?:[\w.-]+\+)?(?:json|xml|yaml|x-yaml|toml)$/.test(type);
}

function extend(member: string, value: WritableObject, media: Media, path: string, { report }: WriteContext): WritableObject {
  writeExtras(value, media.extrasJson, formatName, path, report);
  return { [member]: value };
}

function writeFormatted(
  media: Media,
  formats: Readonly<Record<string, string>>,
  refusal: string,
  path: string,
  context: WriteContext,
): WritableObject | undefined {
  const type = mediaType(media, path, context);
  const format = Object.hasOwn(formats, type) ? formats[type] : undefined;
  const source = writeSource(media, path, context);
  if (format === undefined && source !== undefined) context.report.refused(path, `${refusal}, not ${type || "of an unknown type"}`);
  return format === undefined || source === undefined ? undefined : { format, source };
}

function reportExcerpt({ startMs, endMs, framesPerSecond }: Media, path: string, { report }: WriteContext): void {
  if (startMs !== undefined || endMs !== undefined) report.dropped(`${path}.start_ms`, "media is taken whole");
  if (framesPerSecond !== undefined) report.dropped(`${path}.frames_per_second`, "not offered");
}

function writeSource({ source }: Media, path: string, { report }: WriteContext): WritableObject | undefined {
  switch (source.case) {
    case "data":
      return { bytes: base64(source.value) };
    case "url":
      if (isStored(source.value)) return { s3Location: { uri: source.value } };
      report.refused(path, "content is taken as data or from S3 only; send it as data");
      return undefined;
    case "providerFile":
      report.refused(path, "there are no stored files; send it as data");
      return undefined;
    default:
      report.refused(path, "has no content");
      return undefined;
  }
}

const typeOfExtension: Readonly<Record<string, string>> = {
  ...invert(videoFormats),
  ...invert(audioFormats),
  ...invert(documentFormats),
  ...invert(imageFormats),
  jpg: "image/jpeg",
  mp4: "video/mp4",
  webm: "video/webm",
  "3gp": "video/3gpp",
};

/** The first type of each name counts. */
function invert(formats: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(formats)
      .toReversed()
      .map(([type, format]) => [format, type]),
  );
}

/** What the bytes are; else what the client says, else what the name's extension stands for. */
function mediaType({ mimeType, source, filename }: Media, path: string, { report }: WriteContext): string {
  const said = mimeType.toLowerCase().split(";", 1)[0]?.trim() ?? "";
  const sniffed = source.case === "data" ? sniffMediaType(source.value) : undefined;
  if (sniffed !== undefined && said !== "" && sniffed !== said && !isAlias(sniffed, said)) report.coerced(`${path}.mime_type`, sniffed);
  if (sniffed !== undefined) return sniffed;
  if (said !== "") return said;
  const name = source.case === "url" ? source.value : filename;
  return typeOfExtension[/\.([a-z0-9]+)$/i.exec(name)?.[1]?.toLowerCase() ?? ""] ?? "";
}

/** Two names of one type are no correction. */
function isAlias(left: string, right: string): boolean {
  return [imageFormats, audioFormats].some((formats) => formats[left] !== undefined && formats[left] === formats[right]);
}

function base64(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
}
