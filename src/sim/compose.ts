/** From a script to the moves of an answer: what opens, grows and closes, in which order. Lazy, so that a flood needs no memory. */
import type { Fault } from "./faults.ts";
import type { CallStep, Citation, ErrorStep, FinishWord, Script, ScriptStep, ScriptUsage } from "./script.ts";
import { codePointsOf, codePointsPerToken, cutText, firstCodePoints, tokensOfCodePoints } from "./tokens.ts";

export type BlockWord = "text" | "reasoning" | "refusal" | "call";

export type Move =
  | {
      readonly is: "open";
      readonly candidate: number;
      readonly block: number;
      readonly kind: BlockWord;
      readonly id: string;
      readonly name: string;
    }
  /** A piece of text or of a call's arguments. `hidden`: made and billed, but not shown. */
  | {
      readonly is: "grow";
      readonly candidate: number;
      readonly block: number;
      readonly text: string;
      readonly hidden: boolean;
      readonly paced: boolean;
    }
  | {
      readonly is: "close";
      readonly candidate: number;
      readonly block: number;
      readonly signature: string | undefined;
      readonly redacted: boolean;
      /** Of a text; offsets are those of the block. */
      readonly citations: readonly Citation[];
      /** The answer was cut inside the block. */
      readonly incomplete: boolean;
    }
  | { readonly is: "wait"; readonly milliseconds: number }
  | { readonly is: "error"; readonly error: ErrorStep }
  | { readonly is: "fault"; readonly fault: Fault }
  | { readonly is: "finish"; readonly candidate: number; readonly reason: FinishWord; readonly stopSequence: string | undefined };

export interface ComposeOptions {
  readonly candidates: number;
  readonly maxOutputTokens: number | undefined;
  readonly stop: readonly string[];
  readonly reasoning: "default" | "asked" | "hidden" | "off";
  /** Whether parallel calls grow in turns, or one after the other because the format has it so. */
  readonly interleave: boolean;
  newCallId(): string;
  sign(text: string): string;
}

/** Everything of every candidate, in turns; `finish` of each last. */
export function* compose(script: Script, options: ComposeOptions): Generator<Move> {
  const count = script.n ?? options.candidates;
  const running = Array.from({ length: count }, (_, candidate) => {
    const { steps, finish } = script.candidates[candidate % script.candidates.length] ?? { steps: [], finish: undefined };
    // Steps that several candidates share wait and fail once, not once for each.
    const own = candidate < script.candidates.length;
    const mine = own ? steps : steps.filter(({ is }) => is !== "wait" && is !== "error" && is !== "fault");
    return new Composer(candidate, script.deltaSize ?? codePointsPerToken, options).moves(mine, finish);
  });
  while (running.length > 0) {
    for (const moves of [...running]) {
      const { value, done } = moves.next();
      if (done === true) running.splice(running.indexOf(moves), 1);
      else yield value;
    }
  }
}

class Composer {
  readonly #candidate: number;
  readonly #deltaSize: number;
  readonly #options: ComposeOptions;
  #blocks = 0;
  #open: { block: number; kind: BlockWord; step: ScriptStep; text: string[]; citations: Citation[] } | undefined;
  /** Tokens of closed blocks, and code points of open ones by block. */
  #tokens = 0;
  readonly #growing = new Map<number, number>();
  #full = false;
  #stopSequence: string | undefined;

  constructor(candidate: number, deltaSize: number, options: ComposeOptions) {
    this.#candidate = candidate;
    this.#deltaSize = deltaSize;
    this.#options = options;
    this.#full = options.maxOutputTokens === 0;
  }

