import fc from "fast-check";
import { expect, test } from "vitest";
import { BlockKind, FinishReason, type Part } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createAnthropicMessagesCodec, anthropicMessagesDialect as dialect } from "../../../src/codecs/anthropic-messages/index.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, startedEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { parseJson } from "../../../src/core/json.ts";
import { SseReader } from "../../../src/core/sse.ts";
import { asked, deepFreeze, facts, orderProblems, recordsOf, signature, startCall, usage } from "./answers.ts";

const codec = createAnthropicMessagesCodec({ sendsEndUserId: true });
/** A model that takes all that the format can say. */
const traits = { sampling: true, temperatureWithTopP: true, midSystem: true, reasoning: "both", structuredOutput: true } as const;
const target = { id: "p/m", provider: "p", model: "m", traits };

const word = fc.stringMatching(/^[a-z][a-z0-9_]{0,8}$/);
/** The API refuses text of white space alone, and takes no text that begins like a PDF for one. */
const text = fc.string({ unit: "grapheme", maxLength: 12 }).map((value) => `t${value}`);
const json = fc.dictionary(word, fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.integer(), { maxLength: 3 })), {
  maxKeys: 3,
});
const extra = fc.dictionary(
  word.map((name) => `x_${name}`),
  fc.oneof(text, fc.integer(), json),
  { maxKeys: 2 },
);
const data = fc.uint8Array({ minLength: 1, maxLength: 8 }).map((bytes) => Buffer.from([1, ...bytes]).toString("base64"));
const source = fc.oneof(
  fc.tuple(data, extra).map(([value, more]) => ({ type: "base64", media_type: "image/png", data: value, ...more })),
  fc.webUrl({ validSchemes: ["https"] }).map((url) => ({ type: "url", url })),
  word.map((id) => ({ type: "file", file_id: id })),
);
const documentSource = fc.oneof(
  text.map((value) => ({ type: "text", media_type: "text/plain", data: value })),
  data.map(() => ({ type: "base64", media_type: "application/pdf", data: Buffer.from("%PDF-1.7").toString("base64") })),
  text.map((value) => ({ type: "content", content: value })),
);
const citation = fc.oneof(
  fc.tuple(text, fc.nat(99)).map(([cited, at]) => ({
    type: "char_location",
    cited_text: cited,
    document_index: 0,
    document_title: "d",
    start_char_index: at,
    end_char_index: at + 1,
    file_id: null,
  })),
  text.map((cited) => ({ type: "web_search_result_location", cited_text: cited, url: "https://a", title: null, encrypted_index: "e" })),
  word.map((name) => ({ type: `x_${name}`, cited_text: "c", deep: [name] })),
);
const textBlock = fc.tuple(text, fc.array(citation, { maxLength: 2 }), extra).map(([value, citations, more]) => ({
  type: "text",
  text: value,
  ...(citations.length === 0 ? {} : { citations }),
  ...more,
}));
const unknownBlock = fc.tuple(word, json).map(([type, more]) => ({ type: `x_${type}`, ...more }));
const userBlock = fc.oneof(
  textBlock,
  fc.tuple(source, extra).map(([value, more]) => ({ type: "image", source: value, ...more })),
  fc
    .tuple(documentSource, text, extra)
    .map(([value, title, more]) => ({ type: "document", source: value, title, citations: { enabled: true }, ...more })),
  text.map((value) => ({ type: "search_result", source: "s", title: value, content: [{ type: "text", text: value }] })),
  unknownBlock,
);
const thinking = fc.oneof(
  fc.tuple(fc.oneof(text, fc.constant("")), word).map(([thinking, value]) => ({ type: "thinking", thinking, signature: value })),
  word.map((value) => ({ type: "redacted_thinking", data: value })),
);
const said = fc.oneof(textBlock, unknownBlock);

/** A user speaks, the model thinks, answers and calls, and the results open the next message of the user. */
const exchange = fc.record({
  asks: fc.array(userBlock, { minLength: 1, maxLength: 3 }),
  system: fc.option(text, { nil: undefined }),
  thoughts: fc.array(thinking, { maxLength: 2 }),
  says: fc.array(said, { minLength: 1, maxLength: 2 }),
  calls: fc.array(fc.tuple(word, json, extra, fc.array(fc.oneof(textBlock, unknownBlock), { minLength: 1, maxLength: 2 }), fc.boolean()), {
    maxLength: 3,
  }),
});
type Exchange = typeof exchange extends fc.Arbitrary<infer Value> ? Value : never;

