import { readdirSync, readFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { BlockKind, FinishReason, GenerateRequestSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createOpenAiChatCodec, openAiChatDialect as dialect } from "../../../src/codecs/openai-chat/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import {
  deltaEvent,
  EventBuilder,
  finishedEvent,
  type GenerateEvent,
  opaqueEvent,
  startedEvent,
  usageEvent,
} from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { parseJson } from "../../../src/core/json.ts";
import { SseReader } from "../../../src/core/sse.ts";

const facts = { generationId: "01GEN", created: 1_700_000_000 };
const request = (includeUsage = false) => ({ generate: create(GenerateRequestSchema, { model: "asked" }), stream: true, includeUsage });
const started = () =>
  startedEvent({ upstreamId: "chatcmpl-9", servedModel: "served", createdAt: create(TimestampSchema, { seconds: 5n }) });

/** One batch per event: what a slow upstream gives. */
function write(events: readonly GenerateEvent[], { includeUsage = false, together = false } = {}): string {
  const writer = dialect.eventWriter(request(includeUsage), facts);
  const batches = together ? [events] : events.map((event) => [event]);
  return batches.map((batch) => writer.write({ events: batch })).join("") + writer.end();
}

const head = '{"id":"chatcmpl-9","object":"chat.completion.chunk","created":5,"model":"served","choices":[';
const frame = (choice: string, rest = "") => `data: ${head}${choice}]${rest}}\n\n`;
const choice = (delta: string, finish = "null", index = 0) => `{"index":${index},"delta":${delta},"finish_reason":${finish}}`;
const first = (index = 0) => choice('{"role":"assistant","content":""}', "null", index);

function textEvents(...texts: string[]): GenerateEvent[] {
  const builder = new EventBuilder();
  builder.push(started());
  const index = builder.startBlock(0, BlockKind.TEXT);
  for (const text of texts) builder.text(0, index, text);
  builder.endBlock(0, index);
  builder.push(finishedEvent({ candidate: 0, reason: FinishReason.STOP }));
  return builder.take();
}

