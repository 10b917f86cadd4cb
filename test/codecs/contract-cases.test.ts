/**
 * The cases that catch real bugs (contract.md 10), from one wire format to another: what an upstream sends, and what a client
 * gets. Those that show inside one codec stand in its own tests; the last test here knows them all by number.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { CompleteResponse } from "../../gen/dragoman/v1/generate_pb.ts";
import { anthropicMessagesDialect, createAnthropicMessagesCodec } from "../../src/codecs/anthropic-messages/index.ts";
import { createBedrockConverseCodec } from "../../src/codecs/bedrock-converse/index.ts";
import { createCohereChatCodec } from "../../src/codecs/cohere-chat/index.ts";
import { createGeminiCodec, geminiDialect } from "../../src/codecs/gemini/index.ts";
import { createOpenAiChatCodec, openAiChatDialect } from "../../src/codecs/openai-chat/index.ts";
import { createOpenAiResponsesCodec, openAiResponsesDialect } from "../../src/codecs/openai-responses/index.ts";
import type { Dialect, UpstreamCodec } from "../../src/core/dialect.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { GenerateEvent } from "../../src/core/event.ts";
import { Fold } from "../../src/core/fold.ts";
import { type JsonValue, parseJson } from "../../src/core/json.ts";

const chat = createOpenAiChatCodec();
const responses = createOpenAiResponsesCodec();
const anthropic = createAnthropicMessagesCodec();
const gemini = createGeminiCodec();
const bedrock = createBedrockConverseCodec();

type Record = { readonly event?: string; readonly data: unknown };
interface Json {
  readonly [name: string]: Json;
  readonly [index: number]: Json;
}

/** What a codec reads of a stream's records. */
function read(codec: UpstreamCodec, records: readonly Record[], state?: unknown): GenerateEvent[] {
  const reader = codec.eventReader("p", state);
  const events = records.flatMap(({ event = "", data }) =>
    reader.read({ event, data: typeof data === "string" ? data : JSON.stringify(data) }),
  );
  return [...events, ...reader.end()];
}

const fold = (events: readonly GenerateEvent[]): CompleteResponse => new Fold().addAll(events).response();

/** Records of a stream as a client of this dialect gets them, one event at a time. */
function write(dialect: Dialect, body: object, events: readonly GenerateEvent[]): Json[] {
  const request = dialect.readRequest(parseJson(JSON.stringify(body)), { model: "m", stream: true, query: new URLSearchParams("alt=sse") });
  const writer = dialect.eventWriter(request, { generationId: "g", created: 1 });
  const text = events.map((event) => writer.write({ events: [event] })).join("") + writer.end();
  return text.split("\n\n").flatMap((record) => {
    const data = /^data: (.*)$/m.exec(record)?.[1];
    return data === undefined || data === "[DONE]" ? [] : [JSON.parse(data)];
  });
}
const asked = { model: "m", messages: [{ role: "user", content: "hi" }], stream: true, stream_options: { include_usage: true } };
const toChat = (events: readonly GenerateEvent[]) => write(openAiChatDialect, asked, events);
const toAnthropic = (events: readonly GenerateEvent[]) =>
  write(anthropicMessagesDialect, { ...asked, stream_options: undefined, max_tokens: 9 }, events);
const toResponses = (events: readonly GenerateEvent[]) => write(openAiResponsesDialect, { model: "m", input: "hi", stream: true }, events);
const toGemini = (events: readonly GenerateEvent[]) => write(geminiDialect, { contents: [{ parts: [{ text: "hi" }] }] }, events);

/** The pieces of tool calls in Chat's frames. */
const pieces = (frames: readonly Json[]) => frames.flatMap((frame) => (frame.choices?.[0]?.delta?.tool_calls ?? []) as unknown as Json[]);
const finishOf = (frames: readonly Json[]) => frames.map((frame) => frame.choices?.[0]?.finish_reason).filter((reason) => reason);

