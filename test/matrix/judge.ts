/** What became of a cell: carried, emulated, reported as dropped, refused, or else a failed test. */
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import type { Case } from "./cases.ts";
import type { DialectClient } from "./dialect.ts";
import type { Answer, AnswerCandidate, AnswerUsage, Note, Received } from "./scene.ts";
import type { Upstream } from "./upstreams.ts";

/** `unsayable`: the dialect has no words for what the case asks. */
export type Outcome = "carried" | "emulated" | "reported" | "refused" | "unsayable";

export interface Cell {
  readonly dialect: DialectClient;
  readonly upstream: Upstream;
  readonly stream: boolean;
  readonly tried: Case;
}

/** How the field of a fact is called, in any dialect's words: a note about it names one of these. */
const names: Readonly<Record<keyof Received, RegExp>> = {
  system: /system|instructions|messages|input|contents/i,
  turns: /messages|input|contents|prompt/i,
  media: /image|audio|file|document|content|parts|source|data/i,
  tools: /tool|function/i,
  choice: /tool_?choice|toolConfig|tool_config|allowed|tools/i,
  calls: /messages|input|contents|tool/i,
  results: /messages|input|contents|tool/i,
  resultErrors: /is_error|error|response|messages|input|contents/i,
  resultImages: /image|messages|input|contents|content/i,
  json: /format|mime|output/i,
  schema: /schema|format|output/i,
  effort: /effort|reasoning|thinking/i,
  signatures: /signature|reasoning|thinking|encrypted|thought|messages|input|contents/i,
  cache: /cache/i,
  stop: /stop/i,
  seed: /seed/i,
  topLogprobs: /logprobs/i,
  candidates: /candidate|^n$/i,
  maxTokens: /max/i,
  unknown: /dragoman_?matrix_?field|extras/i,
};

/** The outcome of a call that answered or was refused. Fails the test where something is missing and nothing says so. */
export function judge(cell: Cell, answer: Answer, received: Received): Outcome {
  const { tried } = cell;
  if (tried.fails !== undefined) return judgeFailure(cell, answer);
  if (answer.failure !== undefined) {
    expect(answer.failure, `only what cannot be translated may be refused: ${answer.failure.message}`).toMatchObject({
      reason: "untranslatable",
      status: 400,
    });
    return "refused";
  }
  for (const [key, expected] of Object.entries(tried.sent ?? {}) as [keyof Received, unknown][]) {
    if (key === "signatures" && cell.upstream.lacks.has("signatures")) continue;
    const found = received[key];
    if (agrees(key === "cache" ? [cell.dialect.cacheSeconds] : expected, key === "results" ? received.results?.map(bareResult) : found))
      continue;
    const said = answer.notes.filter(({ action, path }) => action !== "defaulted" && names[key].test(path));
    expect(said.length, `${key} was lost in silence: ${JSON.stringify({ expected, found, notes: answer.notes })}`).toBeGreaterThan(0);
  }
  judgeAnswer(cell, answer);
  if (answer.notes.some(({ action }) => action === "dropped")) return "reported";
  return answer.notes.some(isChange) ? "emulated" : "carried";
}

export function isChange({ action }: Note): boolean {
  return action !== "defaulted";
}

function agrees(expected: unknown, found: unknown): boolean {
  return isDeepStrictEqual(expected, ["*"]) ? Array.isArray(found) && found.length > 0 : isDeepStrictEqual(plain(expected), plain(found));
}

/** Gemini's clients wrap a text as `{"output": text}`, which may stay so. */
function bareResult(text: string): string {
  return /^\{"output":("(?:[^"\\]|\\.)*")\}$/.exec(text)?.[1] === undefined ? text : (JSON.parse(text) as { output: string }).output;
}

function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

function judgeFailure({ tried: { fails }, stream }: Cell, { failure, candidates }: Answer): Outcome {
  expect(failure, "the failure must be visible").toBeDefined();
  const midStream = stream && fails?.partial !== undefined;
  // Inside a stream most dialects have a place for words and none for our reason.
  if (failure?.reason !== "" || !midStream) expect(fails?.reasons).toContain(failure?.reason);
  if (midStream) expect(candidates[0]?.text).toBe(fails?.partial);
  return "carried";
}

function judgeAnswer({ tried, dialect, upstream }: Cell, answer: Answer): void {
  const { got = {}, usage, texts, unknownAnswer } = tried;
  const [candidate] = answer.candidates;
  if (texts !== undefined) expect(answer.candidates.map(({ text }) => text)).toEqual(texts);
  if (Object.keys(got).length > 0) expect(candidate, "there is no candidate").toBeDefined();
  if (candidate !== undefined) judgeCandidate(got, candidate, dialect, upstream);
  if (usage !== undefined) judgeUsage(usage, answer.usage, dialect, upstream);
  if (unknownAnswer && dialect.format === upstream.name && !dialect.lacks.has("unknown")) {
    expect(answer.unknownSeen, "an unknown field of the answer must come out again for the same format").toBe(true);
  }
}

function judgeCandidate(got: Partial<AnswerCandidate>, found: AnswerCandidate, dialect: DialectClient, upstream: Upstream): void {
  const { text, reasoning, calls, refusal, citations, finish } = got;
  if (text !== undefined) expect(found.text).toBe(text);
  if (reasoning !== undefined && !dialect.lacks.has("reasoning") && !upstream.lacks.has("reasoning"))
    expect(found.reasoning).toBe(reasoning);
  if (calls !== undefined && !dialect.lacks.has("calls")) {
    expect(found.calls.map(({ name, arguments: input }) => ({ name, arguments: input }))).toEqual(
      calls.map(({ name, arguments: input }) => ({ name, arguments: input })),
    );
    expect(new Set(found.calls.map(({ id }) => id)).size, "ids of calls must differ").toBe(calls.length);
  }
  // Where one side has no place for a refusal in words, it is text.
  if (refusal !== undefined) expect(found.refusal + found.text).toBe(refusal);
  if (citations !== undefined && !dialect.lacks.has("citations") && !upstream.lacks.has("citations"))
    expect(found.citations).toEqual(citations);
  const unsaid =
    (finish === "tool_calls" && dialect.lacks.has("calls")) || (finish === "content_filter" && upstream.lacks.has("contentFilter"));
  if (finish !== undefined && !unsaid) {
    expect(sameEnd[found.finish] ?? found.finish).toBe(sameEnd[finish] ?? finish);
  }
}

/** Ends that some formats have no word of their own for. */
const sameEnd: Readonly<Record<string, string>> = { refusal: "content_filter", stop_sequence: "stop" };

function judgeUsage(expected: Partial<AnswerUsage>, found: AnswerUsage | undefined, dialect: DialectClient, upstream: Upstream): void {
  const lacks = (fact: "cacheRead" | "cacheWrite" | "reasoningTokens") => dialect.lacks.has(fact) || upstream.lacks.has(fact);
  expect(found?.input).toBe(expected.input);
  expect(found?.output).toBe(expected.output);
  if (expected.cacheRead !== undefined && !lacks("cacheRead")) expect(found?.cacheRead).toBe(expected.cacheRead);
  if (expected.cacheWrite !== undefined && !lacks("cacheWrite")) expect(found?.cacheWrite).toBe(expected.cacheWrite);
  if (expected.reasoning !== undefined && !lacks("reasoningTokens")) expect(found?.reasoning).toBe(expected.reasoning);
}
