/** Plays a script onto the wire: pace, faults, stream or body, and the bill at the end, whatever the end was. */
import { type Counts, compose, countsOf, Meter } from "../compose.ts";
import { type Fault, type FaultName, faults } from "../faults.ts";
import { type Pace, Pacer, pause } from "../pace.ts";
import type { Script } from "../script.ts";
import { isObject, type JsonObject } from "../shape.ts";
import { signReasoning } from "../signature.ts";
import { type Exchange, Gone } from "./exchange.ts";
import { playHeadFault, sendProblem } from "./head-faults.ts";
import { newId } from "./ids.ts";
import { Outlet } from "./outlet.ts";
import { playStreamFault } from "./stream-faults.ts";
import type { AnswerWriter, ContentMove, Frame, Reading, Wire } from "./wire.ts";

export async function play(exchange: Exchange, wire: Wire, reading: Reading, script: Script, pace: Pace): Promise<void> {
  await new Player(exchange, wire, reading, script, pace).run();
}

class Player {
  readonly #exchange: Exchange;
  readonly #wire: Wire;
  readonly #reading: Reading;
  readonly #script: Script;
  readonly #pacer: Pacer;
  readonly #writer: AnswerWriter;
  readonly #outlet: Outlet;
  readonly #meter = new Meter();
  readonly #modes = new Set<FaultName>();
  #stream: boolean;
  #begun = false;
  /** What opened before the first token: the answer begins with that. */
  readonly #waiting: ContentMove[] = [];
  #growing: { candidate: number; block: number } | undefined;
  /** The first frames with content, for what comes after the end. */
  #sample: Frame[] = [];
  /** A fault of the buffered body. */
  #bodyFault: Fault | undefined;

  constructor(exchange: Exchange, wire: Wire, reading: Reading, script: Script, pace: Pace) {
    this.#exchange = exchange;
    this.#wire = wire;
    this.#reading = reading;
    this.#script = script;
    this.#pacer = new Pacer({ ttftMs: script.ttftMs ?? pace.ttftMs, tokensPerSecond: script.tokensPerSecond ?? pace.tokensPerSecond });
    this.#writer = wire.writer(reading);
    this.#outlet = new Outlet(exchange, wire.lineEnd, reading.array, wire.framing);
    this.#stream = reading.stream;
  }