describe("bytes of a stream", () => {
  test("text: role first, one frame a delta, one finish, the end mark last", () => {
    expect(write(textEvents("Hé\n", '"👋"'))).toBe(
      frame(first()) +
        frame(choice('{"content":"Hé\\n"}')) +
        frame(choice('{"content":"\\"👋\\""}')) +
        frame(choice("{}", '"stop"')) +
        "data: [DONE]\n\n",
    );
  });

  test("neighbours of one batch share a frame", () => {
    expect(write(textEvents("a", "b", "c"), { together: true })).toBe(
      frame(first()) + frame(choice('{"content":"abc"}')) + frame(choice("{}", '"stop"')) + "data: [DONE]\n\n",
    );
  });

  test("case 22: usage only where it was asked for: null on every frame, then a last frame without choices", () => {
    const usage = usageEvent(create(UsageSchema, { inputTokens: 7, outputTokens: 3, cacheReadTokens: 0 }));
    expect(write([...textEvents("a"), usage])).not.toContain("usage");
    const text = write([...textEvents("a"), usage], { includeUsage: true });
    const frames = text.split("\n\n").filter((line) => line !== "");
    expect(frames.slice(0, -2).every((line) => line.endsWith(',"usage":null}'))).toBe(true);
    expect(frames.at(-2)).toBe(
      `data: ${head}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0}}}`,
    );
    expect(frames.at(-1)).toBe("data: [DONE]");
  });

  test("ids and times of other formats are the gateway's", () => {
    const text = write([startedEvent({ upstreamId: "msg_1", requestedModel: "route" }), ...textEvents("a").slice(1)]);
    expect(text).toContain(
      'data: {"id":"chatcmpl-01GEN","object":"chat.completion.chunk","created":1700000000,"model":"route","choices":[',
    );
  });

  test("tool indexes count calls only; nothing but index and fragment after the opening frame; no arguments are {}", () => {
    const builder = new EventBuilder();
    builder.push(started());
    const call = (id: string) => ({ toolCall: { id, name: "f" } });
    const text = builder.startBlock(0, BlockKind.TEXT);
    builder.text(0, text, "x");
    builder.endBlock(0, text);
    const one = builder.startBlock(0, BlockKind.TOOL_CALL, call("a"));
    const two = builder.startBlock(0, BlockKind.TOOL_CALL, call("b"));
    builder.argumentsJson(0, one, "");
    builder.argumentsJson(0, one, '{"q":');
    builder.argumentsJson(0, one, "1}");
    builder.endOpenBlocks();
    builder.push(finishedEvent({ candidate: 0, reason: FinishReason.TOOL_CALLS }));
    expect(two).toBe(2);
    const open = (index: number, id: string) =>
      frame(choice(`{"tool_calls":[{"index":${index},"id":"${id}","type":"function","function":{"name":"f","arguments":""}}]}`));
    const more = (index: number, args: string) =>
      frame(choice(`{"tool_calls":[{"index":${index},"function":{"arguments":${JSON.stringify(args)}}}]}`));
    expect(write(builder.take())).toBe(
      [
        ...[frame(first()), frame(choice('{"content":"x"}')), open(0, "a"), open(1, "b"), more(0, '{"q":'), more(0, "1}"), more(1, "{}")],
        ...[frame(choice("{}", '"tool_calls"')), "data: [DONE]\n\n"],
      ].join(""),
    );
  });

  test("a Gemini signature stands in the frame that opens the call", () => {
    const builder = new EventBuilder();
    const index = builder.startBlock(0, BlockKind.TOOL_CALL, { toolCall: { id: "a", name: "f" } });
    builder.endBlock(0, index, { signature: { value: "s=", format: "gemini", provider: "g" } });
    expect(write([started(), ...builder.take()], { together: true })).toContain(
      '"arguments":""},"extra_content":{"google":{"thought_signature":"s="}}}]}',
    );
  });

  test("candidates say their role once each, reasoning and refusals have members of their own", () => {
    const builder = new EventBuilder();
    const thought = builder.startBlock(0, BlockKind.REASONING);
    builder.text(0, thought, "t");
    const refusal = builder.startBlock(1, BlockKind.REFUSAL);
    builder.text(1, refusal, "r");
    builder.endOpenBlocks();
    builder.push(finishedEvent({ candidate: 1, reason: FinishReason.REFUSAL }));
    builder.push(finishedEvent({ candidate: 0, reason: FinishReason.LENGTH }));
    builder.push(finishedEvent({ candidate: 0, reason: FinishReason.STOP }));
    expect(write([started(), ...builder.take()])).toBe(
      [
        ...[first(), choice('{"reasoning_content":"t"}'), first(1), choice('{"refusal":"r"}', "null", 1)].map((text) => frame(text)),
        ...[choice("{}", '"stop"', 1), choice("{}", '"length"')].map((text) => frame(text)),
        "data: [DONE]\n\n",
      ].join(""),
    );
  });

  test.each([
    [FinishReason.UNSPECIFIED, "stop"],
    [FinishReason.STOP, "stop"],
    [FinishReason.STOP_SEQUENCE, "stop"],
    [FinishReason.LENGTH, "length"],
    [FinishReason.TOOL_CALLS, "tool_calls"],
    [FinishReason.CONTENT_FILTER, "content_filter"],
    [FinishReason.REFUSAL, "content_filter"],
    [FinishReason.PAUSE, "stop"],
    [FinishReason.CONTEXT_EXCEEDED, "length"],
    [FinishReason.MALFORMED, "stop"],
    [FinishReason.RECITATION, "content_filter"],
    [FinishReason.GUARDRAIL, "content_filter"],
    [FinishReason.TIME_LIMIT, "length"],
    [FinishReason.OTHER, "stop"],
  ])("finish reason %i is %s", (reason, word) => {
    expect(write([started(), finishedEvent({ candidate: 0, reason })])).toContain(`"delta":{},"finish_reason":"${word}"`);
  });

  test("citations count from the message's begin, in code points", () => {
    const builder = new EventBuilder();
    const one = builder.startBlock(0, BlockKind.TEXT);
    builder.text(0, one, "😀é");
    builder.endBlock(0, one);
    const two = builder.startBlock(0, BlockKind.TEXT);
    builder.text(0, two, "Rom");
    const source = {
      case: "url",
      value: { $typeName: "dragoman.v1.UrlSource", url: "https://a", title: "A", encryptedIndex: "" },
    } as const;
    builder.delta(0, two, { case: "text", value: "" }, [
      { $typeName: "dragoman.v1.Annotation", startIndex: 0, endIndex: 3, citedText: "", source, extrasJson: {} },
    ]);
    expect(write([started(), ...builder.take()])).toContain(
      '"delta":{"annotations":[{"type":"url_citation","url_citation":{"end_index":5,"start_index":2,"title":"A","url":"https://a"}}]}',
    );
  });

  test("blocks and records of other formats have no form here", () => {
    const builder = new EventBuilder();
    const opaque = { format: "anthropic-messages", type: "server_tool_use", dataJson: "{}" };
    const index = builder.startBlock(0, BlockKind.OPAQUE, { opaque });
    builder.endBlock(0, index, { opaque });
    const video = builder.startBlock(0, BlockKind.VIDEO);
    builder.push(deltaEvent(0, video, { case: "data", value: new Uint8Array(3) }));
    expect(write([started(), ...builder.take(), opaqueEvent("gemini", "x", "{}")])).toBe(`${frame(first())}data: [DONE]\n\n`);
  });

  test("a failure after the first byte is one record, and no end mark", () => {
    const writer = dialect.eventWriter(request(), facts);
    const text = writer.write({ events: textEvents("a").slice(0, 3) }) + writer.error(new GatewayError("provider_error", "gone"));
    expect(text.endsWith('data: {"error":{"code":null,"message":"gone","type":"server_error"},"error_kind":"network_error"}\n\n')).toBe(
      true,
    );
    expect(text).not.toContain("[DONE]");
  });
});