function messagesOf(exchanges: readonly Exchange[]): object[] {
  let results: object[] = [];
  const messages = exchanges.flatMap(({ asks, system, thoughts, says, calls }, turn) => {
    const uses = calls.map(([name, input, more], at) => ({ type: "tool_use", id: `c${turn}_${at}`, name, input, ...more }));
    const asking = [...results, ...asks];
    results = calls.map(([, , more, content, failed], at) => ({
      type: "tool_result",
      tool_use_id: `c${turn}_${at}`,
      content,
      ...(failed ? { is_error: true } : {}),
      ...more,
    }));
    return [
      { role: "user", content: asking },
      ...(system === undefined ? [] : [{ role: "system", content: [{ type: "text", text: system }] }]),
      { role: "assistant", content: [...thoughts, ...says, ...uses] },
    ];
  });
  return [...messages, { role: "user", content: [...results, { type: "text", text: "go on" }] }];
}

const tool = fc.oneof(
  fc.tuple(word, text, json, extra).map(([name, description, properties, more]) => ({
    name,
    description,
    input_schema: { type: "object", properties, required: [] },
    strict: true,
    ...more,
  })),
  fc
    .tuple(fc.constantFrom("web_search_20260318", "bash_20250124", "memory_20250818"), extra)
    .map(([type, more]) => ({ type, name: type.slice(0, 4), ...more })),
);
const cacheControl = fc.constantFrom(
  { type: "ephemeral" },
  { type: "ephemeral", ttl: "1h" },
  { type: "ephemeral", ttl: "1h", scope: "global" },
);
const optional = fc.record(
  {
    stop_sequences: fc.array(text, { minLength: 1, maxLength: 3 }),
    metadata: fc.record({ user_id: word }),
    service_tier: fc.constantFrom("auto", "standard_only"),
    speed: fc.constantFrom("fast", "standard"),
    cache_control: cacheControl,
    output_config: fc.constantFrom(
      { effort: "max" },
      { effort: "low", format: { type: "json_schema", schema: { type: "object", properties: {}, additionalProperties: false } } },
      { task_budget: { type: "tokens", total: 9 } },
    ),
    container: fc.constantFrom("c", { id: "c", skills: [] }),
    mcp_servers: fc.constant([{ type: "url", name: "n", url: "https://m.example", authorization_token: null }]),
    context_management: fc.constant({ edits: [{ type: "clear_tool_uses_20250919" }] }),
    stream: fc.constant(true),
  },
  { requiredKeys: [] },
);
const freedom = fc.oneof(
  fc.record(
    { temperature: fc.constantFrom(0, 0.5, 1), top_p: fc.double({ min: 0, max: 1, noNaN: true }).map(Math.abs), top_k: fc.nat(99) },
    { requiredKeys: [] },
  ),
  fc.constantFrom(
    { thinking: { type: "enabled", budget_tokens: 2048 } },
    { thinking: { type: "enabled", budget_tokens: 1024, display: "omitted" } },
    { thinking: { type: "adaptive", display: "summarized" } },
    { thinking: { type: "disabled" } },
    { thinking: { type: "between_tools" } },
    { thinking: { type: "x_new", depth: 1 } },
  ),
);
const choice = fc.constantFrom(undefined, { type: "auto" }, { type: "auto", disable_parallel_tool_use: true }, { type: "none" });

const body = fc
  .record({
    exchanges: fc.array(exchange, { maxLength: 3 }),
    system: fc.array(fc.tuple(text, extra), { minLength: 1, maxLength: 2 }),
    tools: fc.uniqueArray(tool, { minLength: 1, maxLength: 3, selector: ({ name }) => name }),
    choice,
    marked: fc.subarray(["system", "tool", "message"] as const),
    optional,
    freedom,
    more: extra,
  })
  .map(({ exchanges, system, tools, choice, marked, optional, freedom, more }) => {
    const mark = (place: (typeof marked)[number], last: boolean) =>
      last && marked.includes(place) ? { cache_control: { type: "ephemeral", ttl: "1h" } } : {};
    // With a budget of thinking the API wants thinking before every call.
    const isManual = "thinking" in freedom && freedom.thinking?.type === "enabled";
    const first = { type: "thinking", thinking: "hm", signature: "s" };
    const thought = exchanges.map((one) => ({ ...one, thoughts: isManual ? [first, ...one.thoughts] : one.thoughts }));
    const messages = messagesOf(thought) as { content: object[] }[];
    return {
      model: "m",
      max_tokens: 9000,
      system: system.map(([value, other], at) => ({ type: "text", text: value, ...other, ...mark("system", at === system.length - 1) })),
      messages: messages.map((message, at) => ({
        ...message,
        content: message.content.map((block, of) => ({
          ...block,
          ...mark("message", at === messages.length - 1 && of === message.content.length - 1),
        })),
      })),
      tools: tools.map((one, at) => ({ ...one, ...mark("tool", at === tools.length - 1) })),
      ...(choice === undefined ? {} : { tool_choice: choice }),
      ...freedom,
      ...optional,
      ...more,
    };
  });