const anthropicHead = {
  event: "message_start",
  data: {
    type: "message_start",
    message: { id: "msg_1", model: "c", role: "assistant", content: [], usage: { input_tokens: 10, output_tokens: 1 } },
  },
};
const anthropicTail = (reason: string, usage: object = { output_tokens: 5 }) => [
  { event: "message_delta", data: { type: "message_delta", delta: { stop_reason: reason }, usage } },
  { event: "message_stop", data: { type: "message_stop" } },
];
const block = (index: number, content_block: object, ...deltas: object[]): Record[] =>
  [
    { type: "content_block_start", index, content_block },
    ...deltas.map((delta) => ({ type: "content_block_delta", index, delta })),
    { type: "content_block_stop", index },
  ].map((data) => ({ event: data.type, data }));
const use = (index: number, id: string, ...fragments: string[]) =>
  block(
    index,
    { type: "tool_use", id, name: "f", input: {} },
    ...fragments.map((partial_json) => ({ type: "input_json_delta", partial_json })),
  );

const chatChunk = (delta: object, more: object = {}): Record => ({
  data: { id: "chatcmpl-1", model: "m", choices: [{ index: 0, delta, finish_reason: null, ...more }] },
});
const chatCall = (index: number, id: string | undefined, fragment: string) =>
  chatChunk({
    tool_calls: [
      {
        index,
        ...(id === undefined ? {} : { id, type: "function" }),
        function: { ...(id === undefined ? {} : { name: "f" }), arguments: fragment },
      },
    ],
  });
const chatEnd = (reason: string) => [chatChunk({}, { finish_reason: reason }), { data: "[DONE]" }];

const geminiChunk = (parts: object[], more: object = {}): Record => ({
  data: { candidates: [{ index: 0, content: { role: "model", parts }, ...more }] },
});
const functionCall = (name: string, args: object = {}) => ({ functionCall: { name, args } });

