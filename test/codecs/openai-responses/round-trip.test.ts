import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { BlockKind, FinishReason, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type Usage, UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createOpenAiResponsesCodec, openAiResponsesDialect as dialect } from "../../../src/codecs/openai-responses/index.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, startedEvent, usageEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { type JsonObject, parseJson } from "../../../src/core/json.ts";
import { SseReader } from "../../../src/core/sse.ts";

const codec = createOpenAiResponsesCodec({ sendUser: "user" });
const target = { id: "p/m", provider: "p", model: "m", traits: {} };
const facts = { generationId: "G", created: 1 };
const text = fc.string({ unit: "grapheme", maxLength: 12 });
const word = fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/);
const json = fc.dictionary(word, fc.oneof(text, fc.integer(), fc.boolean(), fc.array(fc.integer(), { maxLength: 3 })), { maxKeys: 3 });
const extra = fc.dictionary(
  word.map((name) => `x_${name}`),
  fc.oneof(text, fc.integer(), json),
  { maxKeys: 2 },
);
const bytes = fc.uint8Array({ minLength: 1, maxLength: 8 }).map((data) => Buffer.from(data).toString("base64"));

const inputPart = fc.oneof(
  fc.tuple(text, extra).map(([value, more]) => ({ type: "input_text", text: value, ...more })),
  fc.tuple(bytes, extra).map(([data, more]) => ({ type: "input_image", image_url: `data:image/png;base64,${data}`, ...more })),
  fc.webUrl().map((url) => ({ type: "input_image", image_url: url, detail: "low" })),
  fc.tuple(bytes, word).map(([data, filename]) => ({ type: "input_file", filename, file_data: `data:application/pdf;base64,${data}` })),
  word.map((file_id) => ({ type: "input_file", file_id })),
  fc.tuple(word, extra).map(([type, more]) => ({ type: `x_${type}`, ...more })),
);
const citation = fc.oneof(
  fc
    .tuple(text, extra)
    .map(([title, more]) => ({ type: "url_citation", url: "https://a.b", title, start_index: 0, end_index: 1, ...more })),
  word.map((file_id) => ({ type: "file_citation", file_id, filename: "f", index: 3 })),
  word.map((file_id) => ({ type: "file_path", file_id, index: 0 })),
);
const outputPart = fc.oneof(
  fc
    .tuple(text, fc.array(citation, { maxLength: 2 }), extra)
    .map(([value, annotations, more]) => ({ type: "output_text", text: value, annotations, ...more })),
  fc.tuple(text, extra).map(([refusal, more]) => ({ type: "refusal", refusal, ...more })),
  word.map((type) => ({ type: `x_${type}`, a: 1 })),
);
const itemId = fc.stringMatching(/^[a-z0-9]{6}$/);
const message = fc.oneof(
  fc
    .tuple(
      fc.constantFrom("system", "developer", "user"),
      fc.array(
        inputPart.filter(({ type }) => type === "input_text"),
        { minLength: 1, maxLength: 2 },
      ),
      extra,
    )
    .map(([role, content, more]) => [{ type: "message", role, content, ...more }]),
  fc.array(inputPart, { minLength: 1, maxLength: 4 }).map((content) => [{ type: "message", role: "user", content }]),
  fc
    .tuple(itemId, fc.array(outputPart, { minLength: 1, maxLength: 3 }), extra, fc.boolean())
    .map(([id, content, more, known]) => [
      { type: "message", ...(known ? { id: `msg_${id}`, status: "completed" } : {}), role: "assistant", content, ...more },
    ]),
);
const turn = fc.oneof(
  message,
  fc
    .tuple(itemId, fc.array(text, { maxLength: 2 }), fc.uniqueArray(word, { minLength: 1, maxLength: 3 }), json, extra)
    .map(([id, summaries, names, args, more]) => [
      {
        type: "reasoning",
        id: `rs_${id}`,
        summary: summaries.map((summary) => ({ type: "summary_text", text: summary })),
        encrypted_content: `gAAA${id}`,
        ...more,
      },
      ...names.map((name) => ({
        type: "function_call",
        id: `fc_${name}`,
        call_id: `call_${id}_${name}`,
        name,
        arguments: JSON.stringify(args),
        ...more,
      })),
      ...names.map((name) => ({ type: "function_call_output", call_id: `call_${id}_${name}`, output: `${name}!`, ...more })),
    ]),
  itemId.map((id) => [
    { type: "custom_tool_call", call_id: `ctc${id}`, name: "free", input: "text" },
    {
      type: "custom_tool_call_output",
      call_id: `ctc${id}`,
      output: [
        { type: "input_text", text: "a" },
        { type: "input_text", text: "b" },
      ],
    },
  ]),
  itemId.map((id) => [{ type: "web_search_call", id: `ws_${id}`, status: "completed", action: { type: "search", query: "q" } }]),
);
const tool = fc.oneof(
  fc
    .tuple(word, text, json, extra, fc.constantFrom({}, { strict: true }, { strict: false }, { strict: null }))
    .map(([name, description, parameters, more, strict]) => ({
      type: "function",
      name,
      ...(description === "" ? {} : { description }),
      parameters,
      ...strict,
      ...more,
    })),
  word.map((name) => ({ type: "custom", name, format: { type: "grammar", syntax: "lark", definition: "start: A" } })),
  fc.constantFrom({ type: "web_search", search_context_size: "low" }, { type: "mcp", server_label: "s", server_url: "https://s" }),
);
const optional = fc.record(
  {
    instructions: text,
    max_output_tokens: fc.integer({ min: 16, max: 9999 }),
    temperature: fc.integer({ min: 0, max: 2 }),
    top_p: fc.double({ min: 0, max: 1, noNaN: true }),
    service_tier: fc.constantFrom("auto", "default", "flex", "priority", "scale", "fast"),
    metadata: fc.dictionary(word, text, { minKeys: 1, maxKeys: 3 }),
    store: fc.constant(true),
    user: word,
    prompt_cache_key: word,
    truncation: fc.constantFrom("auto", "disabled"),
    max_tool_calls: fc.nat(9),
    reasoning: fc.record({
      effort: fc.constantFrom("none", "low", "xhigh"),
      summary: fc.constantFrom("auto", "concise"),
      mode: fc.constant("pro"),
    }),
    text: fc.oneof(
      json.map((schema) => ({ format: { type: "json_schema", name: "n", schema, strict: true }, verbosity: "low" })),
      fc.constant({ verbosity: "high" }),
    ),
  },
  { requiredKeys: [] },
);
const body = fc
  .tuple(
    fc.array(turn, { minLength: 1, maxLength: 5 }),
    fc.uniqueArray(tool, { maxLength: 3, selector: (one) => JSON.stringify(one) }),
    optional,
    extra,
  )
  .map(([turns, tools, rest, more]) => ({
    model: "m",
    input: uniquely(turns.flat()),
    ...(tools.length === 0 ? {} : { tools }),
    // Otherwise the writer asks for encrypted reasoning, as it must.
    include: ["web_search_call.results", "reasoning.encrypted_content"],
    store: false,
    ...rest,
    ...more,
  }));

