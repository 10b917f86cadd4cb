import { readdirSync, readFileSync } from "node:fs";
import { toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BlockKind, CompleteResponseSchema, FinishReason, type GenerateResponse } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createGeminiCodec } from "../../../src/codecs/gemini/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { Fold } from "../../../src/core/fold.ts";
import { type Frame, SseReader } from "../../../src/core/sse.ts";

const fixtures = new URL("../../fixtures/gemini/", import.meta.url);
const codec = createGeminiCodec();
/** Answers: a stream and the buffered reply that says the same. */
const cases = readdirSync(fixtures).filter((name) => readdirSync(new URL(`${name}/`, fixtures)).includes("stream.sse"));

function readFrames(frames: Frame[]): GenerateResponse[] {
  const reader = codec.eventReader("google");
  return [...frames.flatMap((frame) => reader.read(frame)), ...reader.end()];
}

function streamOf(...chunks: unknown[]): Frame[] {
  return chunks.map((chunk) => ({ event: "", data: JSON.stringify(chunk) }));
}

/** The folded answer as JSON; ids that the reader makes are different every time and named by their order. */
function folded(events: GenerateResponse[]): string {
  const response = new Fold().addAll(events).response();
  let made = 0;
  const text = JSON.stringify(toJson(CompleteResponseSchema, response), undefined, 2);
  return `${text.replace(/"dgm_[0-9a-z]{26}"/g, () => `"dgm_${++made}"`)}\n`;
}

/** Order of events and blocks, as the comment of GenerateResponse asks. */
function checkOrder(events: GenerateResponse[]): void {
  expect(events[0]?.event.case).toBe("started");
  const open = new Set<string>();
  const next = new Map<number, number>();
  const finished = new Set<number>();
  for (const { event } of events) {
    if (event.case === "blockStarted") {
      const { candidate, index, kind } = event.value;
      expect(index).toBe(next.get(candidate) ?? 0);
      expect(kind).not.toBe(BlockKind.UNSPECIFIED);
      next.set(candidate, index + 1);
      open.add(`${candidate}/${index}`);
    } else if (event.case === "blockDelta") {
      expect(open).toContain(`${event.value.candidate}/${event.value.index}`);
    } else if (event.case === "blockEnded") {
      expect(open.delete(`${event.value.candidate}/${event.value.index}`)).toBe(true);
      expect(finished).not.toContain(event.value.candidate);
    } else if (event.case === "finished") {
      expect(finished).not.toContain(event.value.candidate);
      finished.add(event.value.candidate);
      expect([...open].filter((block) => block.startsWith(`${event.value.candidate}/`))).toEqual([]);
    }
  }
  expect(open.size).toBe(0);
}

