import { readdirSync, readFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  AnnotationSchema,
  BlockKind,
  FinishReason,
  LocationUnit,
  OpaquePartSchema,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createAnthropicMessagesCodec, anthropicMessagesDialect as dialect } from "../../../src/codecs/anthropic-messages/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { finishedEvent, opaqueEvent, settledEvent, startedEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { SseReader } from "../../../src/core/sse.ts";
import {
  answer,
  asked,
  deepFreeze,
  facts,
  orderProblems,
  recordsOf,
  signature,
  startCall,
  usage,
  type WireRecord,
  write,
  writeText,
} from "./answers.ts";

const codec = createAnthropicMessagesCodec();

/** What is said of blocks, short: `start 0 text`, `0 "text"`, `stop 0`. */
function outline(records: readonly WireRecord[]): string[] {
  return records.flatMap(({ type, index, content_block, delta }) => {
    const block = content_block as WireRecord | undefined;
    const piece = delta as WireRecord | undefined;
    if (type === "content_block_start") return [`start ${index} ${block?.type}`];
    if (type === "content_block_stop") return [`stop ${index}`];
    if (type !== "content_block_delta" || piece === undefined) return [];
    return [`${index} ${JSON.stringify(piece.text ?? piece.thinking ?? piece.partial_json ?? piece.signature ?? piece.citation)}`];
  });
}

const finishOf = (records: readonly WireRecord[]) =>
  records.at(-2) as WireRecord & { delta: Record<string, unknown>; usage: Record<string, unknown> };
const messageOf = (records: readonly WireRecord[]) => records[0]?.message as Record<string, unknown>;

describe("bytes of a stream", () => {
  test("text: one start, one record a piece, counts at the end", () => {
    const events = answer((builder) => {
      builder.push(usage({ inputTokens: 7, outputTokens: 1 }));
      const index = builder.startBlock(0, BlockKind.TEXT);
      builder.text(0, index, "Hé\n");
      builder.text(0, index, '"👋"');
      builder.endBlock(0, index);
      builder.push(usage({ inputTokens: 7, outputTokens: 4 }));
    });
    const nothing =
      '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}';
    expect(writeText(events)).toBe(
      [
        'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_9","type":"message","role":"assistant","model":"served","content":[],' +
          `"stop_reason":null,"stop_sequence":null,"stop_details":null,"container":null,"usage":{"input_tokens":7,${nothing},"output_tokens":1,` +
          '"output_tokens_details":null,"server_tool_use":null,"service_tier":null,"inference_geo":null,"speed":null}}}',
        'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hé\\n"}}',
        'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\"👋\\""}}',
        'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}',
        'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null,"stop_details":null,"container":null},' +
          '"usage":{"input_tokens":7,"cache_creation_input_tokens":null,"cache_read_input_tokens":null,"output_tokens":4}}',
        'event: message_stop\ndata: {"type":"message_stop"}',
        "",
      ].join("\n\n"),
    );
  });

  test("neighbours of one batch share a record", () => {
    const events = answer((builder) => {
      const index = builder.startBlock(0, BlockKind.TEXT);
      for (const piece of ["a", "b", "c"]) builder.text(0, index, piece);
      builder.endBlock(0, index);
    });
    expect(outline(write(events, { together: true }))).toEqual(["start 0 text", '0 "abc"', "stop 0"]);
  });

  test("an id of another format is replaced, a model that the provider does not name is what was asked for", () => {
    const [start] = write([startedEvent({ upstreamId: "chatcmpl-1" }), finishedEvent({ candidate: 0, reason: FinishReason.STOP })]);
    expect(start).toMatchObject({ message: { id: "msg_01GEN", model: "asked" } });
  });

  test("an answer without content begins and ends", () => {
    const records = write(answer(() => {}));
    expect(records.map(({ type }) => type)).toEqual(["message_start", "message_delta", "message_stop"]);
  });
});

