/** Plays a script as the messages of a gRPC answer: pace, faults, and the bill at the end, whatever the end was. */
import { fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { type Counts, compose, countsOf, Meter } from "../../compose.ts";
import { type FaultName, faults } from "../../faults.ts";
import { type Pace, Pacer, pause } from "../../pace.ts";
import type { Script } from "../../script.ts";
import type { JsonObject } from "../../shape.ts";
import { signReasoning } from "../../signature.ts";
import { Gone } from "../exchange.ts";
import { newId } from "../ids.ts";
import type { AnswerWriter, ContentMove, Frame, Reading } from "../wire.ts";
import type { GrpcExchange } from "./exchange.ts";
import { fail, playHeadFault, playStreamFault, unknownField } from "./faults.ts";
import type { GrpcMethod } from "./methods.ts";

type GenerateMethod = Extract<GrpcMethod, { is: "generate" }>;

export async function play(exchange: GrpcExchange, method: GenerateMethod, reading: Reading, script: Script, pace: Pace): Promise<void> {
  await new Player(exchange, method, reading, script, pace).run();
}

class Player {
  readonly #exchange: GrpcExchange;
  readonly #method: GenerateMethod;
  readonly #reading: Reading;
  readonly #script: Script;
  readonly #pacer: Pacer;
  readonly #writer: AnswerWriter;
  readonly #meter = new Meter();
  readonly #modes = new Set<FaultName>();
  /** A fault of the one message of an unary answer. */
  #broken = false;

  constructor(exchange: GrpcExchange, method: GenerateMethod, reading: Reading, script: Script, pace: Pace) {
    this.#exchange = exchange;
    this.#method = method;
    this.#reading = reading;
    this.#script = script;
    this.#pacer = new Pacer({ ttftMs: script.ttftMs ?? pace.ttftMs, tokensPerSecond: script.tokensPerSecond ?? pace.tokensPerSecond });
    this.#writer = method.writer(reading);
  }

  async run(): Promise<void> {
    const { entry } = this.#exchange;
    try {
      if (!(await this.#moves())) return;
      const usage = this.#usage(this.#counts(true));
      if (this.#method.stream) for (const frame of this.#writer.end(usage)) await this.#send(frame);
      else if (this.#broken) this.#exchange.cutStream();
      else await this.#send({ data: this.#writer.body(usage) });
      this.#exchange.end({ code: 0, message: "" });
      entry.charge(this.#counts(true), !this.#broken);
    } catch (error) {
      if (!(error instanceof Gone)) throw error;
      if (this.#exchange.begun || entry.row?.aborted === true) entry.charge(this.#counts(false), false);
    }
  }

  /** Gives false where the answer ended early; then it is billed already. */
  async #moves(): Promise<boolean> {
    const { prompt } = this.#reading;
    const { signal } = this.#exchange;
    const { callIdPrefix, family } = this.#method;
    const moves = compose(this.#script, {
      candidates: prompt.candidates,
      maxOutputTokens: prompt.maxOutputTokens,
      stop: prompt.stop,
      reasoning: prompt.reasoning,
      interleave: false,
      newCallId: () => newId(callIdPrefix),
      sign: (text) => signReasoning(family, text),
    });
    for (const move of moves) {
      signal.throwIfAborted();
      if (move.is === "wait") {
        await pause(move.milliseconds, signal);
        this.#pacer.skip(move.milliseconds);
      } else if (move.is === "error") {
        if (this.#exchange.begun) this.#exchange.entry.charge(this.#counts(false), false);
        fail(this.#exchange, this.#method.vendor, move.error);
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
    const frames = this.#writer.write(move);
    if (!this.#method.stream) return;
    for (const frame of frames) await this.#send(frame);
  }

  async #fault(fault: Parameters<typeof playHeadFault>[0]): Promise<boolean> {
    const { place } = faults[fault.name];
    if (place === "mode") {
      this.#modes.add(fault.name);
      return true;
    }
    const { vendor, stream } = this.#method;
    if (place === "head") {
      await playHeadFault(fault, this.#exchange, vendor);
      return false;
    }
    if (!stream) {
      if (fault.name === "stall") await pause(Number.POSITIVE_INFINITY, this.#exchange.signal);
      if (!onlyOfStreams.has(fault.name)) this.#broken = true;
      return true;
    }
    this.#exchange.begin();
    const goesOn = await playStreamFault(fault, this.#exchange, vendor);
    if (!goesOn) this.#exchange.entry.charge(this.#counts(false), false);
    return goesOn;
  }

  async #send({ data }: Frame): Promise<void> {
    const { usageAlways, schema } = this.#method;
    const json = typeof data === "string" ? {} : { ...data };
    if (usageAlways !== undefined && json[usageAlways] === undefined) {
      const usage = this.#usage(this.#counts(false));
      if (usage !== undefined) json[usageAlways] = usage;
    }
    const bytes = toBinary(schema, fromJson(schema, json as JsonValue, { ignoreUnknownFields: true }));
    await this.#exchange.message(this.#modes.has("unknown_field") ? Buffer.concat([bytes, unknownField]) : bytes);
  }

  #counts(complete: boolean): Counts {
    return countsOf(this.#reading.prompt.inputTokens, this.#meter, this.#script.usage, complete);
  }

  /** The vendor's usage, with what faults make of it. */
  #usage(counts: Counts): JsonObject | undefined {
    if (this.#modes.has("usage_absent")) return undefined;
    const usage = this.#method.usage(counts);
    const change = this.#modes.has("usage_zero") ? () => 0 : this.#modes.has("usage_negative") ? (count: number) => -count - 1 : undefined;
    if (change === undefined) return usage;
    return Object.fromEntries(Object.entries(usage).map(([name, value]) => [name, typeof value === "number" ? change(value) : value]));
  }
}

/** Messages beside the answer's own have no place in a unary call. */
const onlyOfStreams: ReadonlySet<string> = new Set(["unknown_event", "comment_flood", "ping_flood", "empty_lines"]);
