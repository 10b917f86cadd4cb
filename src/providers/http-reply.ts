/** Reads answers within limits: what kind they are, whole texts, the beginning of errors, and the one compression allowed. */
import { isUtf8 } from "node:buffer";
import { pipeline, Readable, type Transform } from "node:stream";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import { GatewayError } from "../core/error.ts";
import type { ByteSource, HttpReply } from "./http-client.ts";
import { httpLimits } from "./http-limits.ts";
import { transportFailure } from "./transport-failure.ts";

/** The bytes of an answer as they were before compression: asked for uncompressed, some servers compress all the same. */
export interface BodySource {
  next(): Promise<IteratorResult<Uint8Array, undefined>>;
  /** Closes the socket unless the answer has ended. */
  return(): Promise<unknown>;
  /** Lets a little rest pass by, so that the socket can be used again. */
  drain(): void;
}

const decoders: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** Throws provider_error for an unknown or a second encoding; the source throws it for a bomb or broken data. */
export function openBody(reply: HttpReply, origin: string): BodySource {
  const encoding = (reply.header("content-encoding") ?? "identity").trim().toLowerCase();
  if (encoding === "identity" || encoding === "") return reply.body;
  const decoder = Object.hasOwn(decoders, encoding) ? decoders[encoding] : undefined;
  if (decoder === undefined) {
    void reply.body.return();
    throw transportFailure("encoding", origin, "the encoding is unknown, or there are several");
  }
  const decoded = decode(reply.body, decoder(), origin);
  return {
    next: () => decoded.next(),
    return: () => Promise.all([reply.body.return(), decoded.return(undefined)]),
    drain: () => reply.body.drain(),
  };
}

async function* decode(source: ByteSource, decoder: Transform, origin: string): AsyncGenerator<Uint8Array, undefined> {
  let compressed = 0;
  let decompressed = 0;
  async function* counted() {
    for await (const chunk of source) {
      compressed += chunk.length;
      yield chunk;
    }
  }
  pipeline(Readable.from(counted()), decoder, () => {});
  try {
    for await (const chunk of decoder as AsyncIterable<Uint8Array>) {
      decompressed += chunk.length;
      if (decompressed > httpLimits.uncheckedDecompressedBytes && decompressed > compressed * httpLimits.maxCompressionRatio) {
        throw transportFailure("encoding", origin, `it grows more than ${httpLimits.maxCompressionRatio} times`);
      }
      yield chunk;
    }
  } catch (error) {
    throw error instanceof GatewayError ? error : transportFailure("encoding", origin);
  } finally {
    await source.return();
  }
}

/** A whole answer's text. Throws provider_error where it is too long or no UTF-8. */
export async function readText(reply: HttpReply, origin: string, maxBytes?: number): Promise<string> {
  return textOf(joinChunks(await readChunks(reply, origin, undefined, maxBytes)), origin);
}

/** What readChunks gave in one piece, which it mostly is. */
export function joinChunks(chunks: readonly Uint8Array[]): Buffer {
  const [first] = chunks;
  if (first === undefined || chunks.length > 1) return Buffer.concat(chunks);
  return Buffer.from(first.buffer, first.byteOffset, first.byteLength);
}

/** Throws provider_error for what is no UTF-8. */
export function textOf(bytes: Buffer, origin: string): string {
  if (!isUtf8(bytes)) throw new GatewayError("provider_error", `${origin} sent an answer that is not UTF-8`);
  return bytes.toString("utf8");
}

/** The bytes of a whole answer, each chunk shown to `see` as it comes. Throws provider_error where it is too long. */
export async function readChunks(
  reply: HttpReply,
  origin: string,
  see?: (chunk: Buffer) => void,
  maxBytes: number = httpLimits.maxReplyBytes,
): Promise<Uint8Array[]> {
  const tooLong = () => transportFailure("too_large", origin, `an answer may have ${maxBytes} bytes`);
  const body = openBody(reply, origin);
  try {
    if (Number(reply.header("content-length") ?? 0) > maxBytes) throw tooLong();
    const { chunks, length } = await collect(body, maxBytes, { see });
    if (length > maxBytes) throw tooLong();
    return chunks;
  } finally {
    await body.return();
  }
}

/** The beginning of an error's body, however it ends; empty where it cannot be read. */
export async function readErrorText(reply: HttpReply, origin: string): Promise<string> {
  const timer = setTimeout(() => void reply.body.return(), httpLimits.errorBodyMs);
  let body: BodySource | undefined;
  try {
    body = openBody(reply, origin);
    const { chunks } = await collect(body, httpLimits.maxErrorBytes, { keepsBroken: true });
    return Buffer.concat(chunks).subarray(0, httpLimits.maxErrorBytes).toString("utf8");
  } catch {
    // The status is known and says more than why the text is missing.
    return "";
  } finally {
    clearTimeout(timer);
    await body?.return();
  }
}

interface CollectOptions {
  /** Whether what came until a failure is kept instead of the failure. */
  readonly keepsBroken?: boolean;
  readonly see?: ((chunk: Buffer) => void) | undefined;
}

/** Stops with the chunk that goes beyond `maxBytes`. */
async function collect(body: BodySource, maxBytes: number, { keepsBroken = false, see }: CollectOptions) {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await body.next();
      if (done === true) break;
      chunks.push(value);
      length += value.length;
      see?.(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
      if (length > maxBytes) break;
    }
  } catch (error) {
    if (!keepsBroken) throw error;
  }
  return { chunks, length };
}

/** `application/json` of `application/json; charset=utf-8`; empty where the answer does not say. */
export function mediaType(reply: HttpReply): string {
  return (reply.header("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "";
}

/** Servers that do not say what they send are taken at the word of what was asked. */
export function isStream(type: string, expected: string): boolean {
  return type === expected || type === "";
}

export function isJson(type: string): boolean {
  return type === "application/json" || type.endsWith("+json") || type === "";
}

/** An answer of another kind than was asked for. */
export function wrongType(origin: string, type: string, wanted: string): GatewayError {
  const shown = /^[\w.+-]+\/[\w.+-]+$/.test(type) ? type.slice(0, 64) : "something unreadable";
  return new GatewayError("provider_error", `${origin} answered with ${shown} instead of ${wanted}`);
}
