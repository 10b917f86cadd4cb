/** Bytes that a client put into its JSON: base64, and data: URLs (RFC 2397). */
import { create } from "@bufbuild/protobuf";
import { type Media, MediaSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { invalidField } from "./error.ts";

/**
 * Both alphabets of RFC 4648, padding optional, white space ignored. Throws invalid_request for anything else: Node would
 * skip it and decode the rest.
 */
export function decodeBase64(text: string, path: string): Uint8Array {
  const compact = /\s/.test(text) ? text.replace(/\s+/g, "") : text;
  if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(compact) || compact.replace(/(?<!=)=+$/, "").length % 4 === 1) {
    throw invalidField(path, "is not valid base64");
  }
  return new Uint8Array(Buffer.from(compact, "base64"));
}

export function isDataUrl(text: string): boolean {
  return /^data:/i.test(text);
}

/** An address, or the bytes of a data: URL. Throws invalid_request with `path`. */
export function readMediaUrl(url: string, path: string): Media {
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

function decodePercent(text: string, path: string): Uint8Array {
  try {
    return new Uint8Array(Buffer.from(decodeURIComponent(text), "utf8"));
  } catch {
    throw invalidField(path, "is a data: URL with wrong percent-encoding");
  }
}
