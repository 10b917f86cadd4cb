import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { BlockKind, FinishReason } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createOpenAiChatCodec, type OpenAiChatQuirks } from "../../../src/codecs/openai-chat/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import type { GenerateEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { SseReader } from "../../../src/core/sse.ts";

const root = new URL("../../fixtures/openai-chat/", import.meta.url);
const cases = readdirSync(root);
const codec = createOpenAiChatCodec();

function readStream(chunks: readonly Uint8Array[], quirks: OpenAiChatQuirks = {}): GenerateEvent[] {
  const sse = new SseReader();
  const reader = createOpenAiChatCodec(quirks).eventReader("acme");
  const events: GenerateEvent[] = [];
  for (const chunk of chunks) for (const frame of sse.read(chunk)) events.push(...reader.read(frame));
  return [...events, ...reader.end()];
}

const frames = (...records: (object | string)[]) =>
  Buffer.from(records.map((record) => `data: ${typeof record === "string" ? record : JSON.stringify(record)}\n\n`).join(""));
const delta = (content: object, finish: string | null = null, more: object = {}) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1,
  model: "m",
  choices: [{ index: 0, delta: content, finish_reason: finish }],
  ...more,
});
const nameOf = (names: Readonly<Record<string, number>>, value: number) => Object.keys(names).find((name) => names[name] === value);
const names = (events: readonly GenerateEvent[]) =>
  events.map(({ event }) => {
    if (event.case === "blockStarted") return `+${event.value.index}:${nameOf(BlockKind, event.value.kind)}`;
    if (event.case === "blockEnded") return `-${event.value.index}${event.value.incomplete ? " incomplete" : ""}`;
    if (event.case === "blockDelta") return `${event.value.index}=${String(event.value.delta.value)}`;
    return event.case === "finished" ? `finished ${nameOf(FinishReason, event.value.reason)}` : event.case;
  });

