import { readdirSync, readFileSync } from "node:fs";
import { toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { CompleteResponseSchema, FinishReason, GenerateResponseSchema, type Part, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { UsageBasis } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createAnthropicMessagesCodec } from "../../../src/codecs/anthropic-messages/index.ts";
import { CallState } from "../../../src/core/call-state.ts";
import { GatewayError } from "../../../src/core/error.ts";
import type { GenerateEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { SseReader } from "../../../src/core/sse.ts";

const fixtures = new URL("../../fixtures/anthropic-messages/", import.meta.url);
const streams = readdirSync(fixtures).filter((name) => readdirSync(new URL(`${name}/`, fixtures)).includes("stream.sse"));
const codec = createAnthropicMessagesCodec();

function load(name: string, file: string): string {
  return readFileSync(new URL(`${name}/${file}`, fixtures), "utf8");
}

function stateOf(name: string): CallState {
  const state = new CallState();
  if (name === "schema-by-tool") state.schemaTool = "answer";
  return state;
}

/** Reads a stream as it arrives in the given pieces. */
function readStream(pieces: readonly Uint8Array[], state: unknown = undefined): GenerateEvent[] {
  const sse = new SseReader();
  const reader = codec.eventReader("anthropic", state);
  const events = pieces.flatMap((piece) => sse.read(piece)).flatMap((frame) => reader.read(frame));
  return [...events, ...reader.end()];
}

function readText(text: string, state: unknown = undefined): GenerateEvent[] {
  return readStream([Buffer.from(text)], state);
}

function sseOf(...records: object[]): string {
  return records.map((record) => `event: ${(record as { type: string }).type}\ndata: ${JSON.stringify(record)}\n\n`).join("");
}

function asJson(events: readonly GenerateEvent[]): unknown[] {
  return events.map((event) => toJson(GenerateResponseSchema, event));
}

/** Streamed arguments keep the model's spaces, whole ones do not: both are compared as JSON values. */
function folded(events: readonly GenerateEvent[]): unknown {
  const response = new Fold().addAll(events).response();
  for (const part of response.candidates.flatMap(({ message }) => message?.parts ?? [])) {
    if (part.part.case === "toolCall") part.part.value.argumentsJson = part.part.value.argumentsJson.replace(/\s/g, "");
    if (part.part.case === "text" && part.part.value.startsWith("{")) part.part.value = part.part.value.replace(/\s/g, "");
  }
  return toJson(CompleteResponseSchema, response);
}

function partsOf(events: readonly GenerateEvent[]): Part[] {
  return new Fold().addAll(events).response().candidates[0]?.message?.parts ?? [];
}

function failure(act: () => unknown): GatewayError {
  try {
    act();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const start = {
  type: "message_start",
  message: { id: "msg_1", type: "message", role: "assistant", model: "m", content: [], usage: { input_tokens: 3, output_tokens: 1 } },
};
const finish = (reason: string | null) => ({
  type: "message_delta",
  delta: { stop_reason: reason, stop_sequence: null },
  usage: { output_tokens: 2 },
});
const stop = { type: "message_stop" };

describe.each(streams)("stream %s", (name) => {
  const bytes = Buffer.from(load(name, "stream.sse"));

  test("gives the recorded events", () => {
    const events = asJson(readStream([bytes], stateOf(name)));
    expect(events).toEqual(JSON.parse(load(name, "events.json")));
  });

  test("gives the same events wherever it is cut", () => {
    const whole = JSON.stringify(asJson(readStream([bytes], stateOf(name))));
    for (let at = 1; at < bytes.length; at++) {
      const events = readStream([bytes.subarray(0, at), bytes.subarray(at)], stateOf(name));
      if (JSON.stringify(asJson(events)) !== whole) expect.fail(`cut at byte ${at}`);
    }
  });

  test("folds to what the whole message says", () => {
    const streamed = folded(readStream([bytes], stateOf(name)));
    expect(streamed).toEqual(folded(codec.readResponse(load(name, "message.json"), "anthropic", stateOf(name))));
  });

  test("ends every block once, in order, and finishes after the last", () => {
    const open = new Set<number>();
    let finished = 0;
    for (const { event } of readStream([bytes], stateOf(name))) {
      if (event.case === "blockStarted") {
        expect(finished).toBe(0);
        open.add(event.value.index);
      } else if (event.case === "blockDelta") expect(open.has(event.value.index)).toBe(true);
      else if (event.case === "blockEnded") expect(open.delete(event.value.index)).toBe(true);
      else if (event.case === "finished") {
        finished++;
        expect(open.size).toBe(0);
      }
    }
    expect(finished).toBe(1);
  });

  test("is a failure where it ends before its end mark", () => {
    const sse = new SseReader();
    const reader = codec.eventReader("anthropic", stateOf(name));
    const cut = bytes.subarray(0, bytes.lastIndexOf("event: message_stop"));
    for (const frame of sse.read(cut)) reader.read(frame);
    expect(reader.done).toBe(false);
    expect(failure(() => reader.end()).reason).toBe("provider_error");
  });
});

describe("blocks", () => {
  test("calls without arguments have an empty object, once", () => {
    const args = readText(load("text-then-parallel-calls", "stream.sse")).flatMap(({ event }) =>
      event.case === "blockDelta" && event.value.index === 2 && event.value.delta.case === "argumentsJson" ? [event.value.delta.value] : [],
    );
    expect(args).toEqual(["{}"]);
  });

  test("arguments keep integers beyond 2^53, streamed and whole", () => {
    for (const events of [
      readText(load("text-then-parallel-calls", "stream.sse")),
      codec.readResponse(load("text-then-parallel-calls", "message.json"), "anthropic"),
    ]) {
      const call = partsOf(events)[3]?.part;
      expect(call?.case === "toolCall" && call.value.argumentsJson).toContain("12345678901234567890");
    }
  });

  test("signatures come back byte for byte, marked with their provider", () => {
    const [first, redacted, hidden] = partsOf(readText(load("thinking", "stream.sse")));
    expect(first?.signature).toMatchObject({ value: "EqQBCkYIBxgCKkDq+/9==", format: "anthropic", provider: "anthropic" });
    expect(redacted?.part).toMatchObject({ case: "reasoning", value: { redacted: true, text: "" } });
    expect(redacted?.signature?.value).toBe("EmwKAhgBEgy3va3pzix/LafPsn4a==");
    expect(hidden?.part).toMatchObject({ case: "reasoning", value: { text: "" } });
    expect(hidden?.signature?.value).toBe("EuYBCkQYAiJA0xyz/+==");
  });

  test("server tools are opaque, with the input that was streamed, and never calls", () => {
    const parts = partsOf(readText(load("server-tools-and-citations", "stream.sse")));
    expect(parts.map(({ part }) => part.case)).toEqual(["text", "opaque", "opaque", "text", "opaque"]);
    const use = parts[1]?.part;
    expect(use?.case === "opaque" && JSON.parse(use.value.dataJson)).toEqual({
      type: "server_tool_use",
      id: "srvtoolu_01X",
      name: "web_search",
      input: { query: "dragoman" },
    });
  });

  test("arguments that are cut leave an incomplete block, and LENGTH", () => {
    const events = readText(
      sseOf(
        start,
        { type: "content_block_start", index: 0, content_block: { type: "tool_use", id: "t", name: "f", input: {} } },
        { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: '{"a": "b' } },
        { type: "content_block_stop", index: 0 },
        finish("max_tokens"),
        stop,
      ),
    );
    expect(events.find(({ event }) => event.case === "blockEnded")?.event.value).toMatchObject({ incomplete: true });
    expect(events.find(({ event }) => event.case === "finished")?.event.value).toMatchObject({ reason: FinishReason.LENGTH });
  });

  test("input that stands whole in the block's start is not lost", () => {
    const [part] = partsOf(
      readText(
        sseOf(
          start,
          { type: "content_block_start", index: 0, content_block: { type: "tool_use", id: "t", name: "f", input: { a: 1 } } },
          { type: "content_block_stop", index: 0 },
          finish("tool_use"),
          stop,
        ),
      ),
    );
    expect(part?.part).toMatchObject({ case: "toolCall", value: { argumentsJson: '{"a":1}' } });
  });

  test("a block that grows without having begun is a failure", () => {
    const text = sseOf(start, { type: "content_block_delta", index: 4, delta: { type: "text_delta", text: "lost" } });
    expect(failure(() => readText(text)).reason).toBe("provider_error");
  });
});

describe("what the request emulated", () => {
  test("the tool that stood for a schema becomes text, and its call a STOP", () => {
    const events = readText(load("schema-by-tool", "stream.sse"), stateOf("schema-by-tool"));
    expect(partsOf(events)[0]?.part).toEqual({ case: "text", value: '{"city": "Rome"}' });
    expect(events.find(({ event }) => event.case === "finished")?.event.value).toMatchObject({
      reason: FinishReason.STOP,
      rawReason: "tool_use",
    });
  });

  test("without that state the same stream is a call", () => {
    const events = readText(load("schema-by-tool", "stream.sse"));
    expect(partsOf(events)[0]?.part.case).toBe("toolCall");
    expect(events.find(({ event }) => event.case === "finished")?.event.value).toMatchObject({ reason: FinishReason.TOOL_CALLS });
  });

  test("names and free-text tools come back as the client knows them", () => {
    const state = new CallState();
    state.originalNames.set("shell_run_1a2b3c4d", "shell.run");
    state.customTools.add("shell_run_1a2b3c4d");
    const [part] = partsOf(
      readText(
        sseOf(
          start,
          { type: "content_block_start", index: 0, content_block: { type: "tool_use", id: "t", name: "shell_run_1a2b3c4d", input: {} } },
          { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: '{"input": "ls' } },
          { type: "content_block_delta", index: 0, delta: { type: "input_json_delta", partial_json: ' \\"-l\\""}' } },
          { type: "content_block_stop", index: 0 },
          finish("tool_use"),
          stop,
        ),
        state,
      ),
    );
    expect(part?.part).toMatchObject({
      case: "toolCall",
      value: { name: "shell.run", kind: ToolKind.CUSTOM, inputText: 'ls "-l"', argumentsJson: "" },
    });
  });
});

describe("usage", () => {
  test("counts cached input inside, as it stands at the start where the end is silent", () => {
    const { usage } = new Fold().addAll(readText(load("cached-usage", "stream.sse"))).response();
    expect(usage).toMatchObject({
      inputTokens: 1207,
      cacheReadTokens: 1000,
      cacheWriteTokens: 200,
      outputTokens: 5,
      basis: UsageBasis.PROVIDER,
      serviceTier: ServiceTier.STANDARD,
    });
    expect(usage?.cacheWrites.map(({ ttlSeconds, tokens }) => [ttlSeconds, tokens])).toEqual([
      [300, 150],
      [3600, 50],
    ]);
  });

  test("counts of message_delta win where they are given", () => {
    const { usage } = new Fold().addAll(readText(load("server-tools-and-citations", "stream.sse"))).response();
    expect(usage?.inputTokens).toBe(2100);
    expect(usage?.serverToolCalls).toEqual({ web_search_requests: 1 });
  });

  test("a 0 is a count, nothing is none, nonsense is none", () => {
    const read = (usage: object) =>
      new Fold()
        .addAll(codec.readResponse(JSON.stringify({ type: "message", content: [], stop_reason: "end_turn", usage }), "p"))
        .response().usage;
    expect(read({ input_tokens: 0, output_tokens: 0 })).toMatchObject({ inputTokens: 0, outputTokens: 0 });
    expect(read({ output_tokens: 3, cache_read_input_tokens: 9 })?.inputTokens).toBeUndefined();
    expect(read({ input_tokens: -4, output_tokens: "many" })).not.toHaveProperty("inputTokens", -4);
    expect(read({ input_tokens: 1, output_tokens: 1, novelty: { a: 1 } })?.extrasJson).toEqual({
      "anthropic-messages": '{"novelty":{"a":1}}',
    });
  });
});

describe("the end", () => {
  test.each([
    ["end_turn", FinishReason.STOP],
    ["stop_sequence", FinishReason.STOP_SEQUENCE],
    ["max_tokens", FinishReason.LENGTH],
    ["tool_use", FinishReason.TOOL_CALLS],
    ["pause_turn", FinishReason.PAUSE],
    ["refusal", FinishReason.REFUSAL],
    ["model_context_window_exceeded", FinishReason.CONTEXT_EXCEEDED],
    ["something_new", FinishReason.UNSPECIFIED],
    ["toString", FinishReason.UNSPECIFIED],
  ])("%s keeps its word", (word, reason) => {
    const events = readText(sseOf(start, finish(word), stop));
    expect(events.at(-1)?.event).toMatchObject({ case: "finished", value: { reason, rawReason: word } });
  });

  test("a refusal says what it says", () => {
    const finished = readText(load("refusal", "stream.sse")).find(({ event }) => event.case === "finished");
    expect(finished?.event.value).toMatchObject({ category: "cyber", message: "Not this." });
  });

  test("nothing is read after the end mark", () => {
    const events = readText(sseOf(start, finish("end_turn"), stop, { type: "error", error: { type: "api_error", message: "late" } }));
    expect(events.at(-1)?.event.case).toBe("finished");
  });

  test("an end mark without a reason ends the answer all the same", () => {
    const text = sseOf(start, { type: "content_block_start", index: 0, content_block: { type: "text", text: "a" } }, stop);
    const events = readText(text);
    expect(events.at(-2)?.event.case).toBe("blockEnded");
    expect(events.at(-1)?.event).toMatchObject({ case: "finished", value: { reason: FinishReason.UNSPECIFIED, rawReason: "" } });
  });

  test("blocks that are still open are ended before it", () => {
    const text = sseOf(
      start,
      { type: "content_block_start", index: 0, content_block: { type: "text", text: "a" } },
      finish("end_turn"),
      stop,
    );
    expect(readText(text).map(({ event }) => event.case)).toEqual([
      "started",
      "usage",
      "blockStarted",
      "blockDelta",
      "usage",
      "blockEnded",
      "finished",
    ]);
  });
});

describe("what is not known", () => {
  test("events stand where they stood, fields travel beside the event", () => {
    const events = readText(
      sseOf(
        { ...start, message: { ...start.message, novelty: { n: 12 } } },
        { type: "novel_event", data: [1] },
        { type: "content_block_start", index: 0, content_block: { type: "text", text: "", mood: "good" } },
        { type: "content_block_delta", index: 0, delta: { type: "novel_delta", x: 1 } },
        { type: "content_block_stop", index: 0 },
        { ...finish("end_turn"), context_management: { applied_edits: [] } },
        stop,
      ),
    );
    expect(events[0]?.extrasJson).toEqual({ "anthropic-messages": '{"novelty":{"n":12}}' });
    expect(events[2]?.event).toMatchObject({
      case: "opaque",
      value: { type: "novel_event", dataJson: '{"type":"novel_event","data":[1]}' },
    });
    expect(events[3]?.extrasJson).toEqual({ "anthropic-messages": '{"mood":"good"}' });
    expect(events[4]?.event).toMatchObject({ case: "opaque", value: { type: "content_block_delta" } });
    expect(events.at(-1)?.extrasJson).toEqual({ "anthropic-messages": '{"context_management":{"applied_edits":[]}}' });
  });

  test("pings are nothing", () => {
    expect(readText(sseOf(start, { type: "ping" }, finish("end_turn"), stop)).some(({ event }) => event.case === "opaque")).toBe(false);
  });
});

describe("failures inside the stream", () => {
  test("an overload after content is thrown, retryable, without the end", () => {
    const reader = codec.eventReader("anthropic");
    const frames = new SseReader().read(
      Buffer.from(
        sseOf(
          start,
          { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
          { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "Hel" } },
          { type: "error", error: { type: "overloaded_error", message: "Overloaded" }, request_id: "req_7" },
        ),
      ),
    );
    for (const frame of frames.slice(0, 3)) reader.read(frame);
    const error = failure(() => reader.read(frames[3] as (typeof frames)[number]));
    expect(error).toMatchObject({ reason: "provider_error", retryable: true });
    expect(error.details.upstream).toMatchObject({ type: "overloaded_error", midStream: true, requestId: "req_7", httpStatus: 0 });
    expect(reader.abandon().map(({ event }) => event.value)).toMatchObject([{ index: 0, incomplete: true }]);
    expect(failure(() => reader.end()).reason).toBe("provider_error");
  });

  test.each([
    ["no JSON", "event: message_start\ndata: {oops\n\n"],
    ["no object", "event: message_start\ndata: [1]\n\n"],
    ["a delta that is no JSON", "event: content_block_delta\ndata: {\n\n"],
    ["no index", 'event: content_block_start\ndata: {"type":"content_block_start","content_block":{"type":"text"}}\n\n'],
    ["an error without a type", 'data: {"error":{"message":"boom"}}\n\n'],
  ])("%s is the provider's failure", (_, text) => {
    const error = failure(() => readText(text));
    expect(error.reason).toBe("provider_error");
  });

  test("abandoning an answer that never began gives nothing and does not throw", () => {
    expect(codec.eventReader("anthropic").abandon()).toEqual([]);
  });
});

describe("readResponse", () => {
  test("an error with status 200 is an error", () => {
    const body = JSON.stringify({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
    expect(failure(() => codec.readResponse(body, "anthropic"))).toMatchObject({ reason: "provider_error", retryable: true });
  });

  test.each(["", "[]", "{}", '{"content":"text"}', '{"content":[1]}', "<html>"])("%s is no answer", (body) => {
    expect(failure(() => codec.readResponse(body, "anthropic")).reason).toBe("provider_error");
  });
});