describe("through the house and back", () => {
  const root = new URL("../../fixtures/openai-chat/", import.meta.url);
  const codec = createOpenAiChatCodec();

  function readAll(text: string): GenerateEvent[] {
    const reader = codec.eventReader("acme");
    const events = new SseReader().read(Buffer.from(text)).flatMap((frame) => reader.read(frame));
    return [...events, ...reader.end()];
  }
  const fold = (events: readonly GenerateEvent[]) => new Fold().addAll(events).response();

  test.each(readdirSync(root))("%s: what is written reads as what was read, streamed and whole", (name) => {
    const events = readAll(readFileSync(new URL(`${name}/stream.sse`, root), "utf8"));
    const wanted = fold(events);
    expect(fold(readAll(write(events, { includeUsage: true })))).toEqual(wanted);
    expect(fold(readAll(write(events, { includeUsage: true, together: true })))).toEqual(wanted);
    const whole = fold(codec.readResponse(dialect.writeResponse(wanted, facts), "acme"));
    // Usage is always there in a whole reply.
    if (wanted.usage === undefined) delete whole.usage;
    expect(whole).toEqual(wanted);
  });

  test("unknown fields of every level come back out", () => {
    const events = readAll(readFileSync(new URL("unknown-fields/stream.sse", root), "utf8"));
    const text = write(events);
    expect(text).toContain('"prompt_filter_results":[{"prompt_index":0');
    expect(text).toContain('"big_number":12345678901234567890');
    expect(text).toContain('"finish_reason":"stop","stop_reason":151645,"content_filter_results":{"2":1,"1":2}');
    const whole = dialect.writeResponse(fold(events), facts);
    expect(whole).toContain('"big_number":12345678901234567890');
    expect(whole).toContain('"content_filter_results":{"2":1,"1":2}');
  });

  test("unknown members of a delta come out in their place", () => {
    const record = (delta: object) =>
      `data: ${JSON.stringify({ id: "chatcmpl-1", choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`;
    const text =
      record({ content: "a", reasoning_details: [{ x: 1 }] }) +
      'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n';
    expect(write(readAll(text))).toContain('"delta":{"reasoning_details":[{"x":1}]},"finish_reason":null}');
  });

  test("a whole reply has the keys that SDKs read", () => {
    const reply = parseJson(dialect.writeResponse(fold(textEvents("Hi")), facts));
    expect(reply).toEqual({
      id: "chatcmpl-9",
      object: "chat.completion",
      created: 5,
      model: "served",
      choices: [{ index: 0, message: { role: "assistant", content: "Hi", refusal: null }, logprobs: null, finish_reason: "stop" }],
      usage: { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 },
    });
  });
});