/** Calls pair by id: two turns must not share one. */
function uniquely(items: object[]): object[] {
  const seen = new Set<string>();
  return items.filter((item) => {
    const { type, call_id } = item as { type: string; call_id?: string };
    if (call_id === undefined) return true;
    const key = `${type} ${call_id}`;
    return seen.has(key) ? false : seen.add(key) !== undefined;
  });
}

test("a client's request is read, written, and read again as the same request, and nothing is lost on the wire", () => {
  fc.assert(
    fc.property(body, (sent) => {
      const parsed = parseJson(JSON.stringify(sent));
      const before = structuredClone(parsed);
      const { generate } = dialect.readRequest(parsed);
      const read = structuredClone(generate);
      const { body: written, report } = codec.writeRequest(generate, target, { stream: false });
      expect(report.notes).toEqual([]);
      report.settle(true);
      expect(parsed).toEqual(before);
      expect(generate).toEqual(read);
      expect(comparable(dialect.readRequest(parseJson(written)).generate)).toEqual(comparable(generate));
      expect(sorted(instructed(parseJson(written) as JsonObject))).toEqual(
        sorted(instructed({ ...(parsed as JsonObject), stream: false })),
      );
    }),
    { numRuns: 200 },
  );
});

/** A leading system message of plain text is what instructions are. */
function instructed(body: JsonObject): JsonObject {
  const [first, ...rest] = body.input as { role?: string; content?: { text: string }[] }[];
  const [part, ...more] = first?.content ?? [];
  const isPlain = Object.keys(first ?? {}).length === 3 && Object.keys(part ?? {}).length === 2 && more.length === 0;
  if (body.instructions !== undefined || first?.role !== "system" || !isPlain || part === undefined) return body;
  return { ...body, instructions: part.text, input: rest as JsonObject[] };
}