describe("tool calls", () => {
  test("case 1: Anthropic text block, then two calls, to Chat", () => {
    const events = read(anthropic, [
      anthropicHead,
      ...block(0, { type: "text", text: "" }, { type: "text_delta", text: "Look." }),
      ...use(1, "toolu_a", '{"x":', "1}"),
      ...use(2, "toolu_b", "{}"),
      ...anthropicTail("tool_use"),
    ]);
    const calls = pieces(toChat(events));
    expect(calls.map(({ index, id }) => [index, id])).toEqual([
      [0, "toolu_a"],
      [0, undefined],
      [0, undefined],
      [1, "toolu_b"],
      [1, undefined],
    ]);
  });

  test("case 2: Bedrock's block number 1 for the first call is index 0 of choice 0", () => {
    const events = read(bedrock, [
      { event: "messageStart", data: { role: "assistant" } },
      { event: "contentBlockDelta", data: { contentBlockIndex: 0, delta: { text: "Look." } } },
      { event: "contentBlockStop", data: { contentBlockIndex: 0 } },
      { event: "contentBlockStart", data: { contentBlockIndex: 1, start: { toolUse: { toolUseId: "t", name: "f" } } } },
      { event: "contentBlockDelta", data: { contentBlockIndex: 1, delta: { toolUse: { input: "{}" } } } },
      { event: "contentBlockStop", data: { contentBlockIndex: 1 } },
      { event: "messageStop", data: { stopReason: "tool_use" } },
      { event: "metadata", data: { usage: { inputTokens: 1, outputTokens: 2, totalTokens: 3 } } },
    ]);
    const frames = toChat(events);
    expect(pieces(frames).map(({ index }) => index)).toEqual([0, 0]);
    expect(frames.flatMap(({ choices }) => (choices as unknown as Json[]).map(({ index }) => index))).not.toContain(1);
    expect(finishOf(frames)).toEqual(["tool_calls"]);
  });

  test("case 3: Gemini calls in separate chunks go on counting", () => {
    const events = read(gemini, [
      geminiChunk([functionCall("a")]),
      geminiChunk([functionCall("b")]),
      geminiChunk([], { finishReason: "STOP" }),
    ]);
    expect(
      pieces(toChat(events))
        .filter(({ id }) => id !== undefined)
        .map(({ index, function: called }) => [index, called?.name]),
    ).toEqual([
      [0, "a"],
      [1, "b"],
    ]);
  });

  test("case 4, 7: Chat deltas of two calls interleaved, the first with its opening, to Anthropic: no overlap, nothing lost", () => {
    const events = read(chat, [
      chatCall(0, "a", '{"x"'),
      chatCall(1, "b", '{"y"'),
      chatCall(0, undefined, ":1}"),
      chatCall(1, undefined, ":2}"),
      ...chatEnd("tool_calls"),
    ]);
    const open: number[] = [];
    const inputs = ["", ""];
    for (const { type, index, delta } of toAnthropic(events) as unknown as {
      type: string;
      index: number;
      delta: { partial_json: string };
    }[]) {
      if (type === "content_block_start") {
        expect(open).toEqual([]);
        open.push(index);
      } else if (type === "content_block_delta") {
        expect(open).toEqual([index]);
        inputs[index] += delta.partial_json;
      } else if (type === "content_block_stop") expect(open.splice(0)).toEqual([index]);
    }
    expect(open).toEqual([]);
    expect(inputs).toEqual(['{"x":1}', '{"y":2}']);
  });

  test("case 5: Chat continuation deltas hold index and arguments alone, and no empty ones", () => {
    const events = read(anthropic, [anthropicHead, ...use(0, "toolu_a", "", '{"x":', "", "1}"), ...anthropicTail("tool_use")]);
    const [opening, ...rest] = pieces(toChat(events));
    expect(opening).toEqual({ index: 0, id: "toolu_a", type: "function", function: { name: "f", arguments: "" } });
    expect(rest).toEqual([
      { index: 0, function: { arguments: '{"x":' } },
      { index: 0, function: { arguments: "1}" } },
    ]);
  });

  test("case 6: a call without arguments is {} in every dialect's stream, and for targets that take objects", () => {
    const events = read(chat, [chatCall(0, "a", ""), ...chatEnd("tool_calls")]);
    expect(
      pieces(toChat(events))
        .map(({ function: called }) => called?.arguments)
        .join(""),
    ).toBe("{}");
    expect(
      toAnthropic(events)
        .filter(({ type }) => (type as unknown) === "content_block_delta")
        .map(({ delta }) => delta?.partial_json),
    ).toEqual(["{}"]);
    expect(toResponses(events).find(({ type }) => (type as unknown) === "response.function_call_arguments.done")?.arguments).toBe("{}");
    expect(
      toGemini(events)
        .flatMap(({ candidates }) => (candidates?.[0]?.content?.parts ?? []) as unknown as Json[])
        .find(({ functionCall: call }) => call),
    ).toMatchObject({ functionCall: { name: "f", args: {} } });
    const history = {
      model: "m",
      messages: [
        { role: "user", content: "go" },
        { role: "assistant", content: null, tool_calls: [{ id: "a", type: "function", function: { name: "f", arguments: "" } }] },
        { role: "tool", tool_call_id: "a", content: "ok" },
      ],
      tools: [{ type: "function", function: { name: "f" } }],
    };
    const { generate } = openAiChatDialect.readRequest(history as JsonValue);
    const bodyFor = (codec: UpstreamCodec) =>
      codec.writeRequest(generate, { id: "p/m", provider: "p", model: "m", traits: {} }, { stream: false }).body;
    expect(bodyFor(anthropic)).toContain('"input":{}');
    expect(bodyFor(gemini)).toContain('"args":{}');
    expect(bodyFor(bedrock)).toContain('"input":{}');
  });
});