  async run(): Promise<void> {
    try {
      if (!(await this.#moves())) return;
      if (this.#stream) await this.#endStream();
      else await this.#sendBody();
      this.#exchange.entry.charge(this.#counts(true), this.#bodyFault === undefined);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      if (this.#begun || this.#exchange.entry.row?.aborted === true) this.#exchange.entry.charge(this.#counts(false), false);
    }
  }

  /** Gives false where the answer ended early; then it is billed already. */
  async #moves(): Promise<boolean> {
    const { prompt } = this.#reading;
    const { signal } = this.#exchange;
    const moves = compose(this.#script, {
      candidates: prompt.candidates,
      maxOutputTokens: prompt.maxOutputTokens,
      stop: prompt.stop,
      reasoning: prompt.reasoning,
      interleave: this.#wire.interleave,
      newCallId: () => newId(this.#wire.callIdPrefix),
      sign: (text) => signReasoning(this.#wire.family, text),
    });
    for (const move of moves) {
      signal.throwIfAborted();
      if (move.is === "wait") {
        await pause(move.milliseconds, signal);
        this.#pacer.skip(move.milliseconds);
      } else if (move.is === "error") {
        await this.#fail(move.error);
        return false;
      } else if (move.is === "fault") {
        if (!(await this.#fault(move.fault))) return false;
      } else {
        if (move.is === "grow" && move.paced) {
          const due = this.#pacer.next(signal);
          if (due !== undefined) await due;
        }
        this.#meter.see(move);
        await this.#write(move);
      }
    }
    return true;
  }

  async #write(move: ContentMove): Promise<void> {
    if (move.is === "open") this.#growing = move.kind === "text" ? { candidate: move.candidate, block: move.block } : undefined;
    if (move.is === "close") this.#growing = undefined;
    if (!this.#stream) {
      this.#writer.write(move);
    } else if (!this.#begun && move.is === "open") {
      this.#waiting.push(move);
    } else {
      await this.#begin();
      const frames = this.#writer.write(move);
      if (move.is === "grow" && this.#sample.length === 0) this.#sample = frames;
      await this.#outlet.frames(frames);
    }
  }

  async #begin(): Promise<void> {
    if (this.#begun) return;
    this.#begun = true;
    const type = this.#reading.array ? "application/json" : (this.#wire.framing?.type ?? "text/event-stream; charset=utf-8");
    this.#exchange.head(200, { "content-type": type, "cache-control": "no-cache" });
    const frames = this.#writer.begin(this.#usage(this.#counts(false)));
    for (const move of this.#waiting) frames.push(...this.#writer.write(move));
    await this.#outlet.frames(frames);
  }

  async #fail(error: { status: number; type?: string; code?: string; message?: string; retryAfter?: string }): Promise<void> {
    if (!this.#begun) {
      await sendProblem(this.#exchange, this.#wire.vendor, error);
      return;
    }
    await this.#outlet.frames(this.#writer.error(error));
    await this.#finishEarly();
  }

  async #fault(fault: Fault): Promise<boolean> {
    const { name } = fault;
    const { place } = faults[name];
    if (place === "head") {
      await playHeadFault(fault, this.#exchange, this.#wire.vendor, this.#reading);
      return false;
    }
    if (place === "mode") {
      this.#setMode(fault);
      return true;
    }
    if (!this.#stream) {
      if (name === "error_event") {
        await sendProblem(this.#exchange, this.#wire.vendor, { status: 529 });
        return false;
      }
      this.#bodyFault ??= fault;
      return true;
    }
    await this.#begin();
    const goesOn = await playStreamFault(fault, {
      exchange: this.#exchange,
      outlet: this.#outlet,
      writer: this.#writer,
      growing: this.#growing,
    });
    if (!goesOn) await this.#finishEarly();
    return goesOn;
  }

  /** The stream ends here, as far as the socket can tell in good order. */
  async #finishEarly(): Promise<void> {
    this.#exchange.entry.charge(this.#counts(false), false);
    this.#exchange.end();
  }

  #setMode({ name, bytes = 1, intervalMs = 20 }: Fault): void {
    this.#modes.add(name);
    const outlet = this.#outlet;
    if (name === "json_for_sse") this.#stream = false;
    else if (name === "sse_for_json") this.#stream = true;
    else if (name === "drip") outlet.drip = { bytes, intervalMs };
    else if (name === "split_utf8") outlet.splitCharacters = true;
    else if (name === "cr") outlet.lineEnd = "\r";
    else if (name === "crlf_split") {
      outlet.lineEnd = "\r\n";
      outlet.splitLineEnds = true;
    } else if (name === "bom") outlet.mark = true;
    else if (name === "nul") outlet.nul = true;
    else if (name === "unknown_field") outlet.unknownField = true;
  }

  async #endStream(): Promise<void> {
    await this.#begin();
    const counts = this.#counts(true);
    if (this.#modes.has("usage_repeated") || this.#modes.has("usage_falling")) {
      for (const factor of this.#modes.has("usage_falling") ? [3, 2] : [1, 1]) {
        const usage = this.#usage(times(counts, factor));
        if (usage !== undefined) await this.#outlet.frames(this.#writer.usageOnly(usage));
      }
    }
    const frames = this.#writer.end(this.#usage(counts));
    await this.#outlet.frames(frames, { blankLine: !this.#modes.has("no_blank_line") });
    if (this.#modes.has("double_end")) await this.#outlet.frames(frames.slice(-1));
    if (this.#modes.has("data_after_end")) await this.#outlet.frames(this.#sample);
    await this.#outlet.end();
    this.#exchange.end();
  }

  async #sendBody(): Promise<void> {
    const usage = this.#usage(this.#counts(true));
    const body = this.#writer.body(usage);
    const merged = this.#modes.has("unknown_field") ? { ...body, sim_unknown: { nested: [1, "two"] } } : body;
    const bytes = Buffer.from(`${JSON.stringify(merged)}\n`);
    this.#begun = true;
    this.#exchange.head(200, { "content-type": "application/json; charset=utf-8" });
    if (this.#bodyFault === undefined) {
      await this.#outlet.bytes(bytes);
      if (this.#modes.has("double_end") || this.#modes.has("data_after_end")) await this.#outlet.bytes(bytes);
    } else await this.#sendBrokenBody(bytes, this.#bodyFault);
    this.#exchange.end();
  }

  /** What breaks a stream in its middle breaks a body in its middle. */
  async #sendBrokenBody(bytes: Buffer, fault: Fault): Promise<void> {
    const half = bytes.subarray(0, Math.floor(bytes.length / 2));
    switch (fault.name) {
      case "reset":
        await this.#outlet.bytes(bytes.subarray(0, fault.bytes ?? half.length));
        await this.#outlet.reset();
        break;
      case "stall":
        await this.#outlet.bytes(half);
        await pause(Number.POSITIVE_INFINITY, this.#exchange.signal);
        break;
      case "bad_utf8":
        await this.#outlet.bytes(Buffer.concat([Buffer.from('{"sim": "'), Buffer.from([0xff, 0xfe, 0xc3, 0x28]), Buffer.from('"}')]));
        break;
      case "huge_event":
      case "endless_line":
        for (let left = fault.bytes ?? (fault.name === "huge_event" ? (16 << 20) + 1 : 256 << 20); left > 0; left -= blanks.length)
          await this.#outlet.bytes(blanks.subarray(0, left));
        await this.#outlet.bytes(bytes);
        break;
      case "unknown_event":
      case "comment_flood":
      case "ping_flood":
      case "empty_lines":
        this.#bodyFault = undefined;
        await this.#outlet.bytes(bytes);
        break;
      default:
        await this.#outlet.bytes(half);
    }
  }

  #counts(complete: boolean): Counts {
    return countsOf(this.#reading.prompt.inputTokens, this.#meter, this.#script.usage, complete);
  }

  /** The vendor's usage object, with what faults make of it. */
  #usage(counts: Counts): JsonObject | undefined {
    if (this.#modes.has("usage_absent")) return undefined;
    const usage = this.#wire.usage(counts);
    if (this.#modes.has("usage_zero")) return mapCounts(usage, () => 0);
    if (this.#modes.has("usage_negative")) return mapCounts(usage, (count) => -count - 1);
    if (this.#modes.has("usage_huge")) return mapCounts(usage, () => 2 ** 53);
    if (this.#modes.has("usage_string")) return mapCounts(usage, String);
    return usage;
  }
}

const blanks = Buffer.alloc(64 << 10, " ");

function times(counts: Counts, factor: number): Counts {
  return {
    inputTokens: counts.inputTokens * factor,
    outputTokens: counts.outputTokens * factor,
    cacheReadTokens: counts.cacheReadTokens * factor,
    cacheWriteTokens: counts.cacheWriteTokens * factor,
    reasoningTokens: counts.reasoningTokens * factor,
  };
}

function mapCounts(usage: JsonObject, change: (count: number) => unknown): JsonObject {
  const entries = Object.entries(usage).map(([name, value]) => {
    if (typeof value === "number") return [name, change(value)];
    return [name, isObject(value) ? mapCounts(value, change) : value];
  });
  return Object.fromEntries(entries) as JsonObject;
}
