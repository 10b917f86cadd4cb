/**
 * Server-sent events, read and written. Parsing as https://html.spec.whatwg.org/multipage/server-sent-events.html
 * (LF, CR, CRLF also when split, byte order mark, comments, unknown fields), with limits on what a peer may send.
 */
import { isUtf8 } from "node:buffer";
import { GatewayError } from "./error.ts";

/** One record. */
export interface Frame {
  /** The `event:` field; empty where there was none. */
  readonly event: string;
  /** The `data:` lines, joined by LF. */
  readonly data: string;
}

/** What ends with an empty line: an event, or comments and fields that dispatch none. */
export interface SseRecord {
  /** Undefined where there is nothing to dispatch. */
  readonly frame: Frame | undefined;
  /**
   * The very text, from the end of the record before to the end of the empty line. The LF of a CRLF that was cut in two
   * comes by itself.
   */
  readonly source: string;
}

export interface SseLimits {
  /** Longest line and longest event, in UTF-16 units. */
  readonly maxEventLength: number;
  /** Most lines of one event, empty and comment lines between events included. */
  readonly maxLines: number;
  /** Most bytes of the whole stream. */
  readonly maxBytes: number;
}

/** reliability.md 2.8: inline images make 16 MiB events. */
export const sseLimits: SseLimits = { maxEventLength: 16 << 20, maxLines: 10_000, maxBytes: 256 << 20 };

/** What an event of the greatest length may have around its data: names of fields, line ends, comments. */
const maxOverhead = 1 << 20;

/**
 * Cuts the bytes of a stream into frames, however they arrive. A record that the end of the stream cuts off is not
 * dispatched, as the standard asks. Throws provider_error where the bytes are no UTF-8 or break a limit.
 */
export class SseReader {
  readonly #limits: SseLimits;
  #bytes = 0;
  /** Bytes of a character whose rest has not arrived. */
  #partial: Uint8Array | undefined;
  /** Text of the line that has not ended. */
  #line = "";
  /** Whether the last line ended with CR, so that a leading LF belongs to it. */
  #afterCr = false;
  #first = true;
  #event = "";
  #data: string[] = [];
  #length = 0;
  #lines = 0;
  /** Text of the record that has not ended, where records are asked for. */
  #pending = "";

  constructor(limits: SseLimits = sseLimits) {
    this.#limits = limits;
  }

  /** The frames that these bytes complete. */
  read(chunk: Uint8Array): Frame[] {
    const frames: Frame[] = [];
    this.#read(chunk, frames);
    return frames;
  }

  /**
   * The records that these bytes complete. Their sources, with the text that is still pending, are the text of all bytes
   * so far, so whoever passes them on changes nothing. A reader is asked for frames or for records, not for both.
   */
  readRecords(chunk: Uint8Array): SseRecord[] {
    const records: SseRecord[] = [];
    this.#read(chunk, [], records);
    return records;
  }

  /** Whether the bytes that readRecords has got end where a record ends. */
  get isBetweenRecords(): boolean {
    return this.#pending === "" && this.#partial === undefined;
  }