describe("blocks", () => {
  test("case 1, 2: text, then two calls, have the indexes 0, 1, 2", () => {
    const events = answer((builder) => {
      const text = builder.startBlock(0, BlockKind.TEXT);
      builder.text(0, text, "Looking.");
      builder.endBlock(0, text);
      for (const id of ["a", "b"]) {
        const call = startCall(builder, id);
        builder.argumentsJson(0, call, `{"id":"${id}"}`);
        builder.endBlock(0, call);
      }
    }, FinishReason.TOOL_CALLS);
    const records = write(events);
    expect(outline(records)).toEqual([
      "start 0 text",
      '0 "Looking."',
      "stop 0",
      "start 1 tool_use",
      '1 "{\\"id\\":\\"a\\"}"',
      "stop 1",
      "start 2 tool_use",
      '2 "{\\"id\\":\\"b\\"}"',
      "stop 2",
    ]);
    expect(finishOf(records).delta.stop_reason).toBe("tool_use");
  });

  test("case 3, 4, 7: pieces of two calls that come in turn are written one call after the other, the first piece included", () => {
    const events = answer((builder) => {
      const first = startCall(builder, "a", "one");
      builder.argumentsJson(0, first, '{"a"');
      const second = startCall(builder, "b", "two");
      builder.argumentsJson(0, second, '{"b"');
      builder.argumentsJson(0, first, ":1}");
      builder.argumentsJson(0, second, ":2}");
      builder.endBlock(0, second);
      builder.endBlock(0, first);
    });
    const records = write(events);
    expect(orderProblems(records)).toEqual([]);
    expect(outline(records)).toEqual([
      "start 0 tool_use",
      '0 "{\\"a\\""',
      '0 ":1}"',
      "stop 0",
      "start 1 tool_use",
      '1 "{\\"b\\":2}"',
      "stop 1",
    ]);
    expect(records[1]?.content_block).toEqual({ type: "tool_use", id: "a", name: "one", input: {} });
  });

  test("the first open block streams at once, although later ones are open", () => {
    const writer = dialect.eventWriter(asked, facts);
    const events = answer((builder) => {
      const first = startCall(builder, "a");
      const second = startCall(builder, "b");
      builder.argumentsJson(0, second, "{}");
      builder.argumentsJson(0, first, '{"x":1}');
      builder.endBlock(0, first);
      builder.endBlock(0, second);
    });
    const texts = events.map((event) => writer.write({ events: [event] }));
    expect(texts.map((text) => recordsOf(text).map(({ type }) => type))).toEqual([
      [],
      ["message_start", "content_block_start"],
      [],
      [],
      ["content_block_delta"],
      ["content_block_stop", "content_block_start", "content_block_delta"],
      ["content_block_stop"],
      [],
    ]);
  });

  test("case 5, 6: a call without arguments has one piece, an empty object; no piece is empty", () => {
    const events = answer((builder) => {
      const call = startCall(builder, "a");
      builder.argumentsJson(0, call, "");
      builder.endBlock(0, call);
    });
    expect(outline(write(events))).toEqual(["start 0 tool_use", '0 "{}"', "stop 0"]);
  });

  test("a call that the end of the stream cut off is stopped without arguments that nobody wrote", () => {
    const builder = answer((events) => {
      startCall(events, "a");
      events.endOpenBlocks({ incomplete: true });
    });
    expect(outline(write(builder))).toEqual(["start 0 tool_use", "stop 0"]);
  });

  test("free text of a tool is the member of an object", () => {
    const events = answer((builder) => {
      const call = startCall(builder, "a", "shell", ToolKind.CUSTOM);
      builder.text(0, call, 'say "');
      builder.text(0, call, 'hi"\n');
      builder.endBlock(0, call);
      builder.endBlock(0, startCall(builder, "b", "shell", ToolKind.CUSTOM));
    });
    const pieces = (index: number) =>
      write(events)
        .filter((record) => record.type === "content_block_delta" && record.index === index)
        .map(({ delta }) => (delta as WireRecord).partial_json)
        .join("");
    expect(JSON.parse(pieces(0))).toEqual({ input: 'say "hi"\n' });
    expect(JSON.parse(pieces(1))).toEqual({ input: "" });
  });

  test("case 8: reasoning without a signature has a block of its own with an empty one, and one message starts", () => {
    const events = answer((builder) => {
      const reasoning = builder.startBlock(0, BlockKind.REASONING);
      builder.text(0, reasoning, "hm");
      builder.endBlock(0, reasoning);
      const text = builder.startBlock(0, BlockKind.TEXT);
      builder.text(0, text, "Yes.");
      builder.endBlock(0, text);
    });
    const records = write(events);
    expect(outline(records)).toEqual(["start 0 thinking", '0 "hm"', "stop 0", "start 1 text", '1 "Yes."', "stop 1"]);
    expect(records[1]?.content_block).toEqual({ type: "thinking", thinking: "", signature: "" });
    expect(records.filter(({ type }) => type === "message_start")).toHaveLength(1);
  });

  test("case 23: signatures stand just before the stop, hidden thinking is redacted, another format's value is kept too", () => {
    const events = answer((builder) => {
      const signed = builder.startBlock(0, BlockKind.REASONING);
      builder.text(0, signed, "First.");
      builder.endBlock(0, signed, { signature: signature("EqQB+/9==") });
      const redacted = builder.startBlock(0, BlockKind.REASONING);
      builder.endBlock(0, redacted, { signature: signature("EmwK=="), redacted: true });
      const hidden = builder.startBlock(0, BlockKind.REASONING);
      builder.endBlock(0, hidden, { signature: signature("EuYB==") });
      const summed = builder.startBlock(0, BlockKind.REASONING);
      builder.delta(0, summed, { case: "summary", value: "One" }, [], [], 0);
      builder.delta(0, summed, { case: "summary", value: "Two" }, [], [], 1);
      builder.endBlock(0, summed, { signature: signature("gAAA", "openai", "openai") });
      builder.endBlock(0, builder.startBlock(0, BlockKind.REASONING));
    });
    const records = write(events, { together: true });
    expect(outline(records)).toEqual([
      "start 0 thinking",
      '0 "First."',
      '0 "EqQB+/9=="',
      "stop 0",
      "start 1 redacted_thinking",
      "stop 1",
      "start 2 thinking",
      '2 "EuYB=="',
      "stop 2",
      "start 3 thinking",
      '3 "One\\n\\nTwo"',
      '3 "gAAA"',
      "stop 3",
    ]);
    expect(records.find(({ index }) => index === 1)?.content_block).toEqual({ type: "redacted_thinking", data: "EmwK==" });
  });

  test("a refusal in words is text, what has no form or holds nothing is left out, and the indexes stay dense", () => {
    const events = answer((builder) => {
      builder.endBlock(0, builder.startBlock(0, BlockKind.TEXT));
      const opaque = create(OpaquePartSchema, { format: "openai-responses", type: "web_search_call", dataJson: "{}" });
      builder.endBlock(0, builder.startBlock(0, BlockKind.OPAQUE, { opaque }), { opaque });
      const image = builder.startBlock(0, BlockKind.IMAGE);
      builder.delta(0, image, { case: "data", value: new Uint8Array([1]) });
      builder.endBlock(0, image);
      const refusal = builder.startBlock(0, BlockKind.REFUSAL);
      builder.text(0, refusal, "No.");
      builder.endBlock(0, refusal);
      const other = builder.startBlock(1, BlockKind.TEXT);
      builder.text(1, other, "another candidate");
      builder.endBlock(1, other);
    });
    expect(outline(write(events))).toEqual(["start 0 text", '0 "No."', "stop 0"]);
  });

  test("citations follow the text they belong to; those of the web have an index, if an empty one", () => {
    const events = answer((builder) => {
      const text = builder.startBlock(0, BlockKind.TEXT);
      builder.delta(0, text, { case: "text", value: "It runs." }, [
        create(AnnotationSchema, { citedText: "runs", source: { case: "url", value: { url: "https://a.example", title: "A" } } }),
        create(AnnotationSchema, { source: { case: "file", value: { fileId: "f" } } }),
        create(AnnotationSchema, {
          citedText: "für",
          source: { case: "document", value: { index: 0, title: "Doc", unit: LocationUnit.PAGE, start: 1, end: 2 } },
          extrasJson: { "anthropic-messages": '{"file_id":null}' },
        }),
      ]);
      builder.endBlock(0, text);
    });
    expect(
      write(events)
        .filter(({ type }) => type === "content_block_delta")
        .map(({ delta }) => delta),
    ).toEqual([
      { type: "text_delta", text: "It runs." },
      {
        type: "citations_delta",
        citation: { type: "web_search_result_location", cited_text: "runs", url: "https://a.example", title: "A", encrypted_index: "" },
      },
      {
        type: "citations_delta",
        citation: {
          type: "page_location",
          cited_text: "für",
          document_index: 0,
          document_title: "Doc",
          start_page_number: 1,
          end_page_number: 2,
          file_id: null,
        },
      },
    ]);
  });

  test("case 37: a block of this format comes back as it was, streamed or whole, and never with line breaks", () => {
    const data = { type: "server_tool_use", id: "srv_1", name: "web_search", input: {} };
    const whole = '{"type":"web_search_tool_result",\n"big":12345678901234567890,"1":[]}';
    const events = answer((builder) => {
      const opaque = create(OpaquePartSchema, { format: "anthropic-messages", type: data.type, dataJson: JSON.stringify(data) });
      const block = builder.startBlock(0, BlockKind.OPAQUE, { opaque });
      builder.delta(0, block, { case: "opaqueJson", value: '{"type":"input_json_delta","partial_json":"{}"}' });
      builder.endBlock(0, block, { opaque });
      const late = create(OpaquePartSchema, { format: "anthropic-messages", type: "web_search_tool_result", dataJson: whole });
      builder.endBlock(0, builder.startBlock(0, BlockKind.OPAQUE), { opaque: late });
      builder.push(opaqueEvent("anthropic-messages", "progress", '{"type":"progress","at":1}'));
      builder.push(opaqueEvent("openai-chat", "chunk", "{}"));
    });
    const text = writeText(events);
    const records = recordsOf(text);
    expect(outline(records)).toEqual(["start 0 server_tool_use", '0 "{}"', "stop 0", "start 1 web_search_tool_result", "stop 1"]);
    expect(records[1]?.content_block).toEqual(data);
    expect(text).toContain(`"content_block":${whole.replace("\n", " ")}`);
    expect(records.filter(({ type }) => type === "progress")).toEqual([{ type: "progress", at: 1 }]);
  });
});

