/** Frames into bytes, with everything that can be odd about bytes that are still legal (and some that are not). */
import { pause } from "../pace.ts";
import type { Exchange } from "./exchange.ts";
import type { Frame, Framing } from "./wire.ts";

export class Outlet {
  readonly #exchange: Exchange;
  /** One JSON array instead of SSE. */
  readonly #array: boolean;
  /** Instead of SSE, where the vendor has a format of its own. */
  readonly framing: Framing | undefined;
  #first = true;
  lineEnd: "\n" | "\r\n" | "\r";
  /** CR and LF go out in writes of their own. */
  splitLineEnds = false;
  /** Bytes and pause of a drip. */
  drip: { readonly bytes: number; readonly intervalMs: number } | undefined;
  /** Every byte beyond ASCII in a write of its own. */
  splitCharacters = false;
  unknownField = false;
  nul = false;
  mark = false;
  /** Bytes until the connection is reset. */
  resetAfter: number | undefined;

  constructor(exchange: Exchange, lineEnd: "\n" | "\r\n", array: boolean, framing?: Framing) {
    this.#exchange = exchange;
    this.lineEnd = lineEnd;
    this.#array = array;
    this.framing = framing;
  }

  get isArray(): boolean {
    return this.#array;
  }

  async frames(frames: readonly Frame[], { blankLine = true } = {}): Promise<void> {
    const { framing } = this;
    if (framing !== undefined) {
      await this.bytes(Buffer.concat(frames.map((frame) => framing.encode({ ...frame, data: this.#dataOf(frame) }))));
      return;
    }
    let text = "";
    for (const [index, frame] of frames.entries()) text += this.#frameText(frame, blankLine || index < frames.length - 1);
    if (text !== "") await this.text(text);
  }

  #dataOf({ data }: Frame): Frame["data"] {
    return this.unknownField && typeof data === "object" ? { ...data, sim_unknown: { nested: [1, "two"] } } : data;
  }

  /** The text of a frame. */
  #frameText(frame: Frame, blankLine: boolean): string {
    const data = this.#dataOf(frame);
    const json = typeof data === "string" ? data : JSON.stringify(data);
    if (this.#array) {
      const before = this.#first ? "[" : ",\r\n";
      this.#first = false;
      return before + json;
    }
    const mark = this.mark && this.#first ? "\ufeff" : "";
    this.#first = false;
    const odd = this.nul ? `: \u0000 comment${this.lineEnd}id: \u0000${this.lineEnd}` : "";
    const event = frame.event === undefined ? "" : `event: ${frame.event}${this.lineEnd}`;
    return `${mark}${odd}${event}data: ${json}${this.lineEnd}${blankLine ? this.lineEnd : ""}`;
  }

  /** Closes the array. */
  async end(): Promise<void> {
    if (this.#array) await this.text(this.#first ? "[]" : "]");
  }

  async text(text: string): Promise<void> {
    await this.bytes(Buffer.from(text, "utf8"));
  }

  async bytes(bytes: Buffer): Promise<void> {
    if (this.resetAfter !== undefined) {
      const left = bytes.subarray(0, this.resetAfter);
      this.resetAfter -= left.length;
      await this.#cut(left);
      if (this.resetAfter === 0) await this.reset();
    } else await this.#cut(bytes);
  }

  /** What was written before is given time to leave: RST overtakes it. */
  async reset(): Promise<never> {
    await pause(20, this.#exchange.signal);
    this.#exchange.reset();
    return pause(Number.POSITIVE_INFINITY, this.#exchange.signal) as Promise<never>;
  }

  async #cut(bytes: Buffer): Promise<void> {
    if (this.drip === undefined && !this.splitCharacters && !this.splitLineEnds) {
      const drained = this.#exchange.write(bytes);
      if (drained !== undefined) await drained;
      return;
    }
    let start = 0;
    for (let at = 1; at <= bytes.length; at++) {
      if (at < bytes.length && !this.#cutsAt(bytes, at, start)) continue;
      await this.#exchange.write(bytes.subarray(start, at));
      start = at;
      // A turn of the event loop (or the drip's pause) keeps the writes apart.
      await pause(this.drip?.intervalMs ?? 0, this.#exchange.signal);
    }
  }

  #cutsAt(bytes: Buffer, at: number, start: number): boolean {
    if (this.drip !== undefined) return at - start >= this.drip.bytes;
    const before = bytes[at - 1] as number;
    const after = bytes[at] as number;
    if (this.splitLineEnds && before === 0x0d) return true;
    return this.splitCharacters && after >= 0x80;
  }
}
