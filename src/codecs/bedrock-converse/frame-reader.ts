/**
 * Cuts the bytes of an AWS event stream into frames, however they arrive, and checks both checksums of each: prelude
 * (total length, header length, CRC), headers, payload, CRC. A message that the end of the stream cuts off is not handed
 * out. https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html describes the same encoding.
 */
import { isUtf8 } from "node:buffer";
import { crc32 } from "node:zlib";
import { EventStreamCodec } from "@smithy/eventstream-codec";
import type { FrameReader } from "../../core/dialect.ts";
import { GatewayError } from "../../core/error.ts";
import { type Frame, sseLimits } from "../../core/sse.ts";
import { exceptionMark } from "./wire.ts";

export interface EventStreamLimits {
  /** Most bytes of one message. */
  readonly maxMessageBytes: number;
  /** Most bytes of one message's headers: the format's own limit. */
  readonly maxHeaderBytes: number;
  /** Most bytes of the whole stream. */
  readonly maxBytes: number;
}

/** Those of streams in text: inline images make large events. */
const eventStreamLimits: EventStreamLimits = {
  maxMessageBytes: sseLimits.maxEventLength,
  maxHeaderBytes: 128 << 10,
  maxBytes: sseLimits.maxBytes,
};

const preludeBytes = 12;
/** Prelude and the checksum at the end. */
const overheadBytes = preludeBytes + 4;

const codec = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString("utf8"),
  (text) => Buffer.from(text, "utf8"),
);

/** A frame's `event` is the event's type, or the failure's type behind `exceptionMark`; its `data` is the payload. */
export class EventStreamReader implements FrameReader {
  readonly #limits: EventStreamLimits;
  /** What has arrived of the message that is not complete. */
  #chunks: Uint8Array[] = [];
  #length = 0;
  #bytes = 0;
  /** Length of that message, once its prelude is there. */
  #wanted: number | undefined;

  constructor(limits: EventStreamLimits = eventStreamLimits) {
    this.#limits = limits;
  }

  read(chunk: Uint8Array): Frame[] {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limits.maxBytes) throw broken(`is longer than ${this.#limits.maxBytes} bytes`);
    if (chunk.length > 0) this.#chunks.push(chunk);
    this.#length += chunk.length;
    const frames: Frame[] = [];
    while (this.#length >= (this.#wanted ?? preludeBytes)) {
      if (this.#wanted === undefined) this.#wanted = this.#readPrelude(this.#join());
      else {
        const bytes = this.#join();
        frames.push(readMessage(bytes.subarray(0, this.#wanted)));
        this.#chunks = [bytes.subarray(this.#wanted)];
        this.#length -= this.#wanted;
        this.#wanted = undefined;
      }
    }
    return frames;
  }

  #join(): Uint8Array {
    const [first] = this.#chunks;
    if (this.#chunks.length === 1 && first !== undefined) return first;
    const bytes = Buffer.concat(this.#chunks);
    this.#chunks = [bytes];
    return bytes;
  }

  /** The checksum is checked at once, so that no wrong length is waited for. */
  #readPrelude(bytes: Uint8Array): number {
    const view = new DataView(bytes.buffer, bytes.byteOffset, preludeBytes);
    const total = view.getUint32(0);
    const headers = view.getUint32(4);
    if (view.getUint32(8) !== crc32(bytes.subarray(0, 8))) throw broken("has a prelude whose checksum is wrong");
    if (total > this.#limits.maxMessageBytes) throw broken(`has a message longer than ${this.#limits.maxMessageBytes} bytes`);
    if (headers > this.#limits.maxHeaderBytes) throw broken(`has headers longer than ${this.#limits.maxHeaderBytes} bytes`);
    if (total < overheadBytes + headers) throw broken("has a message whose lengths are wrong");
    return total;
  }
}

function readMessage(bytes: Uint8Array): Frame {
  const { headers, body } = decode(bytes);
  if (!isUtf8(body)) throw broken("has a payload that is not UTF-8");
  const data = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString("utf8");
  const type = textHeader(headers, ":message-type");
  if (type === "exception") return { event: exceptionMark + textHeader(headers, ":exception-type"), data };
  if (type === "error") {
    // An error without a payload says what it is in its headers.
    return { event: exceptionMark + textHeader(headers, ":error-code"), data: textHeader(headers, ":error-message") || data };
  }
  return { event: textHeader(headers, ":event-type"), data };
}

type Decoded = ReturnType<EventStreamCodec["decode"]>;

function decode(bytes: Uint8Array): Decoded {
  try {
    return codec.decode(bytes);
  } catch (error) {
    throw new GatewayError("provider_error", "the provider's event stream has a message that cannot be read", { cause: error });
  }
}

function textHeader(headers: Decoded["headers"], name: string): string {
  const header = headers[name];
  return header?.type === "string" ? header.value : "";
}

function broken(what: string): GatewayError {
  return new GatewayError("provider_error", `the provider's event stream ${what}`);
}
