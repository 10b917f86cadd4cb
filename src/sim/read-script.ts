/** The reader of the script language. */
import { type FaultName, mustComeFirst } from "./faults.ts";
import { type CallStep, type Citation, type FinishWord, type Script, type ScriptBook, ScriptError, type ScriptStep } from "./script.ts";
import { scriptShape } from "./script-shape.ts";
import { checkShape, type Issue, isObject, pathText } from "./shape.ts";

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
  const [issue] = checkShape(value, scriptShape);
  if (issue !== undefined) throw new ScriptError(pathText(["sim_script", ...issue.path]), wordsOf(issue));
  const whole = value as JsonAnswer & { turns?: JsonAnswer[] };
  if (whole.turns === undefined) return { turns: [{ attempts: readAttempts(whole, "sim_script") }], text, byTurn: false };
  refuseBeside(whole, "turns", "sim_script");
  const turns = whole.turns.map((turn, index) => ({ attempts: readAttempts(turn, `sim_script.turns[${index}]`) }));
  return { turns, text, byTurn: true };
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