describe("ends", () => {
  test.each([
    [
      "case 9: STOP in a later chunk than the call",
      [geminiChunk([functionCall("a")]), geminiChunk([{ text: "" }], { finishReason: "STOP" })],
      "tool_calls",
    ],
    ["case 10: MAX_TOKENS after a call", [geminiChunk([functionCall("a")]), geminiChunk([], { finishReason: "MAX_TOKENS" })], "length"],
    ["case 10: SAFETY after a call", [geminiChunk([functionCall("a")]), geminiChunk([], { finishReason: "SAFETY" })], "content_filter"],
    [
      "case 11: feedback without candidates",
      [{ data: { promptFeedback: { blockReason: "SAFETY" }, usageMetadata: { promptTokenCount: 4 } } }],
      "content_filter",
    ],
  ])("%s, to Chat", (_, records, reason) => {
    expect(finishOf(toChat(read(gemini, records)))).toEqual([reason]);
  });

  test("case 10: STOP before further text does not end the stream", () => {
    const frames = toChat(read(gemini, [geminiChunk([{ text: "a" }], { finishReason: "STOP" }), geminiChunk([{ text: "b" }])]));
    expect(frames.map((frame) => frame.choices?.[0]?.delta?.content ?? "").join("")).toBe("ab");
    expect(finishOf(frames)).toEqual(["stop"]);
  });

  test("case 11: chunks of metadata and of counts alone are no content and no failure", () => {
    const events = read(gemini, [
      { data: { responseId: "r", modelVersion: "g" } },
      { data: { usageMetadata: { promptTokenCount: 4 } } },
      geminiChunk([{ text: "a" }], { finishReason: "STOP" }),
      { data: { usageMetadata: { promptTokenCount: 4, candidatesTokenCount: 1 } } },
    ]);
    const { candidates, usage } = fold(events);
    expect(candidates.map(({ message }) => message?.parts.map(({ part }) => part.value))).toEqual([["a"]]);
    expect(usage).toMatchObject({ inputTokens: 4, outputTokens: 1 });
  });

  test.each([
    [
      "case 13: Responses' response.failed inside a 200",
      responses,
      [
        {
          event: "response.created",
          data: { type: "response.created", sequence_number: 0, response: { id: "resp_1", model: "m", status: "in_progress", output: [] } },
        },
        {
          event: "response.failed",
          data: {
            type: "response.failed",
            sequence_number: 1,
            response: { id: "resp_1", status: "failed", error: { code: "server_error", message: "broke" }, output: [] },
          },
        },
      ],
    ],
    [
      "case 14: Anthropic's overloaded_error after the first delta",
      anthropic,
      [
        anthropicHead,
        { event: "content_block_start", data: { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } } },
        { event: "content_block_delta", data: { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "a" } } },
        { event: "error", data: { type: "error", error: { type: "overloaded_error", message: "busy" } } },
      ],
    ],
  ] as const)("%s is a failure that may be tried elsewhere, and no end in any dialect", (_, codec, records) => {
    const reader = codec.eventReader("p");
    const events: GenerateEvent[] = [];
    const failing = () => {
      for (const { event, data } of records) events.push(...reader.read({ event, data: JSON.stringify(data) }));
    };
    expect(failing).toThrow(expect.objectContaining({ reason: "provider_error", retryable: true }));
    events.push(...reader.abandon());
    const error = new GatewayError("provider_error", "it failed");
    for (const [dialect, body, end] of [
      [openAiChatDialect, asked, "[DONE]"],
      [anthropicMessagesDialect, { ...asked, stream_options: undefined }, "message_stop"],
      [openAiResponsesDialect, { model: "m", input: "hi", stream: true }, "response.completed"],
    ] as const) {
      const request = dialect.readRequest(parseJson(JSON.stringify(body)), {});
      const writer = dialect.eventWriter(request, { generationId: "g", created: 1 });
      const text = writer.write({ events }) + writer.error(error);
      expect(text).toContain("it failed");
      for (const word of [end, "end_turn", '"finish_reason":"stop"']) expect(text).not.toContain(word);
    }
  });

  test.each([
    ["openai-chat", chat, [chatChunk({ content: "a" })]],
    [
      "openai-responses",
      responses,
      [
        {
          event: "response.created",
          data: { type: "response.created", sequence_number: 0, response: { id: "resp_1", model: "m", output: [] } },
        },
      ],
    ],
    ["anthropic-messages", anthropic, [anthropicHead, ...block(0, { type: "text", text: "" }, { type: "text_delta", text: "a" })]],
    ["gemini", gemini, [geminiChunk([{ text: "a" }])]],
    ["bedrock-converse", bedrock, [{ event: "messageStart", data: { role: "assistant" } }]],
    [
      "cohere-chat",
      createCohereChatCodec(),
      [{ event: "message-start", data: { type: "message-start", id: "1", delta: { message: { role: "assistant" } } } }],
    ],
  ] as const)("case 16: %s closes without its end mark", (_, codec, records) => {
    expect(() => read(codec, records)).toThrow(expect.objectContaining({ reason: "provider_error" }));
  });
});