  *moves(steps: readonly ScriptStep[], finish: FinishWord | undefined): Generator<Move> {
    let called = false;
    for (const step of steps) {
      if (this.#full || this.#stopSequence !== undefined) break;
      switch (step.is) {
        case "text":
        case "refusal":
        case "reasoning":
          if (step.is === "reasoning" && this.#options.reasoning === "off") break;
          yield* this.#say(step);
          break;
        case "flood":
          yield* this.#flood(step);
          break;
        case "calls":
          yield* this.#close();
          yield* this.#call(step.calls);
          called = true;
          break;
        case "wait":
          yield { is: "wait", milliseconds: step.milliseconds };
          break;
        case "error":
          yield { is: "error", error: step.error };
          break;
        case "fault":
          yield { is: "fault", fault: step.fault };
          break;
      }
    }
    yield* this.#close();
    yield { is: "finish", candidate: this.#candidate, reason: this.#reason(called, finish), stopSequence: this.#stopSequence };
  }

  #reason(called: boolean, finish: FinishWord | undefined): FinishWord {
    if (this.#full) return "length";
    if (this.#stopSequence !== undefined) return "stop_sequence";
    return finish ?? (called ? "tool_calls" : "stop");
  }

  *#say(step: Extract<ScriptStep, { is: "text" | "refusal" | "reasoning" }>): Generator<Move> {
    if (this.#open === undefined || this.#open.kind !== step.is || step.newBlock) {
      yield* this.#close();
      yield this.#begin(step.is, step, "", "");
    }
    const open = this.#open;
    if (open === undefined) return;
    open.step = step;
    const hidden = step.is === "reasoning" && (step.redacted || this.#options.reasoning === "hidden");
    const text = step.is === "text" ? this.#cutAtStop(step.text) : step.text;
    if (step.is === "text" && step.citations.length > 0) {
      const before = codePointsOf(open.text.join(""));
      open.citations.push(...step.citations.map((one) => ({ ...one, start: before + one.start, end: before + one.end })));
    }
    open.text.push(text);
    yield* this.#grow(open.block, cutText(text, this.#deltaSize), hidden);
  }

  /** The text before the first stop text that occurs in it. */
  #cutAtStop(text: string): string {
    let end = text.length;
    for (const stop of this.#options.stop) {
      const at = stop === "" ? -1 : text.indexOf(stop);
      if (at === -1 || at >= end) continue;
      end = at;
      this.#stopSequence = stop;
    }
    return text.slice(0, end);
  }

  *#flood(step: Extract<ScriptStep, { is: "flood" }>): Generator<Move> {
    if (this.#open?.kind !== "text") {
      yield* this.#close();
      yield this.#begin("text", step, "", "");
    }
    const block = this.#open?.block ?? 0;
    for (let left = step.bytes; left > 0 && !this.#full; left -= floodPiece.length) {
      yield* this.#grow(block, [floodPiece.slice(0, left)], false, false);
    }
  }

  *#call(calls: readonly CallStep[]): Generator<Move> {
    const { interleave, newCallId } = this.#options;
    const pieces = (call: CallStep) => cutText(call.arguments, this.#deltaSize);
    if (!interleave || calls.length === 1) {
      for (const call of calls) {
        if (this.#full) return;
        const opened = this.#begin("call", { is: "calls", calls: [call] }, call.id ?? newCallId(), call.name);
        yield opened;
        yield* this.#grow(opened.block, pieces(call), false);
        yield* this.#close();
      }
      return;
    }
    const running = calls.map((call) => {
      const opened = this.#begin("call", { is: "calls", calls: [call] }, call.id ?? newCallId(), call.name);
      return { opened, pieces: pieces(call), ended: false };
    });
    this.#open = undefined;
    for (const { opened } of running) yield opened;
    while (!this.#full && running.some(({ ended }) => !ended)) {
      for (const one of running) {
        const { value, done } = one.pieces.next();
        if (done === true) one.ended = true;
        else yield* this.#grow(one.opened.block, [value], false);
      }
    }
    for (const one of running) {
      this.#settle(one.opened.block);
      yield this.#closing(one.opened.block, { incomplete: this.#full && !one.ended });
    }
  }

  #begin(kind: BlockWord, step: ScriptStep, id: string, name: string): Extract<Move, { is: "open" }> {
    const block = this.#blocks++;
    this.#open = { block, kind, step, text: [], citations: [] };
    this.#growing.set(block, codePointsOf(name));
    return { is: "open", candidate: this.#candidate, block, kind, id, name };
  }

  *#grow(block: number, pieces: Iterable<string>, hidden: boolean, paced = true): Generator<Move> {
    for (const piece of pieces) {
      const text = this.#fit(block, piece);
      if (text !== "") yield { is: "grow", candidate: this.#candidate, block, text, hidden, paced };
      if (text.length < piece.length) {
        this.#full = true;
        return;
      }
    }
  }

  /** As much of a piece as max_output_tokens leaves room for. */
  #fit(block: number, piece: string): string {
    const before = this.#growing.get(block) ?? 0;
    const size = codePointsOf(piece);
    const most = this.#options.maxOutputTokens;
    if (most === undefined) {
      this.#growing.set(block, before + size);
      return piece;
    }
    let others = this.#tokens;
    for (const [other, codePoints] of this.#growing) if (other !== block) others += tokensOfCodePoints(codePoints);
    const room = Math.max(0, (most - others) * codePointsPerToken - before);
    this.#growing.set(block, before + Math.min(size, room));
    return size <= room ? piece : firstCodePoints(piece, room);
  }

  #settle(block: number): void {
    this.#tokens += tokensOfCodePoints(this.#growing.get(block) ?? 0);
    this.#growing.delete(block);
  }

  *#close(): Generator<Move> {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    this.#settle(open.block);
    const { step } = open;
    if (step.is !== "reasoning") {
      yield this.#closing(open.block, { citations: open.citations, incomplete: this.#full });
      return;
    }
    const own = step.redacted ? `redacted:${open.text.join("")}` : open.text.join("");
    const signature = typeof step.signature === "string" ? step.signature : step.signature ? this.#options.sign(own) : undefined;
    yield this.#closing(open.block, { signature, redacted: step.redacted, incomplete: this.#full });
  }

  #closing(
    block: number,
    { signature = undefined as string | undefined, redacted = false, citations = [] as readonly Citation[], incomplete = false },
  ): Move {
    return { is: "close", candidate: this.#candidate, block, signature, redacted, citations, incomplete };
  }
}

const floodPiece = "x".repeat(1024);

/** Counts what was made, move by move: what a provider would bill. */
export class Meter {
  readonly #blocks = new Map<string, { kind: BlockWord; codePoints: number }>();
  #output = 0;
  #reasoning = 0;

