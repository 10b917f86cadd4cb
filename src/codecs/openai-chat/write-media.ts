/** Media as data: URLs, the way Chat carries bytes. */
import type { Media } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { WritableObject } from "../../core/json.ts";
import { sniffMediaType } from "../../core/media-type.ts";

export function dataUrl(bytes: Uint8Array, mimeType: string): string {
  return `data:${mimeType || sniffMediaType(bytes) || "application/octet-stream"};base64,${toBase64(bytes)}`;
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
}

/** An entry of `images` in an answer, as OpenRouter has it; undefined for an image that is only known by a file id. */
export function imageEntry(source: Media["source"], mimeType: string): WritableObject | undefined {
  if (source.case === "data") return { type: "image_url", image_url: { url: dataUrl(source.value, mimeType) } };
  return source.case === "url" ? { type: "image_url", image_url: { url: source.value } } : undefined;
}