describe("reasoning", () => {
  test("case 8: of a Chat server, to Anthropic and Responses: its own block and item, added before its delta; one message_start", () => {
    const events = read(chat, [
      chatChunk({ role: "assistant", content: "" }),
      chatChunk({ reasoning_content: "Hm." }),
      chatChunk({ content: "Yes." }),
      ...chatEnd("stop"),
    ]);
    const types = (records: readonly Json[]) =>
      records.map(({ type, content_block, item, delta }) =>
        [type, content_block?.type ?? item?.type ?? (typeof delta === "object" ? delta.type : "")].filter((word) => word).join(":"),
      );
    expect(types(toAnthropic(events))).toEqual([
      "message_start",
      "content_block_start:thinking",
      "content_block_delta:thinking_delta",
      "content_block_stop",
      "content_block_start:text",
      "content_block_delta:text_delta",
      "content_block_stop",
      "message_delta",
      "message_stop",
    ]);
    const items = types(toResponses(events)).filter((type) => type.includes("output_item.added"));
    expect(items).toEqual(["response.output_item.added:reasoning", "response.output_item.added:message"]);
  });
});

describe("counts", () => {
  const cached = { input_tokens: 10, cache_read_input_tokens: 200, cache_creation_input_tokens: 30, output_tokens: 1 };
  const start = {
    event: "message_start",
    data: { type: "message_start", message: { id: "msg_1", model: "c", role: "assistant", content: [], usage: cached } },
  };
  const text = block(0, { type: "text", text: "" }, { type: "text_delta", text: "a" });
  const streamed = read(anthropic, [start, ...text, ...anthropicTail("end_turn")]);

  test("case 18: Anthropic's cached counts to Chat are input, read and written together; back they are taken apart; streamed is unary", () => {
    expect(toChat(streamed).at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 240, completion_tokens: 5, total_tokens: 245, prompt_tokens_details: { cached_tokens: 200 } },
    });
    const back = toAnthropic(streamed).find(({ type }) => (type as unknown) === "message_delta")?.usage;
    expect(back).toMatchObject({ input_tokens: 10, cache_read_input_tokens: 200, cache_creation_input_tokens: 30, output_tokens: 5 });
    const whole = anthropic.readResponse(
      JSON.stringify({
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "c",
        content: [{ type: "text", text: "a" }],
        stop_reason: "end_turn",
        usage: { ...cached, output_tokens: 5 },
      }),
      "p",
    );
    expect(fold(whole).usage).toEqual(fold(streamed).usage);
  });

  test("case 19: what message_start counted survives a message_delta without it; counts in message_delta win", () => {
    expect(fold(streamed).usage).toMatchObject({ inputTokens: 240, cacheReadTokens: 200, outputTokens: 5 });
    const later = read(anthropic, [
      start,
      ...text,
      ...anthropicTail("end_turn", { input_tokens: 11, cache_read_input_tokens: 0, output_tokens: 7 }),
    ]);
    expect(fold(later).usage).toMatchObject({ inputTokens: 41, cacheReadTokens: 0, cacheWriteTokens: 30, outputTokens: 7 });
  });

  test("case 20: Gemini's thoughts are output, the last chunk's counts hold, absent candidates count", () => {
    const events = read(gemini, [
      { data: { candidates: [{ content: { parts: [{ text: "a" }] } }], usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 1 } } },
      {
        data: {
          candidates: [{ content: { parts: [] }, finishReason: "STOP" }],
          usageMetadata: { promptTokenCount: 9, candidatesTokenCount: 4, thoughtsTokenCount: 6 },
        },
      },
    ]);
    expect(fold(events).usage).toMatchObject({ inputTokens: 9, outputTokens: 10, reasoningTokens: 6 });
    const onlyThoughts = read(gemini, [
      {
        data: {
          candidates: [{ content: { parts: [] }, finishReason: "MAX_TOKENS" }],
          usageMetadata: { promptTokenCount: 9, thoughtsTokenCount: 6 },
        },
      },
    ]);
    expect(fold(onlyThoughts).usage).toMatchObject({ outputTokens: 6, reasoningTokens: 6 });
  });

  test("case 22: a usage chunk without choices is counted, and comes last; not asked for, it is left out", () => {
    const events = read(chat, [
      chatChunk({ content: "a" }),
      chatChunk({}, { finish_reason: "stop" }),
      { data: { id: "chatcmpl-1", choices: [], usage: { prompt_tokens: 3, completion_tokens: 1, total_tokens: 4 } } },
      { data: "[DONE]" },
    ]);
    expect(fold(events).usage).toMatchObject({ inputTokens: 3, outputTokens: 1 });
    expect(toChat(events).at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 4 } });
    const quiet = write(openAiChatDialect, { ...asked, stream_options: undefined }, events);
    expect(JSON.stringify(quiet)).not.toContain("usage");
  });
});