function failure(run: () => unknown): GatewayError {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe.each(cases)("fixture %s", (name) => {
  const stream = readFileSync(new URL(`${name}/stream.sse`, root));
  const response = readFileSync(new URL(`${name}/response.json`, root), "utf8");

  test("the folded stream is the whole reply", () => {
    const streamed = new Fold().addAll(readStream([stream])).response();
    const whole = new Fold().addAll(codec.readResponse(response, "acme")).response();
    expect(streamed).toEqual(whole);
    expect(whole.candidates.length).toBeGreaterThan(0);
  });

  test("cut at every byte it gives the same events", () => {
    const wanted = readStream([stream]);
    for (let at = 1; at < stream.length; at++) {
      expect(readStream([stream.subarray(0, at), stream.subarray(at)])).toEqual(wanted);
    }
    expect(readStream(Array.from(stream, (byte) => Uint8Array.of(byte)))).toEqual(wanted);
  });

  test("cut off anywhere before its end it is a failure, and every block is ended", () => {
    for (let length = 0; length < stream.length - 4; length += 7) {
      const sse = new SseReader();
      const reader = codec.eventReader("acme");
      const events = sse.read(stream.subarray(0, length)).flatMap((frame) => reader.read(frame));
      expect(failure(() => reader.end()).reason).toBe("provider_error");
      events.push(...reader.abandon());
      const started = events.filter(({ event }) => event.case === "blockStarted").length;
      expect(events.filter(({ event }) => event.case === "blockEnded")).toHaveLength(started);
    }
  });
});

describe("event reader", () => {
  test("the parts of a text answer, in order", () => {
    const events = readStream([readFileSync(new URL("text/stream.sse", root))]);
    expect(names(events)).toEqual(["started", "+0:TEXT", "0=Grüße", "0= 👋 日本", "-0", "finished STOP", "usage"]);
    const [started] = events;
    expect(started?.event.value).toMatchObject({
      upstreamId: "chatcmpl-Abc123",
      servedModel: "gpt-5-mini-2025-08-07",
      systemFingerprint: "fp_44709d6fcb",
      createdAt: { seconds: 1_760_000_000n },
    });
    expect(events.at(-1)?.event.value).toMatchObject({
      inputTokens: 2006,
      outputTokens: 300,
      cacheReadTokens: 1920,
      reasoningTokens: 192,
      serviceTier: 2,
    });
  });

  test("text ends when a call begins; interleaved calls stay open until the end", () => {
    expect(names(readStream([readFileSync(new URL("parallel-tools/stream.sse", root))]))).toEqual([
      ...[
        "started",
        "+0:TEXT",
        "0=Let me look.",
        "-0",
        "+1:TOOL_CALL",
        '1={"ci',
        "+2:TOOL_CALL",
        '2={"zone":',
        '1=ty":"Zürich"}',
        '2="UTC"}',
      ],
      ...["+3:TOOL_CALL", "3=SELECT", "3= 1", "-1", "-2", "-3", "finished TOOL_CALLS"],
    ]);
  });

  test("one frame with text, call and finish; a server that says stop after a call", () => {
    const call = { index: 0, id: "c1", type: "function", function: { name: "f", arguments: "{}" } };
    const events = readStream([frames(delta({ content: "Hi", tool_calls: [call] }, "stop"), "[DONE]")]);
    expect(names(events)).toEqual(["started", "+0:TEXT", "0=Hi", "-0", "+1:TOOL_CALL", "1={}", "-1", "finished TOOL_CALLS"]);
    expect(events.at(-1)?.event.value).toMatchObject({ rawReason: "stop" });
  });

  test("a new id on a used index is a new call; the same id again is not", () => {
    const call = (id: string, args: string) => ({
      tool_calls: [{ index: 0, id, type: "function", function: { name: "f", arguments: args } }],
    });
    const events = readStream([
      frames(delta(call("a", "{")), delta(call("a", "}")), delta(call("b", "{}")), delta({}, "tool_calls"), "[DONE]"),
    ]);
    expect(names(events)).toEqual(["started", "+0:TOOL_CALL", "0={", "0=}", "+1:TOOL_CALL", "1={}", "-0", "-1", "finished TOOL_CALLS"]);
  });

  test("a name that comes after the id, an id that never comes, and arguments as an object", () => {
    const late = frames(
      delta({ tool_calls: [{ index: 0, id: "a", function: { arguments: "" } }] }),
      delta({ tool_calls: [{ index: 0, function: { name: "f", arguments: "{}" } }] }),
      delta({ tool_calls: [{ index: 1, function: { name: "g", arguments: { x: 1 } } }] }, "tool_calls"),
      "[DONE]",
    );
    const parts = new Fold()
      .addAll(readStream([late]))
      .response()
      .candidates[0]?.message?.parts.map(({ part }) => part.value);
    expect(parts).toMatchObject([
      { id: "a", name: "f", argumentsJson: "{}" },
      { id: "dgm_chatcmpl-1_0_1", name: "g", argumentsJson: '{"x":1}' },
    ]);
  });

  test("the old function_call", () => {
    const events = readStream([
      frames(
        delta({ function_call: { name: "f", arguments: "" } }),
        delta({ function_call: { arguments: "{}" } }),
        delta({}, "function_call"),
        "[DONE]",
      ),
    ]);
    expect(names(events)).toEqual(["started", "+0:TOOL_CALL", "0={}", "-0", "finished TOOL_CALLS"]);
  });

  test.each([
    ["stop", FinishReason.STOP],
    ["length", FinishReason.LENGTH],
    ["tool_calls", FinishReason.TOOL_CALLS],
    ["function_call", FinishReason.TOOL_CALLS],
    ["content_filter", FinishReason.CONTENT_FILTER],
    ["pause_turn", FinishReason.UNSPECIFIED],
    ["constructor", FinishReason.UNSPECIFIED],
  ])("finish_reason %s", (word, reason) => {
    const events = readStream([frames(delta({ content: "x" }, word), "[DONE]")]);
    expect(events.at(-1)?.event.value).toMatchObject({ reason, rawReason: word });
  });

  test("a length finish with an open call stays LENGTH", () => {
    const call = { tool_calls: [{ index: 0, id: "a", function: { name: "f", arguments: '{"x' } }] };
    expect(names(readStream([frames(delta(call), delta({}, "length"), "[DONE]")])).at(-1)).toBe("finished LENGTH");
  });

  test("text after reasoning after text are three blocks; content as parts", () => {
    const parts = [
      { type: "thinking", thinking: [{ type: "text", text: "hm" }] },
      { type: "text", text: "Hi" },
      { type: "reference", reference_ids: [1] },
    ];
    const events = readStream([frames(delta({ content: "a" }), delta({ reasoning: "b" }), delta({ content: parts }, "stop"), "[DONE]")]);
    expect(names(events)).toEqual([
      ...[
        "started",
        "+0:TEXT",
        "0=a",
        "-0",
        "+1:REASONING",
        "1=b",
        "1=hm",
        "-1",
        "+2:TEXT",
        "2=Hi",
        "-2",
        "+3:OPAQUE",
        "-3",
        "finished STOP",
      ],
    ]);
  });

  test("content after the finish, frames without choices and a doubled finish change nothing", () => {
    const stream = frames(
      delta({ content: "a" }, "stop"),
      delta({ content: "b" }),
      delta({}, "stop"),
      { id: "x", choices: [] },
      { id: "x" },
      "[DONE]",
      "junk",
    );
    expect(names(readStream([stream]))).toEqual(["started", "+0:TEXT", "0=a", "-0", "finished STOP"]);
  });

  test.each<[string, (object | string)[], RegExp]>([
    ["nothing", [], /without an answer/],
    ["only the end mark", ["[DONE]"], /without an answer/],
    ["no finish_reason", [delta({ content: "a" }), "[DONE]"], /before the answer was complete/],
    ["no end mark", [delta({ content: "a" }, "stop")], /without its end mark/],
    [
      "one of two choices",
      [delta({}, "stop"), { choices: [{ index: 1, delta: { content: "x" } }] }, "[DONE]"],
      /before the answer was complete/,
    ],
    ["no JSON", ["{oops"], /not JSON/],
    ["no object", ["[]"], /no JSON object/],
    ["a senseless index", [{ choices: [{ index: 1e9, delta: {} }] }], /senseless index/],
  ])("a stream with %s is the provider's failure", (_, records, message) => {
    const error = failure(() => readStream([frames(...records)]));
    expect(error).toMatchObject({ reason: "provider_error", retryable: true });
    expect(error.message).toMatch(message);
    expect(error.details.upstream?.midStream).toBe(true);
  });

  test("a server that just closes, where the table says so", () => {
    expect(names(readStream([frames(delta({ content: "a" }, "stop"))], { endMarkOptional: true })).at(-1)).toBe("finished STOP");
    expect(() => readStream([frames(delta({ content: "a" }))], { endMarkOptional: true })).toThrow(GatewayError);
  });

  test.each([
    [
      "a record",
      'data: {"error":{"message":"The server had an error","type":"server_error","code":null,"param":null}}\n\n',
      "provider_error",
    ],
    ["a rate limit", 'data: {"error":{"message":"slow","type":"requests","code":"rate_limit_exceeded"}}\n\n', "rate_limited"],
    ["an event", 'event: error\ndata: {"message":"away","code":503}\n\n', "provider_error"],
    ["an event of text", "event: error\ndata: away\n\n", "provider_error"],
    ["vLLM's object", 'data: {"object":"error","message":"bad","type":"BadRequestError","code":400}\n\n', "invalid_request"],
    [
      "a choice",
      'data: {"choices":[{"index":0,"delta":{},"finish_reason":"error","error":{"code":502,"message":"away"}}]}\n\n',
      "provider_error",
    ],
  ])("an error inside the stream as %s", (_, text, reason) => {
    const first = frames(delta({ content: "partial" }));
    const error = failure(() => readStream([first, Buffer.from(text)]));
    expect(error.reason).toBe(reason);
    expect(error.details.upstream).toMatchObject({ provider: "acme", midStream: true, httpStatus: 0 });
  });

  test("case 21: reasoning outside of completion_tokens, said by the table or by the total", () => {
    const usage = { prompt_tokens: 10, completion_tokens: 5, completion_tokens_details: { reasoning_tokens: 7 } };
    const stream = (total: number | undefined) =>
      frames(delta({ content: "a" }, "stop", { usage: { ...usage, total_tokens: total } }), "[DONE]");
    const output = (total: number | undefined, quirks: OpenAiChatQuirks) =>
      (readStream([stream(total)], quirks).at(-1)?.event.value as { outputTokens?: number } | undefined)?.outputTokens;
    expect(output(undefined, { reasoningOutsideCompletion: true })).toBe(12);
    expect(output(22, {})).toBe(12);
    expect(output(15, {})).toBe(5);
  });

  test("an explicit 0 stays, nonsense is absent", () => {
    const usage = { prompt_tokens: 0, completion_tokens: -3, prompt_tokens_details: { cached_tokens: 0, new_kind: 4 }, cost: 0.25 };
    const event = readStream([frames(delta({ content: "a" }, "stop", { usage }), "[DONE]")]).at(-1);
    expect(event?.event.value).toMatchObject({ inputTokens: 0, cacheReadTokens: 0 });
    expect(event?.event.value).not.toHaveProperty("outputTokens");
    expect(event?.event.value).toMatchObject({ extrasJson: { "openai-chat": '{"prompt_tokens_details":{"new_kind":4},"cost":0.25}' } });
  });
});

describe("readResponse", () => {
  test.each([
    ["<html>", /not JSON/],
    ["[]", /no JSON object/],
    ['{"choices":[]}', /no choices/],
    ['{"choices":[{"index":0,"message":{"content":"a"}}]}', /no finish_reason/],
  ])("%s is the provider's failure", (body, message) => {
    const error = failure(() => codec.readResponse(body, "acme"));
    expect(error).toMatchObject({ reason: "provider_error", retryable: true });
    expect(error.message).toMatch(message);
    expect(error.details.upstream).toMatchObject({ httpStatus: 200, midStream: false });
  });

  test("an error object in a 200 is an error", () => {
    const error = failure(() => codec.readResponse('{"error":{"message":"Upstream overloaded","code":503}}', "acme"));
    expect(error).toMatchObject({ reason: "provider_error", retryable: true, message: expect.stringContaining("Upstream overloaded") });
  });

  test("an empty answer is one", () => {
    const body = '{"choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"length"}]}';
    expect(names(codec.readResponse(body, "acme"))).toEqual(["started", "finished LENGTH"]);
  });
});

describe("readError", () => {
  const headers = (values: Record<string, string>) => (name: string) => values[name];
  test("keeps status, request id and the time to wait", () => {
    const body = '{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}';
    const error = codec.readError(429, body, headers({ "retry-after": "3", "x-request-id": "req_1" }), "acme");
    expect(error).toMatchObject({ reason: "rate_limited", retryable: true, details: { retryAfterMs: 3000 } });
    expect(error.details.upstream).toMatchObject({ httpStatus: 429, requestId: "req_1", type: "requests", code: "rate_limit_exceeded" });
  });
});