  #read(chunk: Uint8Array, frames: Frame[], records?: SseRecord[]): void {
    this.#bytes += chunk.length;
    if (this.#bytes > this.#limits.maxBytes) throw this.#broken(`is longer than ${this.#limits.maxBytes} bytes`);
    const text = this.#decode(chunk);
    let start = 0;
    if (this.#first && text !== "") {
      this.#first = false;
      if (text.charCodeAt(0) === 0xfeff) start = 1;
    }
    /** Where the text begins that no record has yet. */
    let kept = 0;
    if (this.#afterCr && text !== "") {
      if (text.charCodeAt(0) === 0x0a) {
        start = 1;
        // The rest of the line end that ended a record, which is out.
        if (records !== undefined && this.#pending === "") {
          records.push({ frame: undefined, source: "\n" });
          kept = 1;
        }
      }
      this.#afterCr = false;
    }
    const hasCr = text.includes("\r");
    for (;;) {
      const end = hasCr ? nextBreak(text, start) : text.indexOf("\n", start);
      if (end === -1) break;
      const line = this.#line === "" ? text.slice(start, end) : this.#line + text.slice(start, end);
      this.#line = "";
      const before = frames.length;
      this.#endLine(line, frames);
      start = end + 1;
      if (text.charCodeAt(end) === 0x0d) {
        if (start === text.length) this.#afterCr = true;
        else if (text.charCodeAt(start) === 0x0a) start++;
      }
      if (records !== undefined && line === "") {
        records.push({ frame: frames.length > before ? frames.at(-1) : undefined, source: this.#pending + text.slice(kept, start) });
        this.#pending = "";
        kept = start;
      }
    }
    if (start < text.length) this.#line += text.slice(start);
    if (this.#line.length > this.#limits.maxEventLength) throw this.#tooLong();
    if (records !== undefined && kept < text.length) this.#keep(text.slice(kept));
  }

  /** Comments and unknown fields count here, for they are kept. */
  #keep(text: string): void {
    this.#pending += text;
    if (this.#pending.length > this.#limits.maxEventLength + maxOverhead) throw this.#tooLong();
  }

  #endLine(line: string, frames: Frame[]): void {
    if (line === "") {
      if (this.#data.length > 0) {
        frames.push({ event: this.#event, data: this.#data.length === 1 ? (this.#data[0] as string) : this.#data.join("\n") });
        this.#data = [];
        this.#length = 0;
        this.#lines = 0;
      } else if (++this.#lines > this.#limits.maxLines) throw this.#tooManyLines();
      this.#event = "";
      return;
    }
    if (++this.#lines > this.#limits.maxLines) throw this.#tooManyLines();
    const colon = line.indexOf(":");
    const field = colon === -1 ? line : line.slice(0, colon);
    if (field === "data") {
      const value = colon === -1 ? "" : line.slice(line.charCodeAt(colon + 1) === 0x20 ? colon + 2 : colon + 1);
      this.#length += value.length;
      if (this.#length > this.#limits.maxEventLength) throw this.#tooLong();
      this.#data.push(value);
    } else if (field === "event" && colon !== -1) {
      this.#event = line.slice(line.charCodeAt(colon + 1) === 0x20 ? colon + 2 : colon + 1);
    }
  }

  /** Decodes up to the last whole character; the rest waits for the next chunk. */
  #decode(chunk: Uint8Array): string {
    const bytes = this.#partial === undefined ? chunk : Buffer.concat([this.#partial, chunk]);
    const end = wholeCharacters(bytes);
    this.#partial = end === bytes.length ? undefined : bytes.slice(end);
    const whole = end === bytes.length ? bytes : bytes.subarray(0, end);
    if (!isUtf8(whole)) throw this.#broken("is not UTF-8");
    return Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength).toString("utf8");
  }

  #tooLong(): GatewayError {
    return this.#broken(`has an event longer than ${this.#limits.maxEventLength} characters`);
  }

  #tooManyLines(): GatewayError {
    return this.#broken(`has more than ${this.#limits.maxLines} lines without an event`);
  }

  #broken(what: string): GatewayError {
    return new GatewayError("provider_error", `the provider's event stream ${what}`);
  }
}

function nextBreak(text: string, start: number): number {
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === 0x0a || code === 0x0d) return at;
  }
  return -1;
}

/** Length of the longest prefix that does not end inside a UTF-8 character. */
function wholeCharacters(bytes: Uint8Array): number {
  const length = bytes.length;
  for (let back = 1; back <= 3 && back <= length; back++) {
    const byte = bytes[length - back] as number;
    if (byte < 0x80) return length;
    if (byte >= 0xc0) {
      const size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
      return size > back ? length - back : length;
    }
  }
  return length;
}
