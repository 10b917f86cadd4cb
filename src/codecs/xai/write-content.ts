/** Parts of a message as xAI's Content, with what could not be carried in the report. */
import { create } from "@bufbuild/protobuf";
import { type Media, MediaDetail, type Part } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type Content, ContentSchema, type FileContent, FileContentSchema } from "../../../gen/xai/api/v1/chat_pb.ts";
import { ImageDetail, type ImageUrlContent, ImageUrlContentSchema } from "../../../gen/xai/api/v1/image_pb.ts";
import type { MediaKind } from "../../core/dialect.ts";
import { reportForeignExtras } from "../../core/extras.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import type { Target } from "../../core/target.ts";
import { formatName, imageDetails } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

/** A part with its place in the core request. */
export interface Placed {
  readonly part: Part;
  readonly path: string;
}

const mediaCases: ReadonlySet<string | undefined> = new Set(["image", "audio", "file", "video"]);

export function isMedia({ part }: Part): boolean {
  return mediaCases.has(part.case);
}

/** One content element; undefined where it has no form here, which is reported. Calls, results and reasoning must not come here. */
export function writeContent({ part, path }: Placed, context: WriteContext): Content | undefined {
  const { report } = context;
  reportSides(part, path, context);
  const { case: kind, value } = part.part;
  switch (kind) {
    case "text":
      return textContent(value);
    case "refusal":
      report.emulated(`${path}.refusal`, "text: the target knows no refusals");
      return textContent(value);
    case "image": {
      const imageUrl = writeImage(value, path, context);
      return imageUrl && create(ContentSchema, { content: { case: "imageUrl", value: imageUrl } });
    }
    case "file": {
      const file = writeFile(value, path, context);
      return file && create(ContentSchema, { content: { case: "file", value: file } });
    }
    case "audio":
    case "video":
      report.refused(`${path}.${kind}`, `the target takes no ${kind}`);
      return undefined;
    case "opaque":
      report.dropped(`${path}.opaque`, `a block of ${value.format || "another format"} has no equal here`);
      return undefined;
    default:
      report.dropped(path, "a part of this kind has no place in this message");
      return undefined;
  }
}

export function textContent(text: string): Content {
  return create(ContentSchema, { content: { case: "text", value: text } });
}

/** What hangs on a part and has no equal. */
function reportSides(part: Part, path: string, { report }: WriteContext): void {
  if (part.cache !== undefined) report.dropped(`${path}.cache`, "prefixes are cached without markers");
  if (part.annotations.length > 0) report.dropped(`${path}.annotations`, "the target takes no citations back");
  if (part.signature !== undefined) report.dropped(`${path}.signature`, "only reasoning carries a signature here");
  reportForeignExtras(part.extrasJson, formatName, path, report);
}

export function writeImage(media: Media, path: string, context: WriteContext): ImageUrlContent | undefined {
  const { report } = context;
  const imageUrl = imageAddress(media, path, context);
  if (imageUrl === undefined) return undefined;
  const detail = imageDetails[media.detail];
  if (media.detail !== MediaDetail.UNSPECIFIED && detail === undefined) report.dropped(`${path}.image.detail`, "has no equal");
  reportForeignExtras(media.extrasJson, formatName, `${path}.image`, report);
  return create(ImageUrlContentSchema, { imageUrl, detail: detail ?? ImageDetail.DETAIL_INVALID });
}

/** Sound and video are not taken at all. */
export function takesUrl(url: string, kind: MediaKind, { traits }: Target): boolean {
  if (kind === "image") return traits.imageUrls !== false && /^https?:\/\//i.test(url);
  return kind !== "file" || /^https?:\/\//i.test(url);
}

function imageAddress({ source, mimeType }: Media, path: string, { report, target }: WriteContext): string | undefined {
  if (source.case === "url") {
    if (takesUrl(source.value, "image", target)) return source.value;
    report.refused(`${path}.image`, "the model takes images as data, or from http and https addresses where it takes addresses at all");
    return undefined;
  }
  if (source.case !== "data") {
    report.refused(`${path}.image`, "the target takes images by address or with their data");
    return undefined;
  }
  const sniffed = sniffMediaType(source.value);
  if (sniffed !== undefined && mimeType !== "" && sniffed !== mimeType)
    report.coerced(`${path}.image.mime_type`, `${sniffed}, as its bytes say`);
  return `data:${sniffed ?? (mimeType || "image/jpeg")};base64,${Buffer.from(source.value).toString("base64")}`;
}

function writeFile(media: Media, path: string, { report, target }: WriteContext): FileContent | undefined {
  const { source, filename, mimeType, document } = media;
  if (document !== undefined) report.dropped(`${path}.file.document`, "the target treats all documents alike");
  reportForeignExtras(media.extrasJson, formatName, `${path}.file`, report);
  if (source.case === "url") {
    if (takesUrl(source.value, "file", target)) return create(FileContentSchema, { url: source.value, filename, mimeType });
    report.refused(`${path}.file`, "the target takes files as data or from http and https addresses");
    return undefined;
  }
  if (source.case === "data") {
    return create(FileContentSchema, { data: source.value, filename, mimeType: mimeType || (sniffMediaType(source.value) ?? "") });
  }
  if (source.case === "providerFile" && (source.value.provider === "" || source.value.provider === target.provider)) {
    return create(FileContentSchema, { fileId: source.value.id, filename, mimeType });
  }
  report.refused(`${path}.file`, "is stored at another provider");
  return undefined;
}
