import { readdirSync, readFileSync } from "node:fs";
import { toJson } from "@bufbuild/protobuf";
import { EventStreamCodec } from "@smithy/eventstream-codec";
import { describe, expect, test } from "vitest";
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { BlockKind, CompleteResponseSchema, FinishReason, GenerateResponseSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { EventStreamReader } from "../../../src/codecs/bedrock-converse/frame-reader.ts";
import { createBedrockConverseCodec } from "../../../src/codecs/bedrock-converse/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import type { GenerateEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";

const fixtures = new URL("../../fixtures/bedrock-converse/", import.meta.url);
const names = readdirSync(fixtures);
const codec = createBedrockConverseCodec();
const encoder = new EventStreamCodec(
  (bytes) => Buffer.from(bytes as Uint8Array).toString("utf8"),
  (text) => Buffer.from(text, "utf8"),
);

type Headers = Record<string, string>;

/** A message as AWS's own library writes it. */
function message(headers: Headers, body: string | Uint8Array): Buffer {
  const typed = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, { type: "string" as const, value }]));
  return Buffer.from(encoder.encode({ headers: typed, body: typeof body === "string" ? Buffer.from(body) : body }));
}

function event(type: string, data: unknown): Buffer {
  const headers = { ":event-type": type, ":content-type": "application/json", ":message-type": "event" };
  return message(headers, typeof data === "string" ? data : JSON.stringify(data));
}

function exception(type: string, text: string): Buffer {
  return message({ ":exception-type": type, ":message-type": "exception" }, JSON.stringify({ message: text }));
}

/** The records are the very text of the fixture: JSON.parse would round its integers. */
function streamOf(name: string): Buffer {
  const lines = readFileSync(new URL(`${name}/events.jsonl`, fixtures), "utf8")
    .trim()
    .split("\n");
  return Buffer.concat(
    lines.map((line) => {
      const [, type = "", data = ""] = /^\["(\w+)",(.*)\]$/.exec(line) ?? [];
      return event(type, data);
    }),
  );
}

function responseOf(name: string): string {
  return readFileSync(new URL(`${name}/response.json`, fixtures), "utf8");
}

function read(...pieces: readonly Uint8Array[]): GenerateEvent[] {
  const frames = new EventStreamReader();
  const reader = codec.eventReader("bedrock");
  const events = pieces.flatMap((piece) => frames.read(piece)).flatMap((frame) => reader.read(frame));
  return [...events, ...reader.end()];
}