describe("case 35: calls one at a time, and a forced choice with thinking on, to Anthropic", () => {
  const tools = [{ type: "function", function: { name: "f" } }];
  const body = (more: object) => {
    const { generate } = openAiChatDialect.readRequest({ ...asked, tools, ...more } as unknown as JsonValue);
    return JSON.parse(
      anthropic.writeRequest(
        generate,
        { id: "p/m", provider: "p", model: "claude-sonnet-4-5", traits: { reasoning: "budget" } },
        { stream: true },
      ).body,
    );
  };

  test("parallel_tool_calls: false needs a choice to stand in", () => {
    expect(body({ parallel_tool_calls: false }).tool_choice).toEqual({ type: "auto", disable_parallel_tool_use: true });
    expect(body({ parallel_tool_calls: false, tool_choice: "required" }).tool_choice).toEqual({
      type: "any",
      disable_parallel_tool_use: true,
    });
  });

  test("thinking gives way to a choice that forces a call", () => {
    expect(body({ reasoning_effort: "high" }).thinking).toMatchObject({ type: "enabled" });
    expect(body({ reasoning_effort: "high", tool_choice: "required" }).thinking ?? { type: "disabled" }).toEqual({ type: "disabled" });
  });
});

test("case 40: pause_turn and reasons that nobody knows end a Chat answer neutrally, a refusal as the filter", () => {
  const reasonFor = (reason: string) =>
    finishOf(
      toChat(
        read(anthropic, [
          anthropicHead,
          ...block(0, { type: "text", text: "" }, { type: "text_delta", text: "a" }),
          ...anthropicTail(reason),
        ]),
      ),
    );
  expect(["pause_turn", "never_heard_of", "refusal"].map(reasonFor)).toEqual([["stop"], ["stop"], ["content_filter"]]);
});

test("every case of the contract has a test that names it", () => {
  const root = join(import.meta.dirname, "..");
  const named = new Set<number>();
  for (const file of readdirSync(root, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".test.ts") || file.includes("node_modules")) continue;
    for (const [, list = ""] of readFileSync(join(root, file), "utf8").matchAll(/["`][^"`\n]*\bcases? (\d+(?:, \d+)*)\b/g))
      for (const number of list.split(", ")) named.add(Number(number));
  }
  const all = Array.from({ length: 40 }, (_, index) => index + 1);
  expect(all.filter((number) => !named.has(number))).toEqual([]);
});
