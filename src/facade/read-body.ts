/** Reads and parses a JSON request body within the limits of reliability.md 2.8. */
import { isUtf8 } from "node:buffer";
import { once } from "node:events";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import { GatewayError } from "../core/error.ts";
import { JsonError, type JsonLimits, type JsonValue, parseJson } from "../core/json.ts";
import { headerOf, type NodeRequest } from "./exchange.ts";

export interface BodyLimits {
  /** Most bytes of a body after decompression. */
  readonly maxBytes: number;
  readonly json: JsonLimits;
}

/** A body may grow by more than this on decompression only while it is small. */
const maxRatio = 100;
const ratioFreeBytes = 1 << 20;

const decoders = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
} as const;

/** Throws GatewayError: invalid_request (415 for a content type or encoding, 400 for what is no JSON), too_large. */
export async function readJsonBody(request: NodeRequest, limits: BodyLimits): Promise<JsonValue> {
  requireJson(request);
  const length = Number(headerOf(request, "content-length") ?? 0);
  if (length > limits.maxBytes) throw tooLarge(limits.maxBytes);
  const encoding = (headerOf(request, "content-encoding") ?? "identity").trim().toLowerCase();
  const bytes = encoding === "identity" || encoding === "" ? await collect(request, limits) : await decode(request, encoding, limits);
  if (bytes.length === 0) throw new GatewayError("invalid_request", "the body is empty; a JSON object is expected");
  if (!isUtf8(bytes)) throw new GatewayError("invalid_request", "the body is not UTF-8 text");
  try {
    return parseJson(bytes.toString("utf8"), limits.json);
  } catch (thrown) {
    if (!(thrown instanceof JsonError)) throw thrown;
    throw new GatewayError("invalid_request", `the body is not valid JSON: ${thrown.message}`);
  }
}

function requireJson(request: NodeRequest): void {
  const type = headerOf(request, "content-type");
  const essence = type?.split(";", 1)[0]?.trim().toLowerCase();
  if (essence !== undefined && /^application\/(?:[\w.-]+\+)?json$/.test(essence)) return;
  throw new GatewayError("invalid_request", `the content type must be application/json, not ${essence ?? "absent"}`, { status: 415 });
}

/** What comes after the limit is read and thrown away, so that the client gets to read its answer. */
function collect(request: NodeRequest, { maxBytes }: BodyLimits): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  let chunks: Buffer[] = [];
  let size = 0;
  request.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= maxBytes) chunks.push(chunk);
    else {
      chunks = [];
      reject(tooLarge(maxBytes));
    }
  });
  request.once("end", () => resolve(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks)));
  request.once("error", (cause) => reject(cutShort(cause)));
  request.once("close", () => {
    if (!request.readableEnded) reject(cutShort());
  });
  return promise;
}

async function decode(request: NodeRequest, encoding: string, { maxBytes }: BodyLimits): Promise<Buffer> {
  if (!Object.hasOwn(decoders, encoding)) {
    const known = Object.keys(decoders).join(", ");
    throw new GatewayError("invalid_request", `the content encoding must be one of ${known}`, { status: 415 });
  }
  const decoder = decoders[encoding as keyof typeof decoders]();
  const chunks: Buffer[] = [];
  let read = 0;
  let size = 0;
  const onClose = (): void => {
    if (!request.readableEnded) decoder.destroy(cutShort());
  };
  request.on("data", (chunk: Buffer) => {
    read += chunk.length;
  });
  request.once("close", onClose);
  request.pipe(decoder);
  decoder.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size <= maxBytes && (size <= ratioFreeBytes || size <= read * maxRatio)) chunks.push(chunk);
    else decoder.destroy(tooLarge(maxBytes));
  });
  try {
    await once(decoder, "end");
    return Buffer.concat(chunks, size);
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    throw new GatewayError("invalid_request", `the body is not valid ${encoding} data`, { cause });
  } finally {
    request.off("close", onClose);
    request.unpipe(decoder);
    request.resume();
  }
}

function tooLarge(maxBytes: number): GatewayError {
  return new GatewayError("too_large", `the body is larger than ${maxBytes} bytes`);
}

function cutShort(cause?: unknown): GatewayError {
  return new GatewayError("cancelled", "the client went away while it sent the body", { cause });
}
