import { readdirSync, readFileSync } from "node:fs";
import { toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type BlockKind,
  CompleteResponseSchema,
  FinishReason,
  GenerateResponseSchema,
  type Part,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { UsageBasis } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createCohereChatCodec } from "../../../src/codecs/cohere-chat/index.ts";
import { CallState } from "../../../src/core/call-state.ts";
import { GatewayError } from "../../../src/core/error.ts";
import type { GenerateEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { SseReader } from "../../../src/core/sse.ts";
import { compose, countsOf, Meter } from "../../../src/sim/compose.ts";
import { readScript } from "../../../src/sim/read-script.ts";
import { cohereWire } from "../../../src/sim/server/cohere/chat.ts";

const fixtures = new URL("../../fixtures/cohere-chat/", import.meta.url);
const codec = createCohereChatCodec();

function load(name: string, file: string): string {
  return readFileSync(new URL(`${name}/${file}`, fixtures), "utf8");
}

function readStream(pieces: readonly Uint8Array[], state?: unknown): GenerateEvent[] {
  const sse = new SseReader();
  const reader = codec.eventReader("cohere", state);
  const events = pieces.flatMap((piece) => sse.read(piece)).flatMap((frame) => reader.read(frame));
  return [...events, ...reader.end()];
}

function sseOf(...records: object[]): Buffer[] {
  return [
    Buffer.from(records.map((record) => `event: ${(record as { type: string }).type}\ndata: ${JSON.stringify(record)}\n\n`).join("")),
  ];
}

const asJson = (events: readonly GenerateEvent[]) => events.map((event) => toJson(GenerateResponseSchema, event));
const folded = (events: readonly GenerateEvent[]) => toJson(CompleteResponseSchema, new Fold().addAll(events).response());
const partsOf = (events: readonly GenerateEvent[]): Part[] => new Fold().addAll(events).response().candidates[0]?.message?.parts ?? [];
const finishOf = (events: readonly GenerateEvent[]) => new Fold().addAll(events).response().candidates[0]?.finished;

function failure(act: () => unknown): GatewayError {
  try {
    act();
  } catch (error) {
    if (error instanceof GatewayError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe.each(readdirSync(fixtures))("stream %s", (name) => {
  const bytes = Buffer.from(load(name, "stream.sse"));

  test("gives the same events wherever it is cut", () => {
    const whole = JSON.stringify(asJson(readStream([bytes])));
    for (let at = 1; at < bytes.length; at++) {
      const events = readStream([bytes.subarray(0, at), bytes.subarray(at)]);
      if (JSON.stringify(asJson(events)) !== whole) expect.fail(`cut at byte ${at}`);
    }
  });

  test("folds to what the whole message says", () => {
    expect(folded(readStream([bytes]))).toEqual(folded(codec.readResponse(load(name, "message.json"), "cohere")));
  });

  test("is a failure where it ends before its end mark, and leaves no block open", () => {
    const sse = new SseReader();
    const reader = codec.eventReader("cohere");
    const events = sse.read(bytes.subarray(0, bytes.lastIndexOf("event: message-end"))).flatMap((frame) => reader.read(frame));
    expect(reader.done).toBe(false);
    expect(failure(() => reader.end())).toMatchObject({ reason: "provider_error", retryable: true });
    events.push(...reader.abandon());
    expect(openBlocks(events)).toBe(0);
  });
});

function openBlocks(events: readonly GenerateEvent[]): number {
  return events.reduce((open, { event }) => open + (event.case === "blockStarted" ? 1 : event.case === "blockEnded" ? -1 : 0), 0);
}

describe("what the fixtures say", () => {
  test("text, counts and what is billed", () => {
    const response = new Fold().addAll(readStream([Buffer.from(load("text", "stream.sse"))])).response();
    expect(response.started).toMatchObject({ upstreamId: "c1", provider: "cohere" });
    expect(response.candidates[0]?.finished).toMatchObject({ reason: FinishReason.STOP, rawReason: "COMPLETE" });
    expect(response.usage).toMatchObject({ inputTokens: 71, outputTokens: 24, cacheReadTokens: 48, basis: UsageBasis.PROVIDER });
    expect(JSON.parse(response.usage?.extrasJson["cohere-chat"] ?? "")).toEqual({ billed_units: { input_tokens: 5, output_tokens: 20 } });
  });

  test("the plan is reasoning; calls keep ids and arguments to the letter, and empty ones are an object", () => {
    const parts = partsOf(readStream([Buffer.from(load("plan-then-parallel-calls", "stream.sse"))]));
    expect(parts.map(({ part }) => part)).toMatchObject([
      { case: "reasoning", value: { text: "I will ask twice." } },
      { case: "toolCall", value: { id: "weather_a1", name: "weather", argumentsJson: '{"city": "Bern", "id": 9007199254740993}' } },
      { case: "toolCall", value: { id: "time_b2", name: "now", argumentsJson: "{}" } },
    ]);
  });

  test("a citation has an annotation for each source", () => {
    const [thought, text] = partsOf(readStream([Buffer.from(load("thinking-and-citations", "stream.sse"))]));
    expect(thought?.part).toMatchObject({ case: "reasoning", value: { text: "Hm, sun?" } });
    expect(text?.annotations).toMatchObject([
      { startIndex: 0, endIndex: 6, source: { case: "document", value: { id: "doc:0", title: "Weather" } } },
      { startIndex: 0, endIndex: 6, source: { case: "opaque", value: { format: "cohere-chat", type: "tool" } } },
      { startIndex: 10, endIndex: 15, source: { case: "url", value: { url: "https://example.com/w", title: "W" } } },
    ]);
  });
});

describe("odd streams", () => {
  const start = { type: "message-start", id: "c", delta: {} };
  const piece = (index: number, text: string) => ({ type: "content-delta", index, delta: { message: { content: { text } } } });
  const open = (index: number) => ({ type: "content-start", index, delta: { message: { content: { type: "text", text: "" } } } });
  const end = (delta: object) => ({ type: "message-end", delta });

  test.each<[string, FinishReason]>([
    ["COMPLETE", FinishReason.STOP],
    ["STOP_SEQUENCE", FinishReason.STOP_SEQUENCE],
    ["MAX_TOKENS", FinishReason.LENGTH],
    ["TOOL_CALL", FinishReason.TOOL_CALLS],
    ["TIMEOUT", FinishReason.TIME_LIMIT],
    ["SOMETHING_NEW", FinishReason.UNSPECIFIED],
    ["constructor", FinishReason.UNSPECIFIED],
  ])("finish_reason %s", (word, reason) => {
    expect(finishOf(readStream(sseOf(start, end({ finish_reason: word }))))).toMatchObject({ reason, rawReason: word });
  });

  test("an end with an error, or ERROR, is a failure and no finish", () => {
    for (const delta of [{ error: "boom", finish_reason: "ERROR" }, { finish_reason: "ERROR" }, { error: "boom" }]) {
      const error = failure(() => readStream(sseOf(start, open(0), piece(0, "a"), end(delta))));
      expect(error).toMatchObject({ reason: "provider_error", retryable: true, details: { upstream: { midStream: true } } });
      const whole = { id: "c", message: { role: "assistant", content: [] }, ...delta };
      expect(failure(() => codec.readResponse(JSON.stringify(whole), "cohere"))).toMatchObject({ reason: "provider_error" });
    }
  });

  test("an error where a record or an answer was due", () => {
    const limited = { message: "you are going too fast", id: "x" };
    expect(failure(() => readStream([Buffer.from(`data: ${JSON.stringify(limited)}\n\n`)]))).toMatchObject({ reason: "provider_error" });
    expect(failure(() => codec.readResponse(JSON.stringify(limited), "cohere")).message).toContain("you are going too fast");
    for (const body of ["nothing", "[]", "{}", '{"id":"a"}']) {
      expect(failure(() => codec.readResponse(body, "cohere")).reason).toBe("provider_error");
    }
    expect(failure(() => readStream([Buffer.from("event: content-delta\ndata: {broken\n\n")])).reason).toBe("provider_error");
  });

  test("a citation after its text has ended stands by itself; a record that is not known is kept", () => {
    const citation = { start: 0, end: 1, sources: [], content_index: 0 };
    const late = { type: "citation-start", index: 0, delta: { message: { citations: citation } } };
    const debug = { type: "debug", prompt: "p" };
    const events = readStream(
      sseOf(start, open(0), piece(0, "a"), open(1), piece(1, "b"), late, debug, end({ finish_reason: "COMPLETE" })),
    );
    expect(events.flatMap(({ event }) => (event.case === "opaque" ? [event.value.type] : []))).toEqual(["citation", "debug"]);
    expect(partsOf(events).map(({ part }) => part.value)).toEqual(["a", "b"]);
  });

  test("a citation right after its text's end still belongs to it", () => {
    const late = { type: "citation-start", index: 0, delta: { message: { citations: { start: 0, end: 1, sources: [] } } } };
    const events = readStream(
      sseOf(start, open(0), piece(0, "a"), { type: "content-end", index: 0 }, late, end({ finish_reason: "COMPLETE" })),
    );
    expect(partsOf(events)[0]?.annotations).toMatchObject([{ startIndex: 0, endIndex: 1 }]);
  });

  test("pieces without a start, content that is not known, negative counts", () => {
    const image = { type: "content-start", index: 0, delta: { message: { content: { type: "image", url: "u" } } } };
    const usage = { tokens: { input_tokens: -1, output_tokens: "7" } };
    const events = readStream(sseOf(piece(0, "a"), image, end({ finish_reason: "COMPLETE", usage })));
    expect(partsOf(events).map(({ part }) => part.case)).toEqual(["text", "opaque"]);
    const { usage: read } = new Fold().addAll(events).response();
    expect(read?.inputTokens).toBeUndefined();
    expect(read?.outputTokens).toBe(7);
  });

  test("billed units stand in for missing counts; without any there are none", () => {
    const counted = readStream(sseOf(start, end({ usage: { billed_units: { input_tokens: 4, output_tokens: 2 } } })));
    expect(new Fold().addAll(counted).response().usage).toMatchObject({ inputTokens: 4, outputTokens: 2 });
    expect(new Fold().addAll(readStream(sseOf(start, end({ usage: null })))).response().usage).toBeUndefined();
  });

  test("log probabilities", () => {
    const logprobs = { text: "ab", token_ids: [1, 2], logprobs: [-1, -0.5] };
    const events = readStream(sseOf(start, open(0), { ...piece(0, "ab"), logprobs }, end({ finish_reason: "COMPLETE" })));
    expect(partsOf(events)[0]?.logprobs).toMatchObject([{ token: "ab", logprob: -1.5 }]);
    const whole = { id: "c", finish_reason: "COMPLETE", message: { content: [{ type: "text", text: "ab" }] }, logprobs: [logprobs] };
    expect(partsOf(codec.readResponse(JSON.stringify(whole), "cohere"))).toEqual(partsOf(events));
  });
});

describe("what the request emulated is undone", () => {
  const state = new CallState();
  state.schemaTool = "dgm_json_answer";
  state.originalNames.set("shell_run_1234", "shell.run");
  state.customTools.add("note");
  const answer = (name: string, args: string) => ({
    id: "c",
    finish_reason: "TOOL_CALL",
    message: { tool_calls: [{ id: "1", type: "function", function: { name, arguments: args } }] },
  });
  const read = (name: string, args: string) => codec.readResponse(JSON.stringify(answer(name, args)), "cohere", state);

  test("a tool that stands for a schema is text, and no call", () => {
    const events = read("dgm_json_answer", '{"a":1}');
    expect(partsOf(events)[0]?.part).toEqual({ case: "text", value: '{"a":1}' });
    expect(finishOf(events)?.reason).toBe(FinishReason.STOP);
  });

  test("names and free-text tools", () => {
    expect(partsOf(read("shell_run_1234", "{}"))[0]?.part.value).toMatchObject({ name: "shell.run" });
    expect(partsOf(read("note", '{"input":"hi"}'))[0]?.part.value).toMatchObject({
      kind: ToolKind.CUSTOM,
      inputText: "hi",
      argumentsJson: "",
    });
  });
});

/** The simulated vendor writes the same answer both ways, by code of its own. */
describe("any answer of the simulator", () => {
  const words = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
  const step = fc.oneof(
    fc.record({ text: words, new_block: fc.boolean() }),
    fc.record({ reasoning: words, new_block: fc.boolean() }),
    fc.record({ refusal: words }),
    fc.record({
      tool_call: fc.record({ name: fc.constantFrom("a", "b"), arguments: fc.constantFrom("", "{}", '{"x": [1, "é"]}', "broken") }),
    }),
  );

  function both(steps: unknown[], model: string): [GenerateEvent[], GenerateEvent[]] {
    const script = readScript({ steps }).turns[0]?.attempts[0];
    if (script === undefined) throw new Error("no script");
    const body = { model, messages: [{ role: "user", content: "hi" }] };
    const reading = cohereWire.read({ body, headers: {}, model, stream: true, sse: false, lenient: false });
    const [writer, meter] = [cohereWire.writer(reading), new Meter()];
    const frames = writer.begin(undefined);
    let id = 0;
    const options = {
      candidates: 1,
      maxOutputTokens: undefined,
      stop: [],
      reasoning: "default",
      interleave: false,
      newCallId: () => `c${id++}`,
      sign: () => "",
    } as const;
    for (const move of compose(script, options)) {
      if (move.is === "wait" || move.is === "error" || move.is === "fault") continue;
      meter.see(move);
      frames.push(...writer.write(move));
    }
    const usage = cohereWire.usage(countsOf(3, meter, {}, true));
    frames.push(...writer.end(usage));
    const text = frames.map(({ event, data }) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join("");
    return [readStream([Buffer.from(text)]), codec.readResponse(JSON.stringify(writer.body(usage)), "cohere")];
  }

  test("adds up to the same, streamed and whole", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 6 }), fc.constantFrom("command-a", "command-r"), (steps, model) => {
        const [streamed, whole] = both(steps, model);
        // The whole answer does not tell in which order its kinds of content came.
        const sorted = (events: GenerateEvent[]) => sortParts(partsOf(events));
        expect(sorted(streamed)).toEqual(sorted(whole));
        expect(finishOf(streamed)).toEqual(finishOf(whole));
        expect(openBlocks(streamed)).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  function sortParts(parts: readonly Part[]): unknown[] {
    const plans = parts.filter(({ extrasJson }) => extrasJson["cohere-chat"]?.includes("tool_plan"));
    const plan = plans.flatMap(({ part }) => (part.case === "reasoning" ? [part.value.text] : [])).join("");
    const kinds = new Map<string, unknown[]>();
    for (const part of parts) {
      if (plans.includes(part)) continue;
      const kind = part.part.case === "toolCall" ? "call" : "content";
      kinds.set(kind, [...(kinds.get(kind) ?? []), part.part]);
    }
    return [plan, kinds.get("content"), kinds.get("call")];
  }

  test("whatever the records, blocks start and end once, or it fails as a provider's fault", () => {
    const names = [
      "message-start",
      "content-start",
      "content-delta",
      "content-end",
      "tool-plan-delta",
      "tool-call-start",
      "tool-call-delta",
      "tool-call-end",
      "citation-start",
      "message-end",
      "x",
    ];
    const record = fc.record({
      type: fc.constantFrom(...names),
      index: fc.oneof(fc.nat(2), fc.string()),
      delta: fc.oneof(
        fc.jsonValue({ maxDepth: 1 }),
        fc.record({
          finish_reason: fc.oneof(fc.string(), fc.constant("COMPLETE")),
          usage: fc.jsonValue({ maxDepth: 2 }),
          message: fc.record(
            {
              content: fc.oneof(
                fc.jsonValue({ maxDepth: 1 }),
                fc.record({ type: fc.constantFrom("text", "thinking", "x"), text: fc.string(), thinking: fc.string() }),
              ),
              tool_calls: fc.oneof(
                fc.jsonValue({ maxDepth: 1 }),
                fc.record({ id: fc.string(), function: fc.record({ name: fc.string(), arguments: fc.string() }) }),
              ),
              tool_plan: fc.oneof(fc.string(), fc.integer()),
              citations: fc.jsonValue({ maxDepth: 2 }),
            },
            { requiredKeys: [] },
          ),
        }),
      ),
    });
    fc.assert(
      fc.property(fc.array(record, { maxLength: 12 }), (records) => {
        const reader = codec.eventReader("cohere");
        const events: GenerateEvent[] = [];
        try {
          for (const data of records) events.push(...reader.read({ event: data.type, data: JSON.stringify(data) }));
          events.push(...reader.end());
        } catch (error) {
          expect(error).toBeInstanceOf(GatewayError);
          events.push(...reader.abandon());
        }
        const open = new Map<number, BlockKind>();
        let next = 0;
        for (const { event } of events) {
          if (event.case === "blockStarted") {
            expect(event.value.index).toBe(next++);
            open.set(event.value.index, event.value.kind);
          } else if (event.case === "blockDelta") expect(open.has(event.value.index)).toBe(true);
          else if (event.case === "blockEnded") expect(open.delete(event.value.index)).toBe(true);
          else if (event.case === "finished") expect(open.size).toBe(0);
        }
        expect(open.size).toBe(0);
      }),
      { numRuns: 400 },
    );
  });
});
