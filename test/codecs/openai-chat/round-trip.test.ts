import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BlockKind, FinishReason, GenerateRequestSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createOpenAiChatCodec, openAiChatDialect as dialect } from "../../../src/codecs/openai-chat/index.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, startedEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { parseJson } from "../../../src/core/json.ts";
import { SseReader } from "../../../src/core/sse.ts";

const codec = createOpenAiChatCodec({ reasoningField: "reasoning_content", sendUser: "user" });
const target = { id: "p/m", provider: "p", model: "m", traits: {} };
const facts = { generationId: "g", created: 1 };
const text = fc.string({ unit: "grapheme", maxLength: 12 });
const word = fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/);
const json = fc.dictionary(word, fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.integer(), { maxLength: 3 })), {
  maxKeys: 3,
});
const extra = fc.dictionary(
  word.map((name) => `x_${name}`),
  fc.oneof(text, fc.integer(), json),
  { maxKeys: 2 },
);

const bytes = fc.uint8Array({ minLength: 1, maxLength: 8 }).map((data) => Buffer.from(data).toString("base64"));
const contentPart = fc.oneof(
  fc.tuple(text, extra).map(([value, more]) => ({ type: "text", text: value, ...more })),
  fc.tuple(bytes, extra).map(([data, more]) => ({ type: "image_url", image_url: { url: `data:image/png;base64,${data}`, ...more } })),
  fc.webUrl().map((url) => ({ type: "image_url", image_url: { url, detail: "low" } })),
  bytes.map((data) => ({ type: "input_audio", input_audio: { data, format: "mp3" } })),
  fc.tuple(word, extra).map(([type, more]) => ({ type: `x_${type}`, ...more })),
);
const tool = fc.oneof(
  fc.tuple(word, text, json, extra).map(([name, description, parameters, more]) => ({
    type: "function",
    function: { name, description, parameters, strict: true, ...more },
    ...more,
  })),
  fc.tuple(word, text).map(([name, description]) => ({ type: "custom", custom: { name, description } })),
);
const turn = fc.oneof(
  fc.tuple(fc.constantFrom("system", "developer", "user"), text, extra).map(([role, content, more]) => [{ role, content, ...more }]),
  fc.tuple(fc.array(contentPart, { minLength: 1, maxLength: 4 }), extra).map(([content, more]) => [{ role: "user", content, ...more }]),
  fc
    .tuple(fc.option(text), fc.option(text), fc.uniqueArray(word, { minLength: 1, maxLength: 3 }), json, extra)
    .map(([content, reasoning, ids, args, more]) => [
      {
        role: "assistant",
        content,
        ...(reasoning === null ? {} : { reasoning_content: reasoning }),
        tool_calls: ids.map((id) => ({ id, type: "function", function: { name: id, arguments: JSON.stringify(args) }, ...more })),
        ...more,
      },
      ...ids.map((id) => ({ role: "tool", tool_call_id: id, content: `${id}!`, ...more })),
    ]),
);
const optional = fc.record(
  {
    max_completion_tokens: fc.nat(9999),
    temperature: fc.integer({ min: 0, max: 2 }),
    top_p: fc.double({ min: 0, max: 1, noNaN: true }),
    seed: fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }).map(String),
    stop: fc.array(
      text.filter((value) => value !== ""),
      { minLength: 1, maxLength: 4 },
    ),
    logit_bias: fc.dictionary(fc.nat(100_000).map(String), fc.integer({ min: -100, max: 100 }), { minKeys: 1, maxKeys: 3 }),
    reasoning_effort: fc.constantFrom("none", "minimal", "low", "high", "max"),
    service_tier: fc.constantFrom("auto", "default", "flex", "priority", "scale", "fast"),
    metadata: fc.dictionary(word, text, { minKeys: 1, maxKeys: 3 }),
    store: fc.boolean(),
    user: word,
    prompt_cache_key: word,
    verbosity: fc.constantFrom("low", "medium", "high"),
  },
  { requiredKeys: [] },
);
const body = fc
  .tuple(
    fc.array(turn, { minLength: 1, maxLength: 4 }),
    fc.uniqueArray(tool, { maxLength: 3, selector: (one) => JSON.stringify(one) }),
    optional,
    extra,
  )
  .map(([turns, tools, { seed, ...rest }, more]) => {
    const plain = JSON.stringify({ model: "m", messages: turns.flat(), ...(tools.length === 0 ? {} : { tools }), ...rest, ...more });
    // A bigint has no JSON.stringify.
    return seed === undefined ? plain : `${plain.slice(0, -1)},"seed":${seed}}`;
  });