  see(move: Move): void {
    if (move.is !== "open" && move.is !== "grow") return;
    const key = `${move.candidate}/${move.block}`;
    const block = this.#blocks.get(key) ?? { kind: move.is === "open" ? move.kind : "text", codePoints: 0 };
    this.#blocks.set(key, block);
    const before = tokensOfCodePoints(block.codePoints);
    block.codePoints += codePointsOf(move.is === "open" ? move.name : move.text);
    const made = tokensOfCodePoints(block.codePoints) - before;
    this.#output += made;
    if (block.kind === "reasoning") this.#reasoning += made;
  }

  get outputTokens(): number {
    return this.#output;
  }

  get reasoningTokens(): number {
    return this.#reasoning;
  }
}

/** Counts of an answer in the contract's meaning: input holds the cached tokens, output the reasoning. */
export interface Counts {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly reasoningTokens: number;
}

/** `complete`: what the script states holds; before the end only what it states of the input. */
export function countsOf(inputTokens: number, meter: Meter, usage: ScriptUsage, complete: boolean): Counts {
  const stated = complete ? usage : {};
  return {
    inputTokens: usage.inputTokens ?? inputTokens,
    outputTokens: stated.outputTokens ?? meter.outputTokens,
    cacheReadTokens: usage.cacheReadTokens ?? 0,
    cacheWriteTokens: usage.cacheWriteTokens ?? 0,
    reasoningTokens: stated.reasoningTokens ?? meter.reasoningTokens,
  };
}