function thrown(run: () => unknown): GatewayError {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe.each(cases)("the answer %s", (name) => {
  const bytes = readFileSync(new URL(`${name}/stream.sse`, fixtures));
  const reply = readFileSync(new URL(`${name}/reply.json`, fixtures), "utf8");
  const whole = readFrames(new SseReader().read(bytes));

  test("is read", async () => {
    checkOrder(whole);
    await expect(folded(whole)).toMatchFileSnapshot(new URL(`${name}/folded.json`, fixtures).pathname);
  });

  test("means the same whether streamed or whole", () => {
    const events = codec.readResponse(reply, "google");
    checkOrder(events);
    expect(folded(events)).toBe(folded(whole));
  });

  test("may be cut at every byte", () => {
    const expected = folded(whole);
    for (let cut = 1; cut < bytes.length; cut++) {
      const sse = new SseReader();
      const frames = [...sse.read(bytes.subarray(0, cut)), ...sse.read(bytes.subarray(cut))];
      expect(folded(readFrames(frames))).toBe(expected);
    }
  });

  test("is broken where its stream stops before a reason", () => {
    const reader = codec.eventReader("google");
    const [first] = new SseReader().read(bytes);
    const isEnded = first?.data.includes('"finishReason"') === true || first?.data.includes('"blockReason"') === true;
    if (first === undefined || isEnded) return;
    const events = reader.read(first);
    expect(thrown(() => reader.end()).reason).toBe("provider_error");
    const all = [...events, ...reader.abandon()];
    const started = all.filter(({ event }) => event.case === "blockStarted").length;
    expect(all.filter(({ event }) => event.case === "blockEnded").length).toBe(started);
  });
});

describe("finish reasons", () => {
  test.each([
    ["STOP", FinishReason.STOP],
    ["MAX_TOKENS", FinishReason.LENGTH],
    ["SAFETY", FinishReason.CONTENT_FILTER],
    ["IMAGE_SAFETY", FinishReason.CONTENT_FILTER],
    ["RECITATION", FinishReason.RECITATION],
    ["MALFORMED_FUNCTION_CALL", FinishReason.MALFORMED],
    ["CONTINUATION", FinishReason.PAUSE],
    ["LANGUAGE", FinishReason.OTHER],
    ["SOMETHING_NEW", FinishReason.UNSPECIFIED],
    ["constructor", FinishReason.UNSPECIFIED],
  ])("%s", (word, reason) => {
    const events = readFrames(
      streamOf({ candidates: [{ content: { parts: [{ text: "a" }] }, finishReason: word, finishMessage: "why" }] }),
    );
    const last = events.at(-1)?.event;
    expect(last?.value).toMatchObject({ reason, rawReason: word, message: "why" });
  });

  test("the calls of one candidate do not colour another", () => {
    const call = { functionCall: { name: "f", args: {} } };
    const events = readFrames(
      streamOf({
        candidates: [
          { index: 0, content: { parts: [{ text: "a" }] }, finishReason: "STOP" },
          { index: 1, content: { parts: [call] }, finishReason: "STOP" },
        ],
      }),
    );
    const reasons = events.flatMap(({ event }) => (event.case === "finished" ? [event.value.reason] : []));
    expect(reasons).toEqual([FinishReason.STOP, FinishReason.TOOL_CALLS]);
  });
});

describe("calls", () => {
  test("that come in pieces are put together", () => {
    const piece = (functionCall: unknown) => ({ candidates: [{ content: { parts: [{ functionCall }] } }] });
    const events = readFrames(
      streamOf(
        piece({ name: "book", id: "c1", willContinue: true }),
        piece({ partialArgs: [{ jsonPath: "$.to.city", stringValue: "Zür", willContinue: true }], willContinue: true }),
        piece({ partialArgs: [{ jsonPath: "$.to.city", stringValue: "ich" }], willContinue: true }),
        piece({
          partialArgs: [
            { jsonPath: "$.seats[1]", numberValue: 4 },
            { jsonPath: "$['is ok']", boolValue: true },
          ],
          willContinue: true,
        }),
        piece({ partialArgs: [{ jsonPath: "$.none", nullValue: "NULL_VALUE" }], willContinue: true }),
        piece({}),
        { candidates: [{ finishReason: "STOP" }] },
      ),
    );
    const [candidate] = new Fold().addAll(events).response().candidates;
    const parts = candidate?.message?.parts ?? [];
    expect(parts).toHaveLength(1);
    expect(parts[0]?.part.value).toMatchObject({
      id: "c1",
      name: "book",
      argumentsJson: '{"to":{"city":"Zürich"},"seats":[null,4],"is ok":true,"none":null}',
    });
    expect(candidate?.finished?.reason).toBe(FinishReason.TOOL_CALLS);
  });

  test("without ids get different ones, answer after answer", () => {
    const answer = streamOf({
      candidates: [{ content: { parts: [{ functionCall: { name: "f" } }, { functionCall: { name: "f" } }] }, finishReason: "STOP" }],
    });
    const ids = [...readFrames(answer), ...readFrames(answer)].flatMap(({ event }) =>
      event.case === "blockStarted" ? [event.value.toolCall?.id ?? ""] : [],
    );
    expect(new Set(ids).size).toBe(4);
    for (const id of ids) expect(id).toMatch(/^dgm_[0-9a-z]{26}$/);
  });

  test("keep the members and numbers of their arguments in order", () => {
    const data =
      '{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":{"b":1,"10":2,"a":12345678901234567890}}}]},"finishReason":"STOP"}]}';
    const [candidate] = new Fold().addAll(readFrames([{ event: "", data }])).response().candidates;
    expect(candidate?.message?.parts[0]?.part.value).toMatchObject({ argumentsJson: '{"b":1,"10":2,"a":12345678901234567890}' });
  });
});

describe("signatures", () => {
  const signed = (parts: unknown[]) => {
    const events = readFrames(streamOf({ candidates: [{ content: { parts }, finishReason: "STOP" }] }));
    return new Fold().addAll(events).response().candidates[0]?.message?.parts ?? [];
  };

  test("stay on the part they came with, with who gave them", () => {
    const parts = signed([{ text: "a", thoughtSignature: "c2ln" }, { text: "b" }]);
    expect(parts.map(({ part, signature }) => [part.value, signature?.value])).toEqual([
      ["a", "c2ln"],
      ["b", undefined],
    ]);
    expect(parts[0]?.signature).toMatchObject({ format: "gemini", provider: "google" });
  });

  test("of a thought without text make redacted reasoning", () => {
    const [part] = signed([{ text: "", thought: true, thoughtSignature: "c2ln" }, { text: "b" }]);
    expect(part).toMatchObject({ part: { case: "reasoning", value: { text: "", redacted: true } }, signature: { value: "c2ln" } });
  });

  test("alone in a part make a text without content", () => {
    const parts = signed([{ text: "a" }, { thoughtSignature: "c2ln" }]);
    expect(parts[1]).toMatchObject({ part: { case: "text", value: "" }, signature: { value: "c2ln" } });
  });
});

describe("citations", () => {
  const cited = (...chunks: unknown[]) => {
    const [candidate] = new Fold().addAll(readFrames(streamOf(...chunks))).response().candidates;
    return (candidate?.message?.parts ?? []).map(({ annotations }) =>
      annotations.map(({ startIndex, endIndex, source }) => [startIndex, endIndex, source.case]),
    );
  };
  const grounded = (segment: object, chunk: object) => ({
    groundingMetadata: { groundingChunks: [chunk], groundingSupports: [{ segment, groundingChunkIndices: [0, 7] }] },
  });
  const web = { web: { uri: "https://example.org" } };
  const says = (text: string, more: object = {}) => ({ candidates: [{ content: { parts: [{ text }] }, ...more }] });

  test("that come before their text, or again and again, are placed once", () => {
    const about = grounded({ endIndex: 5, text: "süße" }, web);
    const odd = grounded({ endIndex: 6, text: "süße" }, web);
    expect(cited(says("sü", odd), says("ße", odd), says(" Äpfel", { ...odd, finishReason: "STOP" }))).toEqual([[[0, 4, "url"]]]);
    expect(cited(says("sü", about), says("ße", { finishReason: "STOP" }))).toEqual([[[0, 4, "url"]]]);
  });

  test("stand on the part whose text they name", () => {
    const code = { candidates: [{ content: { parts: [{ executableCode: { code: "1" } }] } }] };
    const about = grounded({ partIndex: 2, startIndex: 2, endIndex: 7, text: "nächs" }, { retrievedContext: { title: "t", text: "x" } });
    expect(cited(says("Zuerst."), code, says("d nächstes", { ...about, finishReason: "STOP" }))).toEqual([[], [], [[2, 7, "document"]]]);
  });

  test("count bytes without a text too, not beyond the block; sources of a new kind are kept", () => {
    const sources = { citationMetadata: { citations: [{ startIndex: 2, endIndex: 4, uri: "https://example.org", license: "mit" }] } };
    expect(cited(says("abc", { ...sources, finishReason: "STOP" }))).toEqual([[]]);
    expect(cited(says("äbc", { ...sources, finishReason: "STOP" }))).toEqual([[[1, 3, "url"]]]);
    expect(cited(says("aabb", { ...grounded({ endIndex: 2 }, { future: { id: 1e300 } }), finishReason: "STOP" }))).toEqual([
      [[0, 2, "opaque"]],
    ]);
  });
});

describe("what is no answer", () => {
  const record = { error: { code: 503, message: "The model is overloaded.", status: "UNAVAILABLE" } };

  test("an error inside the stream ends it", () => {
    const reader = codec.eventReader("google");
    reader.read({ event: "", data: '{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}' });
    const error = thrown(() => reader.read({ event: "", data: JSON.stringify(record) }));
    expect(error).toMatchObject({ reason: "provider_error", retryable: true });
    expect(error.details.upstream).toMatchObject({ midStream: true, httpStatus: 0, type: "UNAVAILABLE", provider: "google" });
    const ended = reader.abandon();
    expect(ended.map(({ event }) => event.value)).toMatchObject([{ index: 0, incomplete: true }]);
  });

  test("an error that claims success is one, in an array too", () => {
    for (const body of [record, [record]]) {
      expect(thrown(() => codec.readResponse(JSON.stringify(body), "google")).details.upstream?.type).toBe("UNAVAILABLE");
    }
  });

  test.each([
    "",
    "<html>",
    "[]",
    '"text"',
    "{}",
    '{"candidates":[]}',
    '{"candidates":{}}',
    '{"candidates":["x"]}',
    '{"candidates":[{"index":-1}]}',
    '{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}',
  ])("%s is the provider's failure", (body) => {
    expect(thrown(() => codec.readResponse(body, "google")).reason).toBe("provider_error");
  });

  test("parts of wrong shapes are left alone", () => {
    const body = { candidates: [{ content: { parts: [1, null, "x", { text: 5 }, { functionCall: "f" }] }, finishReason: "STOP" }] };
    checkOrder(codec.readResponse(JSON.stringify(body), "google"));
  });

  test("an array of chunks is a stream without alt=sse", () => {
    const chunk = (text: string, finishReason?: string) => ({ candidates: [{ content: { parts: [{ text }] }, finishReason }] });
    const events = codec.readResponse(JSON.stringify([chunk("a"), chunk("b", "STOP")]), "google");
    expect(new Fold().addAll(events).response().candidates[0]?.message?.parts[0]?.part.value).toBe("ab");
  });
});

describe("usage", () => {
  const usageOf = (...metadata: unknown[]) => {
    const chunks = metadata.map((usageMetadata) => ({ usageMetadata }));
    const events = readFrames(streamOf(...chunks, { candidates: [{ finishReason: "STOP" }] }));
    return new Fold().addAll(events).response().usage;
  };

  test("the last totals count, thoughts included, absent candidates too", () => {
    const usage = usageOf(
      { promptTokenCount: 10, candidatesTokenCount: 1, totalTokenCount: 11 },
      { promptTokenCount: 10, thoughtsTokenCount: 40, cachedContentTokenCount: 4, totalTokenCount: 51 },
    );
    expect(usage).toMatchObject({ inputTokens: 10, outputTokens: 41, reasoningTokens: 40, cacheReadTokens: 4 });
    expect(usageOf({ promptTokenCount: 10, thoughtsTokenCount: 40 })).toMatchObject({ outputTokens: 40, reasoningTokens: 40 });
  });

  test("a total that equals the input tells an output of 0; without a total nothing is known", () => {
    expect(usageOf({ promptTokenCount: 10, totalTokenCount: 10 })?.outputTokens).toBe(0);
    expect(usageOf({ promptTokenCount: 10 })?.outputTokens).toBeUndefined();
    expect(usageOf({ trafficType: "ON_DEMAND" })).toBeUndefined();
    expect(usageOf()).toBeUndefined();
  });
});