test("a client's request is read, written, and read again as the same request", () => {
  fc.assert(
    fc.property(body, (sent) => {
      const { generate } = dialect.readRequest(deepFreeze(parseJson(JSON.stringify(sent))), {});
      deepFreeze(generate);
      const { body: written, report } = codec.writeRequest(generate, target, { stream: "stream" in sent });
      expect(report.notes).toEqual([]);
      report.settle(true);
      // Nothing is lost on the wire.
      expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(sent)));
      expect(meaning(dialect.readRequest(parseJson(written), {}).generate)).toEqual(meaning(generate));
    }),
    { numRuns: 200 },
  );
});

/** With unknown fields as values: their order says nothing. */
function meaning(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(meaning);
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => [
      name,
      name === "extrasJson"
        ? Object.entries(member as object).map(([format, fields]) => [format, JSON.parse(fields as string)])
        : meaning(member),
    ]),
  );
}

type Kind = "text" | "thinking" | "redacted" | "call" | "refusal";
const step = fc.record({
  kind: fc.constantFrom<Kind>("text", "thinking", "redacted", "call", "refusal"),
  pieces: fc.array(text, { minLength: 1, maxLength: 3 }),
  signed: fc.boolean(),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** Blocks whose pieces come in turn, as `order` shuffles them. Each starts in order and ends with its last piece. */
function build(steps: readonly Step[], order: readonly number[]): GenerateEvent[] {
  const builder = new EventBuilder();
  builder.push(startedEvent({ upstreamId: "msg_1", servedModel: "m", provider: "anthropic" }));
  builder.push(usage({ inputTokens: 20, cacheReadTokens: 5, cacheWriteTokens: 3, outputTokens: 1 }));
  const blocks = steps.map(({ kind, pieces, signed }, at) => {
    const index = kind === "call" ? startCall(builder, `c${at}`) : builder.startBlock(0, kinds[kind]);
    const args = JSON.stringify(Object.fromEntries(pieces.map((piece, of) => [`p${of}`, piece])));
    const rest = kind === "call" ? [args.slice(0, 2), args.slice(2)] : kind === "redacted" ? [] : [...pieces];
    const isSigned = kind === "redacted" || (kind === "thinking" && signed);
    return { kind, index, rest, end: { ...(isSigned ? { signature: signature(`s${at}`) } : {}), redacted: kind === "redacted" } };
  });
  for (let turn = 0; blocks.length > 0; turn++) {
    const at = (order[turn % order.length] ?? 0) % blocks.length;
    const [block] = blocks.slice(at, at + 1);
    if (block === undefined) break;
    const piece = block.rest.shift();
    if (piece === undefined) {
      builder.endBlock(0, block.index, block.end);
      blocks.splice(at, 1);
    } else if (block.kind === "call") builder.argumentsJson(0, block.index, piece);
    else builder.text(0, block.index, piece);
  }
  builder.push(finishedEvent({ candidate: 0, reason: FinishReason.STOP, rawReason: "end_turn" }));
  builder.push(usage({ inputTokens: 20, cacheReadTokens: 5, cacheWriteTokens: 3, outputTokens: 9, reasoningTokens: 2 }));
  return builder.take();
}

const kinds = { text: BlockKind.TEXT, refusal: BlockKind.REFUSAL, thinking: BlockKind.REASONING, redacted: BlockKind.REASONING } as const;

/** A refusal is text here. */
function asRead(parts: readonly Part[]): unknown[] {
  return parts.map((part) => ({ ...part, part: part.part.case === "refusal" ? { case: "text", value: part.part.value } : part.part }));
}

test("an answer is written, streamed or whole, and read again as the same answer", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 5 }),
      fc.array(fc.nat(4), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 9 }),
      (steps, order, size) => {
        const events = deepFreeze(build(steps, order));
        const writer = dialect.eventWriter(asked, facts);
        let written = "";
        for (let at = 0; at < events.length; at += size) written += writer.write({ events: events.slice(at, at + size) });
        written += writer.end();
        expect(orderProblems(recordsOf(written))).toEqual([]);
        const reader = codec.eventReader("anthropic");
        const streamed = [...new SseReader().read(Buffer.from(written)).flatMap((frame) => reader.read(frame)), ...reader.end()];
        const answer = new Fold().addAll(events).response();
        const whole = codec.readResponse(dialect.writeResponse(answer, facts, asked), "anthropic");
        for (const again of [streamed, whole]) {
          const read = new Fold().addAll(again).response();
          expect(asRead(read.candidates[0]?.message?.parts ?? [])).toEqual(asRead(answer.candidates[0]?.message?.parts ?? []));
          expect(read.candidates[0]?.finished).toEqual(answer.candidates[0]?.finished);
          expect(read.started).toEqual(answer.started);
          const { inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens } = answer.usage ?? {};
          expect(read.usage).toMatchObject({ inputTokens, outputTokens, cacheReadTokens, cacheWriteTokens, reasoningTokens });
        }
      },
    ),
    { numRuns: 300 },
  );
});
