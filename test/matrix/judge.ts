/** What became of a cell: carried, emulated, reported as dropped, refused, or else a failed test. */
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import type { Case } from "./cases.ts";
import type { AnswerFact, DialectClient } from "./dialect.ts";
import type { Answer, AnswerCandidate, Note, Received } from "./scene.ts";
import type { Upstream } from "./upstreams.ts";

/**
 * `partial`: what there is a place for on both sides was carried; the rest of the answer (or of the vendor's counts) has none.
 * `unsayable`: the dialect has no words for what the case asks.
 */
export type Outcome = "carried" | "emulated" | "reported" | "refused" | "partial" | "unsayable";

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
  const whole = judgeAnswer(cell, answer);
  if (answer.notes.some(({ action }) => action === "dropped")) return "reported";
  if (answer.notes.some(isChange)) return "emulated";
  return whole ? "carried" : "partial";
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

/** Whether the whole of the answer has a place on both sides. */
function judgeAnswer({ tried, dialect, upstream }: Cell, answer: Answer): boolean {
  const { got = {}, usage, texts, unknownAnswer } = tried;
  const [candidate] = answer.candidates;
  const lacks = (fact: AnswerFact | "contentFilter") => dialect.lacks.has(fact as AnswerFact) || upstream.lacks.has(fact);
  let whole = true;
  /** Compares what both sides have a place for. */
  const expectFact = (fact: AnswerFact | "contentFilter", compare: () => void): void => {
    if (lacks(fact)) whole = false;
    else compare();
  };
  if (texts !== undefined) expect(answer.candidates.map(({ text }) => text)).toEqual(texts);
  if (Object.keys(got).length > 0) expect(candidate, "there is no candidate").toBeDefined();
  const { text, reasoning, calls, refusal, citations, finish } = got;
  if (text !== undefined) expect(candidate?.text).toBe(text);
  if (reasoning !== undefined) expectFact("reasoning", () => expect(candidate?.reasoning).toBe(reasoning));
  if (calls !== undefined) expectFact("calls", () => expectCalls(candidate?.calls ?? [], calls));
  // Where one side has no place for a refusal in words, it is text.
  if (refusal !== undefined) expect(`${candidate?.refusal}${candidate?.text}`).toBe(refusal);
  if (citations !== undefined) expectFact("citations", () => expect(candidate?.citations).toEqual(citations));
  if (finish !== undefined) {
    const compare = () => expect(sameEnd[candidate?.finish ?? ""] ?? candidate?.finish).toBe(sameEnd[finish] ?? finish);
    if (finish === "tool_calls") expectFact("calls", compare);
    else if (finish === "content_filter") expectFact("contentFilter", compare);
    else compare();
  }
  if (usage !== undefined) {
    expect(answer.usage).toMatchObject({ input: usage.input, output: usage.output });
    for (const [name, fact] of usageFacts) {
      if (usage[name] !== undefined) expectFact(fact, () => expect(answer.usage?.[name]).toBe(usage[name]));
    }
  }
  if (unknownAnswer) {
    if (dialect.format !== upstream.name) return false;
    expectFact("unknown", () =>
      expect(answer.unknownSeen, "an unknown field of the answer must come out again for the same format").toBe(true),
    );
  }
  return whole;
}

const usageFacts = [
  ["cacheRead", "cacheRead"],
  ["cacheWrite", "cacheWrite"],
  ["reasoning", "reasoningTokens"],
] as const;

function expectCalls(found: AnswerCandidate["calls"], expected: AnswerCandidate["calls"]): void {
  const bare = (calls: AnswerCandidate["calls"]) => calls.map(({ name, arguments: input }) => ({ name, arguments: input }));
  expect(bare(found)).toEqual(bare(expected));
  expect(new Set(found.map(({ id }) => id)).size, "ids of calls must differ").toBe(expected.length);
}

/** Ends that some formats have no word of their own for. */
const sameEnd: Readonly<Record<string, string>> = { refusal: "content_filter", stop_sequence: "stop" };
