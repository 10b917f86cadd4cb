import { describe, expect, test } from "vitest";
import { FinishReason, OutputKind, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createOpenAiResponsesCodec } from "../../../src/codecs/openai-responses/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import type { GenerateEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { write } from "./written.ts";

const codec = createOpenAiResponsesCodec();
const response = (more: object = {}) => ({ id: "resp_1", object: "response", created_at: 7, model: "m", output: [], ...more });
const usage = {
  input_tokens: 5,
  input_tokens_details: { cached_tokens: 2 },
  output_tokens: 3,
  output_tokens_details: { reasoning_tokens: 1 },
  total_tokens: 8,
};

function stream(records: readonly object[], state?: unknown) {
  const reader = codec.eventReader("p", state);
  const events: GenerateEvent[] = [];
  for (const record of records) events.push(...reader.read({ event: "", data: JSON.stringify(record) }));
  events.push(...reader.end());
  return { events, reader, answer: new Fold().addAll(events).response() };
}

function whole(body: object, state?: unknown) {
  return new Fold().addAll(codec.readResponse(JSON.stringify(body), "p", state)).response();
}

function failure(run: () => unknown): GatewayError {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

describe("case 12: an incomplete answer", () => {
  test.each([
    ["max_output_tokens", FinishReason.LENGTH],
    ["content_filter", FinishReason.CONTENT_FILTER],
    ["steered", FinishReason.OTHER],
  ])("without output ends with its reason, %s, and its usage", (reason, finish) => {
    const body = response({ status: "incomplete", incomplete_details: { reason }, usage });
    const streamed = stream([
      { type: "response.created", response: response() },
      { type: "response.incomplete", response: body },
    ]).answer;
    for (const answer of [streamed, whole(body)]) {
      expect(answer.candidates[0]?.finished).toMatchObject({ reason: finish, rawReason: reason });
      expect(answer.candidates[0]?.message?.parts).toEqual([]);
      expect(answer.usage).toMatchObject({ inputTokens: 5, cacheReadTokens: 2, outputTokens: 3, reasoningTokens: 1 });
    }
  });
});

describe("case 13: a failed answer", () => {
  test("inside a 200 is a failure, streamed and whole", () => {
    const body = response({ status: "failed", error: { code: "server_error", message: "it broke" } });
    const streamed = failure(() =>
      stream([
        { type: "response.created", response: response() },
        { type: "response.failed", response: body },
      ]),
    );
    expect(streamed).toMatchObject({ reason: "provider_error", retryable: true });
    expect(streamed.message).toContain("it broke");
    expect(failure(() => whole(body))).toMatchObject({ reason: "provider_error", retryable: true });
  });

  test.each([
    ["rate_limit_exceeded", "rate_limited", true],
    ["insufficient_quota", "quota_exhausted", false],
    ["context_length_exceeded", "context_exceeded", false],
    ["invalid_prompt", "invalid_request", false],
    ["image_too_large", "invalid_request", false],
  ])("says by its code what failed: %s", (code, reason, retryable) => {
    const body = response({ status: "failed", error: { code, message: "no" } });
    expect(failure(() => stream([{ type: "response.failed", response: body }]))).toMatchObject({ reason, retryable });
    const begun = { type: "response.output_text.delta", output_index: 0, content_index: 0, delta: "half" };
    expect(failure(() => stream([begun, { type: "response.failed", response: body }]))).toMatchObject({ reason });
  });

  test("is also an event of its own", () => {
    const error = { type: "error", code: "rate_limit_exceeded", message: "slow down", param: null, sequence_number: 3 };
    expect(failure(() => stream([error]))).toMatchObject({ reason: "rate_limited" });
  });

  test("or a cancelled one, or one without its terminal event", () => {
    expect(failure(() => whole(response({ status: "cancelled" })))).toMatchObject({ reason: "cancelled" });
    expect(failure(() => whole(response({ status: "queued" })))).toMatchObject({ reason: "provider_error" });
    expect(failure(() => stream([{ type: "response.created", response: response() }]))).toMatchObject({ reason: "provider_error" });
  });
});

const textRecords = (pieces: readonly string[]) => [
  { type: "response.created", response: response() },
  { type: "response.output_item.added", output_index: 0, item: { id: "msg_1", type: "message", role: "assistant", content: [] } },
  ...pieces.map((delta) => ({ type: "response.output_text.delta", output_index: 0, content_index: 0, item_id: "msg_1", delta })),
];

describe("stop texts, which the API does not know", () => {
  const { state } = write({ messages: [], sampling: { stop: ["STOP", "日本"] } });

  test("cut the answer however they fall, and the reader wants no more", () => {
    for (const pieces of [["one STOP two"], ["one S", "TO", "P two"], ["one ", "日", "本"], [..."one STOP"]]) {
      const reader = codec.eventReader("p", state);
      const events = textRecords(pieces).flatMap((record) => reader.read({ event: "", data: JSON.stringify(record) }));
      expect(reader.done).toBe(true);
      expect(reader.end()).toEqual([]);
      const [candidate] = new Fold().addAll(events).response().candidates;
      expect(candidate?.message?.parts[0]?.part.value).toBe("one ");
      expect(candidate?.finished).toMatchObject({ reason: FinishReason.STOP_SEQUENCE });
    }
  });

  test("that only began are text", () => {
    const end = { type: "response.completed", response: response({ status: "completed", usage }) };
    const { answer } = stream([...textRecords(["one ST", "AR", " S"]), end], state);
    expect(answer.candidates[0]?.message?.parts[0]?.part.value).toBe("one STAR S");
    expect(answer.candidates[0]?.finished?.reason).toBe(FinishReason.STOP);
  });

  test("cut a whole reply, whose usage is known", () => {
    const output = [
      { type: "message", id: "msg_1", role: "assistant", content: [{ type: "output_text", text: "one STOP", annotations: [] }] },
      { type: "function_call", id: "fc_1", call_id: "c", name: "f", arguments: "{}" },
    ];
    const answer = whole(response({ status: "completed", output, usage }), state);
    expect(answer.candidates[0]?.message?.parts.map(({ part }) => part.value)).toEqual(["one "]);
    expect(answer.candidates[0]?.finished).toMatchObject({ reason: FinishReason.STOP_SEQUENCE, stopSequence: "STOP" });
    expect(answer.usage?.outputTokens).toBe(3);
  });
});

test("what was not streamed is read from what is done: servers leave events out", () => {
  const reasoning = { id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: "why" }], encrypted_content: "gAAA" };
  const message = { id: "msg_1", type: "message", role: "assistant", content: [{ type: "output_text", text: "hi", annotations: [] }] };
  const call = { id: "fc_1", type: "function_call", call_id: "c", name: "f", arguments: '{"a":1}' };
  const output = [reasoning, message, call];
  const end = { type: "response.completed", response: response({ status: "completed", output, usage }) };
  const done = output.map((item, output_index) => ({ type: "response.output_item.done", output_index, item }));
  const expected = whole(response({ status: "completed", output, usage }));
  expect(expected.candidates[0]?.message?.parts).toMatchObject([
    { part: { value: { summaries: ["why"] } }, signature: { value: "gAAA", format: "openai", provider: "p" }, id: "rs_1" },
    { part: { value: "hi" }, id: "msg_1" },
    { part: { value: { id: "c", name: "f", argumentsJson: '{"a":1}' } }, id: "fc_1" },
  ]);
  expect(expected.candidates[0]?.finished?.reason).toBe(FinishReason.TOOL_CALLS);
  const begin = { type: "response.created", response: response() };
  for (const records of [[end], [begin, ...done, end]]) expect(stream(records).answer).toEqual(expected);
});