describe("the end", () => {
  test.each([
    ["STOP", "end_turn"],
    ["STOP_SEQUENCE", "stop_sequence"],
    ["LENGTH", "max_tokens"],
    ["TIME_LIMIT", "max_tokens"],
    ["TOOL_CALLS", "tool_use"],
    ["PAUSE", "pause_turn"],
    ["REFUSAL", "refusal"],
    ["CONTENT_FILTER", "refusal"],
    ["RECITATION", "refusal"],
    ["GUARDRAIL", "refusal"],
    ["CONTEXT_EXCEEDED", "model_context_window_exceeded"],
    ["MALFORMED", "end_turn"],
    ["OTHER", "end_turn"],
    ["UNSPECIFIED", "end_turn"],
  ] as const)("%s is %s", (reason, word) => {
    expect(finishOf(write(answer(() => {}, FinishReason[reason]))).delta.stop_reason).toBe(word);
  });

  test("says the stop text, and why it was refused", () => {
    const stopped = write([finishedEvent({ candidate: 0, reason: FinishReason.STOP_SEQUENCE, stopSequence: "END" })]);
    expect(finishOf(stopped).delta).toMatchObject({ stop_reason: "stop_sequence", stop_sequence: "END", stop_details: null });
    const refused = write([finishedEvent({ candidate: 0, reason: FinishReason.REFUSAL, category: "bio", message: "Not this." })]);
    expect(finishOf(refused).delta.stop_details).toEqual({ type: "refusal", category: "bio", explanation: "Not this." });
  });

  test("case 40: a reason without an equal keeps its word for this format, beside what is not modelled", () => {
    const frames = [
      {
        type: "message_start",
        message: { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], usage: { input_tokens: 1, output_tokens: 1 } },
      },
      {
        type: "message_delta",
        delta: { stop_reason: "compaction", stop_sequence: null, container: { id: "c" } },
        context_management: { applied_edits: [] },
        usage: { output_tokens: 2, iterations: [1] },
      },
      { type: "message_stop" },
    ];
    const reader = codec.eventReader("anthropic");
    const events = frames.flatMap((record) => reader.read({ event: record.type, data: JSON.stringify(record) }));
    expect(finishOf(write(events))).toEqual({
      type: "message_delta",
      delta: { stop_reason: "compaction", stop_sequence: null, stop_details: null, container: { id: "c" } },
      context_management: { applied_edits: [] },
      usage: { input_tokens: 1, cache_creation_input_tokens: null, cache_read_input_tokens: null, output_tokens: 2, iterations: [1] },
    });
  });

  test("case 18, 19: cached input stands outside; counts that come after the end are in the last record", () => {
    const counts = {
      inputTokens: 1000,
      cacheReadTokens: 600,
      cacheWriteTokens: 300,
      cacheWrites: [{ ttlSeconds: 3600, tokens: 300 }],
      outputTokens: 9,
      reasoningTokens: 4,
      serverToolCalls: { web_search_requests: 2 },
    };
    const late = write([startedEvent({}), finishedEvent({ candidate: 0, reason: FinishReason.STOP }), usage(counts)]);
    // Nothing was written before the end, so the start could wait for them.
    expect(messageOf(late).usage).toMatchObject({ input_tokens: 100, cache_read_input_tokens: 600, cache_creation_input_tokens: 300 });
    const streamed = write([
      ...answer((builder) => {
        const text = builder.startBlock(0, BlockKind.TEXT);
        builder.text(0, text, "x");
        builder.endBlock(0, text);
      }),
      usage(counts),
    ]);
    expect(messageOf(streamed).usage).toMatchObject({ input_tokens: 0, output_tokens: 0, cache_read_input_tokens: 0 });
    expect(finishOf(streamed).usage).toEqual({
      input_tokens: 100,
      cache_creation_input_tokens: 300,
      cache_read_input_tokens: 600,
      output_tokens: 9,
      output_tokens_details: { thinking_tokens: 4 },
      server_tool_use: { web_search_requests: 2, web_fetch_requests: 0 },
      cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 300 },
    });
  });

  test("input is never below 0, and what the call was billed for stands in for counts that nobody gave", () => {
    const settled = settledEvent({
      $typeName: "dragoman.v1.Settled",
      usage: create(UsageSchema, { inputTokens: 5, cacheReadTokens: 9, outputTokens: 2 }),
      pricingVersion: "",
      attempts: [],
      translation: [],
      buffered: 0,
    });
    expect(finishOf(write([...answer(() => {}), settled])).usage).toMatchObject({
      input_tokens: 0,
      cache_read_input_tokens: 9,
      output_tokens: 2,
    });
  });

  test("case 13, 16: a failure after the first byte is the last record, without a reason of the end", () => {
    const writer = dialect.eventWriter(asked, facts);
    const events = answer((builder) => {
      const text = builder.startBlock(0, BlockKind.TEXT);
      builder.text(0, text, "half");
      builder.endBlock(0, text, { incomplete: true });
    });
    const written = writer.write({ events });
    const failed = writer.error(new GatewayError("provider_error", "provider x ended its answer without message_stop"));
    expect(recordsOf(written).map(({ type }) => type)).toEqual([
      "message_start",
      "content_block_start",
      "content_block_delta",
      "content_block_stop",
    ]);
    expect(failed).toBe(
      'event: error\ndata: {"type":"error","error":{"type":"api_error","message":"provider x ended its answer without message_stop"}}\n\n',
    );
  });
});