/** With unknown fields as values: their order may change. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  const entries = Object.entries(value).map(([name, member]) => {
    if (name !== "extrasJson") return [name, comparable(member)];
    const texts = Object.entries(member as Record<string, string>);
    return [name, Object.fromEntries(texts.map(([format, text]) => [format, sorted(JSON.parse(text))]))];
  });
  return Object.fromEntries(entries);
}

/** Without the order of keys and of words in `include`. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.every((one) => typeof one === "string") ? [...value].sort() : value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, sorted(member)]));
}

type Step =
  | { kind: "text" | "refusal" | "call" | "custom"; pieces: string[] }
  | { kind: "reasoning"; pieces: string[]; summaries: string[][]; signature: string };

const pieces = fc.array(fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom("text" as const, "refusal" as const, "call" as const, "custom" as const), pieces }),
  fc.record({
    kind: fc.constant("reasoning" as const),
    pieces: fc.oneof(fc.constant<string[]>([]), pieces),
    summaries: fc.array(pieces, { maxLength: 2 }),
    signature: fc.constantFrom("", "sig"),
  }),
);

function answer(steps: readonly Step[], reason: FinishReason, usage: Usage): GenerateEvent[] {
  const builder = new EventBuilder();
  builder.push(startedEvent({ upstreamId: "resp_up", servedModel: "served", provider: "p", createdAt: { seconds: 5n } }));
  const open: (() => void)[] = [];
  let calls = 0;
  for (const one of steps) {
    if (one.kind === "call" || one.kind === "custom") {
      const isCustom = one.kind === "custom";
      const id = `call_${calls++}`;
      const kind = isCustom ? ToolKind.CUSTOM : ToolKind.FUNCTION;
      const toolCall = { $typeName: "dragoman.v1.ToolCall", id, name: "f", argumentsJson: "", inputText: "", kind } as const;
      const prefix = isCustom ? "ctc_" : "fc_";
      const index = builder.startBlock(0, BlockKind.TOOL_CALL, { id: `${prefix}${calls}`, toolCall });
      // Calls end when the answer does: their fragments may interleave.
      open.push(() => {
        for (const piece of one.pieces) {
          if (isCustom) builder.text(0, index, piece);
          else builder.argumentsJson(0, index, JSON.stringify(piece));
        }
        builder.endBlock(0, index);
      });
      continue;
    }
    if (one.kind === "reasoning") {
      const index = builder.startBlock(0, BlockKind.REASONING, { id: `rs_${builder.hasOpen()}${calls}` });
      one.summaries.forEach((summary, section) => {
        for (const piece of summary) builder.delta(0, index, { case: "summary", value: piece }, [], [], section);
      });
      for (const piece of one.pieces) builder.text(0, index, piece);
      const hidden = one.pieces.length === 0 && one.summaries.length === 0;
      const signature = { $typeName: "dragoman.v1.Signature", value: one.signature, format: "openai", provider: "p" } as const;
      builder.endBlock(0, index, one.signature === "" ? {} : { signature, redacted: hidden });
      continue;
    }
    const index = builder.startBlock(0, one.kind === "text" ? BlockKind.TEXT : BlockKind.REFUSAL, { id: `msg_${calls}` });
    for (const piece of one.pieces) builder.text(0, index, piece);
    builder.endBlock(0, index);
  }
  for (const end of open) end();
  builder.push(usageEvent(usage));
  builder.push(finishedEvent({ candidate: 0, reason, rawReason: reason === FinishReason.LENGTH ? "max_output_tokens" : "completed" }));
  return builder.take();
}

const steps = fc.array(step, { maxLength: 5 });
const counts = fc.record({ inputTokens: fc.nat(999), outputTokens: fc.nat(999), cacheReadTokens: fc.nat(9), reasoningTokens: fc.nat(9) });

function reasonOf(list: readonly Step[], cut: boolean): FinishReason {
  if (cut) return FinishReason.LENGTH;
  if (list.some(({ kind }) => kind === "call" || kind === "custom")) return FinishReason.TOOL_CALLS;
  return list.some(({ kind }) => kind === "refusal") ? FinishReason.REFUSAL : FinishReason.STOP;
}

const unstored = dialect.readRequest(parseJson('{"model":"m","input":"hi","store":false}'));

test("an answer is written, streamed and whole, and read again as the same answer", () => {
  fc.assert(
    fc.property(steps, counts, fc.boolean(), fc.nat(5), (list, count, cut, split) => {
      const events = answer(list, reasonOf(list, cut), create(UsageSchema, { ...count, basis: UsageBasis.PROVIDER }));
      const before = structuredClone(events);
      const writer = dialect.eventWriter(unstored, facts);
      const stream = writer.write({ events: events.slice(0, split) }) + writer.write({ events: events.slice(split) }) + writer.end();
      expect(events).toEqual(before);
      const folded = new Fold().addAll(events).response();
      expect(readStream(stream)).toEqual(folded);

      const whole = dialect.writeResponse(folded, facts, unstored);
      expect(new Fold().addAll(codec.readResponse(whole, "p")).response()).toEqual(folded);
      // The last event holds what the buffered answer is.
      const last = records(stream).at(-1) as { response: object };
      expect(last.response).toEqual(JSON.parse(whole));
    }),
    { numRuns: 200 },
  );
});

function readStream(stream: string) {
  const reader = codec.eventReader("p");
  const fold = new Fold();
  for (const frame of new SseReader().read(Buffer.from(stream))) fold.addAll(reader.read(frame));
  fold.addAll(reader.end());
  return fold.response();
}

function records(stream: string): JsonObject[] {
  return new SseReader().read(Buffer.from(stream)).map(({ data }) => JSON.parse(data) as JsonObject);
}

test("numbers rise from 0, items begin before they grow and are done once, and deltas add up to what is done", () => {
  fc.assert(
    fc.property(steps, fc.boolean(), (list, cut) => {
      const writer = dialect.eventWriter(unstored, facts);
      const all = records(writer.write({ events: answer(list, reasonOf(list, cut), create(UsageSchema)) }) + writer.end());
      expect(all.map(({ sequence_number }) => sequence_number)).toEqual(all.map((_, index) => index));
      const items = new Map<unknown, { id: unknown; grown: string; isDone: boolean }>();
      let added = 0;
      for (const record of all) {
        const { type, output_index: index } = record;
        const item = record.item as
          | { id: string; arguments?: string; input?: string; content?: { text?: string; refusal?: string }[] }
          | undefined;
        if (type === "response.output_item.added") {
          expect(index).toBe(added++);
          items.set(index, { id: item?.id, grown: "", isDone: false });
        } else if (index !== undefined) {
          const known = items.get(index);
          expect(known?.isDone).toBe(false);
          if (known === undefined) continue;
          if (record.item_id !== undefined) expect(record.item_id).toBe(known.id);
          if (typeof record.delta === "string") known.grown += record.delta;
          if (type !== "response.output_item.done") continue;
          known.isDone = true;
          expect(item?.id).toBe(known.id);
          const said = item?.arguments ?? item?.input ?? item?.content?.map(({ text, refusal }) => text ?? refusal).join("");
          if (item?.id.startsWith("rs_") !== true) expect(said).toBe(known.grown);
        }
      }
      expect([...items.values()].every(({ isDone }) => isDone)).toBe(true);
    }),
    { numRuns: 100 },
  );
});

test("the bytes of a stream give the same events wherever they are cut", () => {
  const list: Step[] = [
    { kind: "reasoning", pieces: [], summaries: [["gründlich ", "🤔"]], signature: "sig" },
    { kind: "text", pieces: ["日本", "語 👩‍👩‍👧"] },
    { kind: "call", pieces: ["é"] },
  ];
  const writer = dialect.eventWriter(unstored, facts);
  const stream = Buffer.from(
    writer.write({ events: answer(list, FinishReason.TOOL_CALLS, create(UsageSchema, { inputTokens: 1 })) }) + writer.end(),
  );
  const whole = eventsOf([stream]);
  for (let at = 1; at < stream.length; at++) {
    expect(eventsOf([stream.subarray(0, at), stream.subarray(at)])).toEqual(whole);
  }
});

function eventsOf(chunks: readonly Uint8Array[]): GenerateEvent[] {
  const frames = new SseReader();
  const reader = codec.eventReader("p");
  return [...chunks.flatMap((chunk) => frames.read(chunk).flatMap((frame) => reader.read(frame))), ...reader.end()];
}