test("tools that the provider ran come through as they are, and events that nobody knows keep their place", () => {
  const item = { id: "ws_1", type: "web_search_call", status: "completed", action: { type: "search", query: "q" } };
  const { events, answer } = stream([
    { type: "response.created", response: response() },
    { type: "response.output_item.added", output_index: 0, item: { ...item, status: "in_progress" } },
    { type: "response.web_search_call.searching", output_index: 0, item_id: "ws_1", sequence_number: 3 },
    { type: "response.brand_new", note: 1 },
    { type: "response.output_item.done", output_index: 0, item },
    { type: "response.completed", response: response({ status: "completed", brand_new: { a: 1 } }) },
  ]);
  expect(events.map(({ event }) => event.case)).toEqual(["started", "blockStarted", "blockDelta", "opaque", "blockEnded", "finished"]);
  expect(answer.candidates[0]?.message?.parts[0]?.part.value).toMatchObject({ type: "web_search_call", dataJson: JSON.stringify(item) });
  expect(answer.opaque).toMatchObject([{ type: "response.brand_new" }]);
});

describe("a schema that the model does not follow", () => {
  const outputFormat = { kind: OutputKind.JSON_SCHEMA, name: "city", schemaJson: '{"type":"object","properties":{"city":{}}}' };
  const messages = [{ role: Role.USER, parts: [{ part: { case: "text" as const, value: "Which?" } }] }];
  const traits = { structuredOutput: false };

  test("is a function's, whose arguments are the answer, streamed and whole", () => {
    const { body, notes, state } = write({ messages, outputFormat }, { traits });
    expect(body.text).toBeUndefined();
    const [{ name }] = body.tools;
    expect(body.tools).toEqual([
      expect.objectContaining({ type: "function", parameters: JSON.parse(outputFormat.schemaJson), strict: false }),
    ]);
    expect(body.tool_choice).toEqual({ type: "function", name });
    expect(notes).toEqual(["emulated output_format.schema_json"]);
    const begun = { type: "function_call", id: "fc_1", call_id: "call_1", name, arguments: "" };
    const done = { ...begun, arguments: '{"city":"Bern"}', status: "completed" };
    const { answer } = stream(
      [
        { type: "response.created", response: response({ status: "in_progress" }) },
        { type: "response.output_item.added", output_index: 0, item: begun },
        { type: "response.function_call_arguments.delta", output_index: 0, delta: '{"city":' },
        { type: "response.function_call_arguments.delta", output_index: 0, delta: '"Bern"}' },
        { type: "response.function_call_arguments.done", output_index: 0, arguments: done.arguments },
        { type: "response.output_item.done", output_index: 0, item: done },
        { type: "response.completed", response: response({ status: "completed", output: [done], usage }) },
      ],
      state,
    );
    for (const read of [answer, whole(response({ status: "completed", output: [done], usage }), state)]) {
      expect(read.candidates[0]?.finished?.reason).toBe(FinishReason.STOP);
      expect(read.candidates[0]?.message?.parts.map(({ part }) => part)).toEqual([{ case: "text", value: done.arguments }]);
    }
  });

  test("is an instruction beside the client's own tools", () => {
    const tools = [{ tool: { case: "function" as const, value: { name: "f" } } }];
    const { body, notes } = write({ messages, outputFormat, tools }, { traits });
    expect(body.input[0]).toMatchObject({ role: "developer", content: [{ text: expect.stringContaining(outputFormat.schemaJson) }] });
    expect(body.tools).toHaveLength(1);
    expect([body.text, body.tool_choice]).toEqual([undefined, undefined]);
    expect(notes).toEqual(["emulated output_format.schema_json"]);
  });
});
