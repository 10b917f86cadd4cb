/**
 * The script language of the simulated upstream: what a model shall say, as JSON inside the last user text, so that it
 * survives any gateway. One language for the in-process provider and the stand-alone server; docs/simulator.md tells it
 * to users. read-script.ts reads it.
 */
import type { Fault } from "./faults.ts";

export type FinishWord = (typeof finishWords)[number];
export const finishWords = ["stop", "stop_sequence", "length", "tool_calls", "content_filter", "refusal", "pause"] as const;

export interface CallStep {
  readonly name: string;
  /** JSON text as the model writes it. */
  readonly arguments: string;
  readonly id: string | undefined;
}

/** A failure in the vendor's form: a status before content, an error record after it. */
export interface ErrorStep {
  readonly status: number;
  readonly type?: string;
  readonly code?: string;
  readonly message?: string;
  /** Value of Retry-After. */
  readonly retryAfter?: string;
}

/** What a part of a text refers to. */
export interface Citation {
  readonly url: string;
  readonly title: string;
  /** Code points of the step's text, the end exclusive. */
  readonly start: number;
  readonly end: number;
}

export type ScriptStep =
  | { readonly is: "text"; readonly text: string; readonly newBlock: boolean; readonly citations: readonly Citation[] }
  | { readonly is: "refusal"; readonly text: string; readonly newBlock: boolean }
  | {
      readonly is: "reasoning";
      readonly text: string;
      readonly newBlock: boolean;
      /** A text of its own, or whether there is one at all. */
      readonly signature: string | boolean;
      readonly redacted: boolean;
    }
  /** Several run in parallel. */
  | { readonly is: "calls"; readonly calls: readonly CallStep[] }
  | { readonly is: "wait"; readonly milliseconds: number }
  | { readonly is: "error"; readonly error: ErrorStep }
  | { readonly is: "fault"; readonly fault: Fault }
  /** Text of that many bytes, as fast as the reader takes it. */
  | { readonly is: "flood"; readonly bytes: number };

export interface ScriptUsage {
  /** All input tokens, cached ones included. */
  readonly inputTokens?: number;
  /** All output tokens, reasoning included. */
  readonly outputTokens?: number;
  readonly cacheReadTokens?: number;
  readonly cacheWriteTokens?: number;
  readonly reasoningTokens?: number;
}

/** One answer. */
export interface Script {
  /** One list per candidate; a call with more candidates begins again with the first. */
  readonly candidates: readonly { readonly steps: readonly ScriptStep[]; readonly finish: FinishWord | undefined }[];
  readonly usage: ScriptUsage;
  readonly ttftMs: number | undefined;
  readonly tokensPerSecond: number | undefined;
  /** How many candidates, whatever the request says. */
  readonly n: number | undefined;
  /** Code points of one delta. */
  readonly deltaSize: number | undefined;
}

/** A script by turn of the conversation and by attempt. */
export interface ScriptBook {
  /** Answer by turn, then by attempt; the last of a list holds for all after it. Never empty. */
  readonly turns: readonly { readonly attempts: readonly Script[] }[];
  /** Attempts are counted per text of the whole script. */
  readonly text: string;
  /** Whether the script says `turns`; without it the turns after the first are answered by echo. */
  readonly byTurn: boolean;
}

/** A script that is wrong; the message begins with the path. */
export class ScriptError extends Error {
  override readonly name = "ScriptError";
  readonly path: string;

  constructor(path: string, problem: string) {
    super(`${path}: ${problem}`);
    this.path = path;
  }
}

/** A script that says one text. */
export function textScript(text: string): Script {
  return scriptOf([{ is: "text", text, newBlock: false, citations: [] }]);
}

export function scriptOf(list: readonly ScriptStep[], rest: Partial<Script> = {}): Script {
  return {
    candidates: [{ steps: list, finish: undefined }],
    usage: {},
    ttftMs: undefined,
    tokensPerSecond: undefined,
    n: undefined,
    deltaSize: undefined,
    ...rest,
  };
}
