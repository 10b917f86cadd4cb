/**
 * The script language of the simulated upstream: what a model shall say, as JSON inside the last user text, so that it
 * survives any gateway. One language for the in-process provider and the stand-alone server; docs/simulator.md tells it
 * to users.
 */
import { type Fault, type FaultName, faultNames, mustComeFirst } from "./faults.ts";
import {
  checkShape,
  either,
  flag,
  type Issue,
  integer,
  isObject,
  list,
  number,
  object,
  pathText,
  required,
  string,
  word,
} from "./shape.ts";

export type FinishWord = (typeof finishWords)[number];
const finishWords = ["stop", "stop_sequence", "length", "tool_calls", "content_filter", "refusal", "pause"] as const;

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

const milliseconds = integer(0, 3_600_000);
const call = object({
  name: required(string({ min: 1 })),
  arguments: either(string(), object({}, { open: true })),
  id: string({ min: 1 }),
});
const step = object({
  text: string(),
  reasoning: string(),
  refusal: string(),
  citations: list(
    object({
      url: required(string({ min: 1 })),
      title: required(string()),
      start: required(integer(0, 1_000_000)),
      end: required(integer(0, 1_000_000)),
    }),
    1,
    100,
  ),
  new_block: flag,
  signature: either(string({ min: 1 }), flag),
  redacted: flag,
  tool_call: call,
  parallel: list(object({ tool_call: required(call) }), 1, 128),
  delay_ms: milliseconds,
  error: object({
    status: required(integer(400, 599)),
    type: string(),
    code: string(),
    message: string(),
    retry_after: either(number(), string()),
  }),
  fault: word(...faultNames),
  flood_bytes: integer(1, 1 << 30),
  bytes: integer(0, 1 << 30),
  count: integer(1, 1_000_000),
  interval_ms: integer(0, 60_000),
  status: integer(300, 399),
  location: string(),
  retry_after: either(number(), string()),
});
const steps = list(step, 0, 100_000);
const finish = word(...finishWords);
const count = integer(0, 1_000_000_000);
const answer = {
  steps,
  candidates: list(object({ steps: required(steps), finish }), 1, 128),
  finish,
  usage: object({
    input_tokens: count,
    output_tokens: count,
    cache_read_tokens: count,
    cache_write_tokens: count,
    reasoning_tokens: count,
  }),
  ttft_ms: milliseconds,
  tokens_per_second: number(0, 1_000_000),
  n: integer(1, 128),
  delta_size: integer(1, 1_000_000),
};
const attempts = list(object(answer), 1, 100);
const book = object({ ...answer, attempts, turns: list(object({ ...answer, attempts }), 1, 1000), id: string() });

/** The members of a step of which it has exactly one. */
const actions = ["text", "reasoning", "refusal", "tool_call", "parallel", "delay_ms", "error", "fault", "flood_bytes"] as const;
/** Which other members go with an action. */
const companions: Readonly<Record<string, readonly (typeof actions)[number][]>> = {
  new_block: ["text", "reasoning", "refusal"],
  citations: ["text"],
  signature: ["reasoning"],
  redacted: ["reasoning"],
  bytes: ["fault"],
  count: ["fault"],
  interval_ms: ["fault"],
  status: ["fault"],
  location: ["fault"],
  retry_after: ["fault"],
};

/**
 * The script in a text: JSON of an object whose one member is `sim_script`. Undefined where the text is none.
 * Throws ScriptError where it is one, but a wrong one.
 */
export function findScript(text: string): ScriptBook | undefined {
  const trimmed = text.trim();
  if (!trimmed.startsWith("{") || !/^\{\s*"sim_script"\s*:/.test(trimmed)) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(trimmed);
  } catch {
    throw new ScriptError("sim_script", "the text begins like a script but is no JSON");
  }
  if (!isObject(parsed) || Object.keys(parsed).length !== 1) throw new ScriptError("sim_script", "must be the only member of the object");
  return readScript(parsed.sim_script, trimmed);
}

