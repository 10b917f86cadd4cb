/**
 * Frames of an AWS event stream: total length, header length, CRC of both; headers; payload; CRC of all. Integers are
 * big-endian. https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
 */
import { crc32 } from "node:zlib";
import type { Frame, Framing } from "../wire.ts";

/** Before the type of a failure, in the `event` of a frame. */
const exceptionMark = "!";
/** The type of header values that are text. */
const textType = 7;

export const eventStream: Framing = {
  type: "application/vnd.amazon.eventstream",
  encode: ({ event = "contentBlockDelta", data }) =>
    encodeMessage(event, Buffer.from(typeof data === "string" ? data : JSON.stringify(data))),
  encodeBytes: encodeMessage,
  begin: (bytes) => {
    const headers = encodeHeaders(headersOf("contentBlockDelta"));
    return Buffer.concat([encodePrelude(headers.length, bytes), headers]);
  },
};

/** A failure's frame. */
export function exceptionFrame(type: string, message: string): Frame {
  return { event: exceptionMark + type, data: { message } };
}

function encodeMessage(event: string, payload: Uint8Array): Buffer {
  const headers = encodeHeaders(headersOf(event));
  const message = Buffer.concat([encodePrelude(headers.length, payload.length), headers, payload]);
  return Buffer.concat([message, uint32(crc32(message))]);
}

function headersOf(event: string): Record<string, string> {
  const isException = event.startsWith(exceptionMark);
  return {
    [isException ? ":exception-type" : ":event-type"]: isException ? event.slice(exceptionMark.length) : event,
    ":content-type": "application/json",
    ":message-type": isException ? "exception" : "event",
  };
}

function encodePrelude(headerBytes: number, payloadBytes: number): Buffer {
  const lengths = Buffer.concat([uint32(12 + headerBytes + payloadBytes + 4), uint32(headerBytes)]);
  return Buffer.concat([lengths, uint32(crc32(lengths))]);
}

function encodeHeaders(headers: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(headers).map(([name, value]) => {
      const [nameBytes, valueBytes] = [Buffer.from(name), Buffer.from(value)];
      const length = Buffer.alloc(2);
      length.writeUInt16BE(valueBytes.length);
      return Buffer.concat([Buffer.from([nameBytes.length]), nameBytes, Buffer.from([textType]), length, valueBytes]);
    }),
  );
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