function folded(events: readonly GenerateEvent[]): unknown {
  return toJson(CompleteResponseSchema, new Fold().addAll(events).response());
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

const start = event("messageStart", { role: "assistant" });
const hello = event("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "hello" } });
const stop = event("messageStop", { stopReason: "end_turn" });

describe.each(names)("%s", (name) => {
  test("folds to what the whole answer says", () => {
    expect(folded(read(streamOf(name)))).toEqual(folded(codec.readResponse(responseOf(name), "bedrock")));
  });

  test("is the same wherever the bytes are cut", () => {
    const bytes = streamOf(name);
    const whole = read(bytes).map((one) => toJson(GenerateResponseSchema, one));
    for (let at = 1; at < bytes.length; at++) {
      expect(read(bytes.subarray(0, at), bytes.subarray(at)).map((one) => toJson(GenerateResponseSchema, one))).toEqual(whole);
    }
    expect(read(...Array.from(bytes, (byte) => Uint8Array.of(byte))).map((one) => toJson(GenerateResponseSchema, one))).toEqual(whole);
  });
});

describe("a stream", () => {
  const parts = (name: string) => new Fold().addAll(read(streamOf(name))).response();

  test("counts cached input as input, and says what was written for how long", () => {
    const { usage, candidates, extrasJson } = parts("text");
    expect(usage).toMatchObject({
      inputTokens: 30,
      outputTokens: 5,
      cacheReadTokens: 20,
      cacheWriteTokens: 7,
      serviceTier: ServiceTier.PRIORITY,
    });
    expect(usage?.cacheWrites).toMatchObject([
      { ttlSeconds: 3600, tokens: 5 },
      { ttlSeconds: 300, tokens: 2 },
    ]);
    expect(candidates[0]?.finished).toMatchObject({ reason: FinishReason.LENGTH, rawReason: "max_tokens" });
    expect(JSON.parse(extrasJson["bedrock-converse"] ?? "")).toEqual({ metrics: { latencyMs: 551 }, serviceTier: { type: "priority" } });
  });

  test("keeps signed, hidden and empty reasoning apart, and calls without arguments whole", () => {
    const [shown, hidden, empty, weather, ping] = parts("thinking-and-calls").candidates[0]?.message?.parts ?? [];
    expect(shown).toMatchObject({
      part: { value: { text: "Two places to look at." } },
      signature: { value: "EqsBCkgIBxABGAIi", format: "anthropic", provider: "bedrock" },
    });
    expect(hidden).toMatchObject({ part: { value: { redacted: true, text: "" } }, signature: { value: "RW5jcnlwdGVk" } });
    expect(empty).toMatchObject({ part: { value: { redacted: false, text: "" } }, signature: { value: "ErUBCkYIBhgC" } });
    expect(weather?.part.value).toMatchObject({ id: "tooluse_A", argumentsJson: '{"city":"Zürich"}' });
    expect(ping?.part.value).toMatchObject({ id: "tooluse_B", argumentsJson: "{}" });
  });

  test("may leave out block numbers: the core's go on from 0", () => {
    const call = event("contentBlockStart", { contentBlockIndex: 1, start: { toolUse: { toolUseId: "a", name: "f" } } });
    const events = read(start, call, event("contentBlockStop", { contentBlockIndex: 1 }), stop);
    const started = events.flatMap(({ event: one }) => (one.case === "blockStarted" ? [one.value] : []));
    expect(started).toMatchObject([{ index: 0, kind: BlockKind.TOOL_CALL }]);
  });

  test("ends without metadata, and not without messageStop", () => {
    expect(read(start, hello, stop).at(-1)?.event.case).toBe("finished");
    expect(failure(() => read(start, hello))).toMatchObject({ reason: "provider_error", retryable: true });
    expect(failure(() => read())).toMatchObject({ reason: "provider_error" });
  });

  test("keeps events that nobody knows where they stood, and passes over those that say nothing", () => {
    const events = read(event("initial-response", {}), start, event("newThing", { a: 12 }), hello, stop);
    expect(events.map(({ event: one }) => one.case)).toEqual(["started", "opaque", "blockStarted", "blockDelta", "blockEnded", "finished"]);
    expect(events[1]?.event.value).toMatchObject({ format: "bedrock-converse", type: "newThing", dataJson: '{"a":12}' });
  });

  test("ignores what follows its end", () => {
    const metadata = event("metadata", { usage: { inputTokens: 1, outputTokens: 1 } });
    expect(read(start, hello, stop, metadata, hello, metadata).filter(({ event: one }) => one.case === "usage")).toHaveLength(1);
  });

  test("that breaks leaves its open block incomplete", () => {
    const frames = new EventStreamReader();
    const reader = codec.eventReader("bedrock");
    for (const frame of frames.read(Buffer.concat([start, hello]))) reader.read(frame);
    expect(reader.abandon()).toMatchObject([{ event: { case: "blockEnded", value: { incomplete: true } } }]);
    expect(reader.abandon()).toEqual([]);
  });
});

describe("a failure inside the stream", () => {
  test.each([
    ["throttlingException", "rate_limited", true],
    ["validationException", "invalid_request", false],
    ["internalServerException", "provider_error", true],
    ["modelStreamErrorException", "provider_error", true],
    ["serviceUnavailableException", "provider_error", true],
    ["somethingNewException", "provider_error", true],
  ])("%s", (type, reason, retryable) => {
    const error = failure(() => read(start, exception(type, "It failed.")));
    expect(error).toMatchObject({ reason, retryable });
    expect(error.details.upstream).toMatchObject({ type, message: "It failed.", midStream: true, httpStatus: 0 });
  });

  test("an input that does not fit is one, whatever it is called", () => {
    const texts = ["Input is too long for requested model.", "Input Tokens Exceeded: Number of input tokens exceeds maximum length."];
    for (const text of texts) expect(failure(() => read(start, exception("validationException", text))).reason).toBe("context_exceeded");
  });

  test("an error message without a payload", () => {
    const bytes = message({ ":message-type": "error", ":error-code": "InternalFailure", ":error-message": "Lost." }, "");
    expect(failure(() => read(start, bytes)).details.upstream).toMatchObject({ type: "InternalFailure", message: "Lost." });
  });
});

describe("bytes that are no event stream", () => {
  const flipped = (at: number) => {
    const bytes = Buffer.from(hello);
    bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
    return bytes;
  };

  test("any changed byte of a message is noticed", () => {
    for (let at = 0; at < hello.length; at++) expect(() => read(start, flipped(at), stop)).toThrow(GatewayError);
  });

  test("HTML and JSON", () => {
    for (const text of ["<html><body>Bad gateway</body></html>", '{"message":"no"}       '])
      expect(failure(() => read(Buffer.from(text))).reason).toBe("provider_error");
  });

  test("payloads that are no UTF-8, no JSON, no object, or name no block", () => {
    expect(() =>
      read(start, message({ ":message-type": "event", ":event-type": "contentBlockDelta" }, Buffer.from([0x22, 0xff, 0x22]))),
    ).toThrow(/UTF-8/);
    expect(() => read(start, event("contentBlockDelta", "{"))).toThrow(/no JSON text/);
    expect(() => read(start, event("contentBlockDelta", "[]"))).toThrow(/no JSON object/);
    expect(() => read(start, event("contentBlockDelta", { delta: { text: "a" } }))).toThrow(/without the index/);
  });

  test("lengths beyond the limits are refused before their bytes arrive", () => {
    const reader = new EventStreamReader({ maxMessageBytes: 1000, maxHeaderBytes: 100, maxBytes: 3000 });
    expect(() => reader.read(event("a", "x".repeat(2000)).subarray(0, 12))).toThrow(/longer than 1000/);
    const long = new EventStreamReader({ maxMessageBytes: 1000, maxHeaderBytes: 10, maxBytes: 3000 });
    expect(() => long.read(hello.subarray(0, 12))).toThrow(/headers longer than 10/);
    const total = new EventStreamReader({ maxMessageBytes: 1000, maxHeaderBytes: 100, maxBytes: 200 });
    expect(() => [hello, hello, hello].map((bytes) => total.read(bytes))).toThrow(/longer than 200 bytes/);
  });
});

describe("a whole answer", () => {
  test("case 15: with status 200 that is an error is one", () => {
    const bodies = [
      '{"message":"Too many requests, please wait before trying again.","__type":"com.amazon.coral#ThrottlingException"}',
      '{"Output":{"__type":"com.amazon.coral.availability#ThrottlingException"},"Version":"1.0"}',
    ];
    for (const body of bodies)
      expect(failure(() => codec.readResponse(body, "bedrock"))).toMatchObject({ reason: "rate_limited", retryable: true });
    expect(failure(() => codec.readResponse('{"message":"Internal failure"}', "bedrock")).details.upstream).toMatchObject({
      httpStatus: 200,
      message: "Internal failure",
    });
  });

  test("that is none is refused", () => {
    for (const body of ["", "[]", "{}", '{"output":{}}', '{"output":{"message":{"content":[1]}}}'])
      expect(failure(() => codec.readResponse(body, "bedrock")).reason).toBe("provider_error");
  });

  test.each([
    ["end_turn", FinishReason.STOP],
    ["stop_sequence", FinishReason.STOP_SEQUENCE],
    ["guardrail_intervened", FinishReason.GUARDRAIL],
    ["malformed_tool_use", FinishReason.MALFORMED],
    ["model_context_window_exceeded", FinishReason.CONTEXT_EXCEEDED],
    ["toString", FinishReason.UNSPECIFIED],
  ])("ends by %s", (stopReason, reason) => {
    const events = codec.readResponse(JSON.stringify({ output: { message: { content: [] } }, stopReason }), "bedrock");
    expect(events.at(-1)?.event.value).toMatchObject({ reason, rawReason: stopReason });
  });
});

describe("a refusal", () => {
  const none = () => undefined;
  const typed = (type: string) => (name: string) => (name === "x-amzn-errortype" ? type : undefined);

  test.each([
    [400, "ValidationException", "bad", "invalid_request", false],
    [400, "ValidationException", "Input is too long for requested model.", "context_exceeded", false],
    [403, "AccessDeniedException", "no", "provider_error", false],
    [400, "ExpiredTokenException", "expired", "provider_error", false],
    [404, "ResourceNotFoundException", "no model", "provider_error", false],
    [408, "ModelTimeoutException", "slow", "provider_error", true],
    [424, "ModelErrorException", "broke", "provider_error", true],
    [429, "ThrottlingException", "slow down", "rate_limited", true],
    [429, "ThrottlingException", "Too many tokens per day, please wait before trying again.", "quota_exhausted", false],
    [400, "ServiceQuotaExceededException", "quota", "rate_limited", true],
    [429, "ModelNotReadyException", "loading", "provider_error", true],
    [500, "InternalServerException", "oops", "provider_error", true],
    [503, "ServiceUnavailableException", "away", "provider_error", true],
  ])("%i %s: %s", (status, type, text, reason, retryable) => {
    const headers = typed(`${type}:http://internal.amazon.com/coral/com.amazon.bedrock/`);
    expect(codec.readError(status, JSON.stringify({ message: text }), headers, "b")).toMatchObject({ reason, retryable });
    const inBody = JSON.stringify({ __type: `com.amazon.bedrock#${type}`, Message: text });
    expect(codec.readError(status, inBody, none, "b")).toMatchObject({ reason, retryable });
  });

  test("of any other shape", () => {
    expect(codec.readError(502, "<html>", none, "b").reason).toBe("provider_error");
    expect(codec.readError(400, "what", none, "b").details.upstream?.message).toBe("what");
  });
});