/** Throws ScriptError. `text` is what attempts are counted by. */
export function readScript(value: unknown, text: string = JSON.stringify(value)): ScriptBook {
  const [issue] = checkShape(value, book);
  if (issue !== undefined) throw new ScriptError(pathText(["sim_script", ...issue.path]), wordsOf(issue));
  const whole = value as JsonAnswer & { turns?: JsonAnswer[] };
  if (whole.turns === undefined) return { turns: [{ attempts: readAttempts(whole, "sim_script") }], text, byTurn: false };
  refuseBeside(whole, "turns", "sim_script");
  const turns = whole.turns.map((turn, index) => ({ attempts: readAttempts(turn, `sim_script.turns[${index}]`) }));
  return { turns, text, byTurn: true };
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

interface JsonAnswer {
  steps?: JsonStep[] | null;
  candidates?: { steps: JsonStep[]; finish?: FinishWord | null }[] | null;
  attempts?: JsonAnswer[] | null;
  finish?: FinishWord | null;
  usage?: Record<string, number | null> | null;
  ttft_ms?: number | null;
  tokens_per_second?: number | null;
  n?: number | null;
  delta_size?: number | null;
}

interface JsonCall {
  name: string;
  arguments?: unknown;
  id?: string | null;
}

type JsonStep = Record<string, unknown>;

function readAttempts(value: JsonAnswer, path: string): Script[] {
  if (value.attempts === undefined || value.attempts === null) return [readAnswer(value, path)];
  refuseBeside(value, "attempts", path);
  return value.attempts.map((attempt, index) => readAnswer(attempt, `${path}.attempts[${index}]`));
}

/** A list of answers stands alone, or it would not be clear which holds. */
function refuseBeside(value: object, name: string, path: string): void {
  const other = Object.keys(value).find((key) => key !== name && key !== "id");
  if (other !== undefined) throw new ScriptError(`${path}.${other}`, `belongs into the elements of ${name}, not beside it`);
}

function readAnswer(value: JsonAnswer, path: string): Script {
  if (value.steps && value.candidates) throw new ScriptError(`${path}.candidates`, "cannot stand beside steps");
  const candidates = value.candidates
    ? value.candidates.map((one, index) => ({
        steps: readSteps(one.steps, `${path}.candidates[${index}].steps`),
        finish: one.finish ?? value.finish ?? undefined,
      }))
    : [{ steps: readSteps(value.steps ?? [], `${path}.steps`), finish: value.finish ?? undefined }];
  const usage = value.usage ?? {};
  return {
    candidates,
    usage: {
      ...named("inputTokens", usage.input_tokens),
      ...named("outputTokens", usage.output_tokens),
      ...named("cacheReadTokens", usage.cache_read_tokens),
      ...named("cacheWriteTokens", usage.cache_write_tokens),
      ...named("reasoningTokens", usage.reasoning_tokens),
    },
    ttftMs: value.ttft_ms ?? undefined,
    tokensPerSecond: value.tokens_per_second ?? undefined,
    n: value.n ?? undefined,
    deltaSize: value.delta_size ?? undefined,
  };
}

function readSteps(list: readonly JsonStep[], path: string): ScriptStep[] {
  let content = false;
  return list.map((value, index) => {
    const at = `${path}[${index}]`;
    const read = readStep(value, at);
    if (read.is === "fault" && content && mustComeFirst(read.fault.name)) {
      throw new ScriptError(`${at}.fault`, `${read.fault.name} replaces the beginning of an answer, so it must come before content`);
    }
    if (read.is !== "wait" && read.is !== "fault") content = true;
    return read;
  });
}

function readStep(value: JsonStep, path: string): ScriptStep {
  const present = actions.filter((name) => value[name] !== undefined && value[name] !== null);
  const [action] = present;
  if (action === undefined) throw new ScriptError(path, `needs one of ${actions.join(", ")}`);
  if (present.length > 1) throw new ScriptError(path, `has ${present.join(" and ")}; one step does one thing`);
  for (const [name, allowed] of Object.entries(companions)) {
    if (value[name] !== undefined && !allowed.includes(action)) throw new ScriptError(`${path}.${name}`, `does not go with ${action}`);
  }
  switch (action) {
    case "text":
      return {
        is: action,
        text: String(value.text),
        newBlock: value.new_block === true,
        citations: (value.citations as Citation[] | undefined) ?? [],
      };
    case "refusal":
      return { is: action, text: String(value.refusal), newBlock: value.new_block === true };
    case "reasoning":
      return {
        is: action,
        text: String(value.reasoning),
        newBlock: value.new_block === true,
        signature: typeof value.signature === "string" || value.signature === false ? value.signature : true,
        redacted: value.redacted === true,
      };
    case "tool_call":
      return { is: "calls", calls: [readCall(value.tool_call as JsonCall)] };
    case "parallel":
      return { is: "calls", calls: (value.parallel as { tool_call: JsonCall }[]).map((one) => readCall(one.tool_call)) };
    case "delay_ms":
      return { is: "wait", milliseconds: Number(value.delay_ms) };
    case "flood_bytes":
      return { is: "flood", bytes: Number(value.flood_bytes) };
    case "error": {
      const error = value.error as Record<string, string | number | null | undefined>;
      return {
        is: "error",
        error: {
          status: Number(error.status),
          ...named("type", textOf(error.type)),
          ...named("code", textOf(error.code)),
          ...named("message", textOf(error.message)),
          ...named("retryAfter", textOf(error.retry_after)),
        },
      };
    }
    case "fault":
      return {
        is: "fault",
        fault: {
          name: value.fault as FaultName,
          ...named("bytes", value.bytes as number | undefined),
          ...named("count", value.count as number | undefined),
          ...named("intervalMs", value.interval_ms as number | undefined),
          ...named("status", value.status as number | undefined),
          ...named("location", value.location as string | undefined),
          ...named("retryAfter", textOf(value.retry_after as string | number | undefined)),
        },
      };
  }
}

function readCall(value: JsonCall): CallStep {
  const text = typeof value.arguments === "string" ? value.arguments : JSON.stringify(value.arguments ?? {});
  return { name: value.name, arguments: text, id: value.id ?? undefined };
}

/** An object with the member where there is a value, else an empty one. */
function named<Name extends string, Value>(name: Name, value: Value | null | undefined): { [key in Name]?: Value } {
  return value === undefined || value === null ? {} : ({ [name]: value } as { [key in Name]: Value });
}

function textOf(value: string | number | null | undefined): string | undefined {
  return value === undefined || value === null ? undefined : String(value);
}

function wordsOf({ kind, shape }: Issue): string {
  switch (kind) {
    case "unknown":
      return "is not a word of the script language";
    case "missing":
      return "is required";
    case "word":
      return shape.is === "string" ? `must be one of ${shape.words?.join(", ")}` : "is not a known word";
    case "low":
    case "high":
      return "min" in shape && "max" in shape ? `must be from ${shape.min} to ${shape.max}` : "is out of range";
    case "short":
      return "must not be empty";
    case "long":
      return "has too many elements";
    default:
      return `must be ${shape.is === "either" ? shape.of.map(({ is }) => is).join(" or ") : `of type ${shape.is}`}`;
  }
}