const fixtures = new URL("../../fixtures/anthropic-messages/", import.meta.url);

describe.each(readdirSync(fixtures))("%s", (name) => {
  const sse = readFileSync(new URL(`${name}/stream.sse`, fixtures));
  const read = (text: Uint8Array) => {
    const reader = codec.eventReader("anthropic");
    const events = new SseReader().read(text).flatMap((frame) => reader.read(frame));
    return [...events, ...reader.end()];
  };

  test("is written as it was recorded, up to pings, pieces and members that say nothing", () => {
    const events = deepFreeze(read(sse));
    const written = write(events);
    expect(orderProblems(written)).toEqual([]);
    const recorded = recordsOf(sse.toString().trim().concat("\n\n")).filter(({ type }) => type !== "ping");
    const meaning = (records: readonly WireRecord[]) =>
      records
        .map(withoutNothing)
        .filter((value) => !/"(?:partial_json|text|thinking)":"(?:\{\})?"\}/.test(JSON.stringify((value as WireRecord).delta ?? 0)));
    expect(meaning(written.map(lastUsage))).toEqual(meaning(recorded.map(lastUsage)));
  });

  test("read again, it is the same answer", () => {
    const events = read(sse);
    const again = read(Buffer.from(writeText(events)));
    const fold = (all: typeof events) => {
      const response = new Fold().addAll(all).response();
      return { ...response, usage: withoutNothing({ ...response.usage, extrasJson: {} }), extrasJson: {}, candidates: response.candidates };
    };
    expect(fold(again)).toEqual(fold(events));
  });
});

/** Counts at the end are cumulative: what the start said may be left out, or said again. */
function lastUsage(record: WireRecord): WireRecord {
  if (record.type !== "message_delta") return record;
  const { output_tokens } = record.usage as Record<string, unknown>;
  return { ...record, usage: { output_tokens } };
}

/** Without null, 0, empty lists and empty objects: what the API leaves out as it likes. */
function withoutNothing(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNothing);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value)
    .map(([name, member]) => [name, withoutNothing(member)] as const)
    .filter(
      ([, member]) =>
        member !== null && member !== 0 && member !== undefined && JSON.stringify(member) !== "{}" && JSON.stringify(member) !== "[]",
    );
  return Object.fromEntries(members);
}