test("a client's request is read, written, and read again as the same request", () => {
  fc.assert(
    fc.property(body, (sent) => {
      const { generate } = dialect.readRequest(parseJson(sent));
      const { body: written, report } = codec.writeRequest(generate, target, { stream: false });
      expect(report.notes).toEqual([]);
      report.settle(true);
      const again = dialect.readRequest(parseJson(written));
      expect(again.generate).toEqual(generate);
      // And nothing is lost on the wire either.
      expect(sorted(parseJson(written))).toEqual(sorted({ ...(parseJson(sent) as object), stream: false }));
    }),
    { numRuns: 150 },
  );
});

/** Without the order of keys, and with what means the same written the same way. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    const [only] = value;
    const isPlain =
      value.length === 1 && typeof only === "object" && only !== null && only.type === "text" && Object.keys(only).length === 2;
    return isPlain ? only.text : value.map(sorted);
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([name, member]) => !(name === "description" && member === ""));
  return Object.fromEntries(entries.map(([name, member]) => [name, sorted(member)]));
}

type Step = { kind: "text" | "reasoning" | "refusal" | "call"; pieces: string[] };
const answer = fc.array(
  fc.record({
    kind: fc.constantFrom<Step["kind"]>("text", "reasoning", "refusal", "call"),
    pieces: fc.array(
      text.filter((value) => value !== ""),
      { minLength: 1, maxLength: 3 },
    ),
  }),
  { minLength: 1, maxLength: 4 },
);

function build(candidates: readonly (readonly Step[])[]): GenerateEvent[] {
  const builder = new EventBuilder();
  builder.push(startedEvent({ upstreamId: "chatcmpl-1", servedModel: "m", provider: "p" }));
  candidates.forEach((steps, candidate) => {
    for (const [at, { kind, pieces }] of steps.entries()) {
      if (kind === "call") {
        const toolCall = {
          $typeName: "dragoman.v1.ToolCall",
          id: `c${candidate}_${at}`,
          name: "f",
          argumentsJson: "",
          inputText: "",
          kind: 1,
        } as const;
        const index = builder.startBlock(candidate, BlockKind.TOOL_CALL, { toolCall });
        for (const piece of pieces) builder.argumentsJson(candidate, index, piece);
        builder.endBlock(candidate, index);
      } else {
        const index = builder.startBlock(
          candidate,
          { text: BlockKind.TEXT, reasoning: BlockKind.REASONING, refusal: BlockKind.REFUSAL }[kind],
        );
        for (const piece of pieces) builder.text(candidate, index, piece);
        builder.endBlock(candidate, index);
      }
    }
    const reason = steps.some(({ kind }) => kind === "call") ? FinishReason.TOOL_CALLS : FinishReason.LENGTH;
    builder.push(finishedEvent({ candidate, reason, rawReason: reason === FinishReason.LENGTH ? "length" : "tool_calls" }));
  });
  return builder.take();
}

/** Chat joins neighbours of a kind and knows no order between kinds in a whole reply: what must survive is each kind's text. */
function contents(events: readonly GenerateEvent[]) {
  return new Fold()
    .addAll(events)
    .response()
    .candidates.map(({ message, finished }) => {
      const joined: Record<string, string> = {};
      const calls: unknown[] = [];
      for (const { part } of message?.parts ?? []) {
        if (part.case === "toolCall") calls.push(part.value);
        else if (part.case === "reasoning") joined.reasoning = (joined.reasoning ?? "") + part.value.text;
        else if (part.case === "text" || part.case === "refusal") joined[part.case] = (joined[part.case] ?? "") + part.value;
      }
      return { joined, calls, reason: finished?.reason };
    });
}

test("an answer that is written as a stream, cut anywhere, or whole, reads as the same answer", () => {
  fc.assert(
    fc.property(fc.array(answer, { minLength: 1, maxLength: 3 }), fc.nat(), fc.boolean(), (candidates, cut, together) => {
      const events = build(candidates);
      const request = { generate: create(GenerateRequestSchema, { model: "m" }), stream: true, includeUsage: false };
      const writer = dialect.eventWriter(request, facts);
      const batches = together ? [events] : events.map((event) => [event]);
      const stream = Buffer.from(batches.map((batch) => writer.write({ events: batch })).join("") + writer.end());
      const sse = new SseReader();
      const reader = codec.eventReader("p");
      const at = cut % stream.length;
      const read = [...sse.read(stream.subarray(0, at)), ...sse.read(stream.subarray(at))].flatMap((frame) => reader.read(frame));
      expect(contents([...read, ...reader.end()])).toEqual(contents(events));
      const whole = dialect.writeResponse(new Fold().addAll(events).response(), facts);
      expect(contents(codec.readResponse(whole, "p"))).toEqual(contents(events));
    }),
    { numRuns: 200 },
  );
});
