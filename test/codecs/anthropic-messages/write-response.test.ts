import { readdirSync, readFileSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BlockKind, FinishReason, OpaquePartSchema, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createAnthropicMessagesCodec, anthropicMessagesDialect as dialect } from "../../../src/codecs/anthropic-messages/index.ts";
import { finishedEvent, type GenerateEvent, startedEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { answer, asked, deepFreeze, facts, signature, startCall, usage } from "./answers.ts";

const codec = createAnthropicMessagesCodec();

function respond(events: readonly GenerateEvent[]): Record<string, unknown> & { content: Record<string, unknown>[] } {
  return JSON.parse(dialect.writeResponse(deepFreeze(new Fold().addAll(events).response()), facts, asked));
}

describe("a whole answer", () => {
  test("every kind of block", () => {
    const message = respond(
      answer((builder) => {
        const signed = builder.startBlock(0, BlockKind.REASONING);
        builder.text(0, signed, "hm");
        builder.endBlock(0, signed, { signature: signature("sig") });
        const redacted = builder.startBlock(0, BlockKind.REASONING);
        builder.endBlock(0, redacted, { signature: signature("cipher", "openai", "openai"), redacted: true });
        const unsigned = builder.startBlock(0, BlockKind.REASONING);
        builder.delta(0, unsigned, { case: "summary", value: "One" }, [], [], 0);
        builder.delta(0, unsigned, { case: "summary", value: "Two" }, [], [], 1);
        builder.endBlock(0, unsigned);
        builder.endBlock(0, builder.startBlock(0, BlockKind.TEXT));
        const refusal = builder.startBlock(0, BlockKind.REFUSAL);
        builder.text(0, refusal, "No.");
        builder.endBlock(0, refusal);
        const opaque = create(OpaquePartSchema, {
          format: "anthropic-messages",
          type: "x",
          dataJson: '{"type":"x","n":12345678901234567890}',
        });
        builder.endBlock(0, builder.startBlock(0, BlockKind.OPAQUE, { opaque }), { opaque });
        const foreign = create(OpaquePartSchema, { format: "gemini", type: "y", dataJson: "{}" });
        builder.endBlock(0, builder.startBlock(0, BlockKind.OPAQUE, { opaque: foreign }), { opaque: foreign });
        for (const args of ['{"a": [1]}', "", "broken", "[]"]) {
          const call = startCall(builder, `functions.f:${args.length}`);
          builder.argumentsJson(0, call, args);
          builder.endBlock(0, call);
        }
        const custom = startCall(builder, "c", "shell", ToolKind.CUSTOM);
        builder.text(0, custom, "ls");
        builder.endBlock(0, custom);
        builder.push(usage({ inputTokens: 10, cacheReadTokens: 4, outputTokens: 3 }));
      }, FinishReason.TOOL_CALLS),
    );
    expect(message).toEqual({
      id: "msg_9",
      type: "message",
      role: "assistant",
      model: "served",
      content: [
        { type: "thinking", thinking: "hm", signature: "sig" },
        { type: "redacted_thinking", data: "cipher" },
        { type: "thinking", thinking: "One\n\nTwo", signature: "" },
        { type: "text", text: "No." },
        { type: "x", n: Number("12345678901234567890") },
        { type: "tool_use", id: "functions.f:10", name: "f", input: { a: [1] } },
        { type: "tool_use", id: "functions.f:0", name: "f", input: {} },
        { type: "tool_use", id: "functions.f:6", name: "f", input: { _raw: "broken" } },
        { type: "tool_use", id: "functions.f:2", name: "f", input: { _raw: "[]" } },
        { type: "tool_use", id: "c", name: "shell", input: { input: "ls" } },
      ],
      stop_reason: "tool_use",
      stop_sequence: null,
      stop_details: null,
      container: null,
      usage: {
        input_tokens: 6,
        cache_creation_input_tokens: 0,
        cache_read_input_tokens: 4,
        cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
        output_tokens: 3,
        output_tokens_details: null,
        server_tool_use: null,
        service_tier: null,
        inference_geo: null,
        speed: null,
      },
    });
  });

  test("an answer of another format has an id of this one, and large numbers stay whole", () => {
    const events = [startedEvent({ upstreamId: "resp_1" }), finishedEvent({ candidate: 0, reason: FinishReason.STOP })];
    const response = new Fold().addAll(events).response();
    expect(JSON.parse(dialect.writeResponse(response, facts, asked))).toMatchObject({ id: "msg_01GEN", model: "asked", content: [] });
  });

  test("a blocked prompt is a refusal", () => {
    const events = [startedEvent({}), finishedEvent({ candidate: 0, reason: FinishReason.CONTENT_FILTER, promptBlocked: true })];
    expect(respond(events)).toMatchObject({ content: [], stop_reason: "refusal", stop_details: null });
  });
});

const fixtures = new URL("../../fixtures/anthropic-messages/", import.meta.url);

test.each(readdirSync(fixtures))("%s: every member comes back, and read again it is the same answer", (name) => {
  const recorded = readFileSync(new URL(`${name}/message.json`, fixtures), "utf8");
  const events = codec.readResponse(recorded, "anthropic");
  const response = new Fold().addAll(events).response();
  const written = dialect.writeResponse(response, facts, asked);
  expect(JSON.parse(written)).toMatchObject(said(JSON.parse(recorded)) as object);
  const again = new Fold().addAll(codec.readResponse(written, "anthropic")).response();
  expect(again.candidates).toEqual(response.candidates);
  expect(again.started).toEqual(response.started);
  expect(again.usage).toMatchObject({ inputTokens: response.usage?.inputTokens, outputTokens: response.usage?.outputTokens });
});

/** Without empty lists of citations and with an empty server_tool_use as what it is: nothing. */
function said(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(said);
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== null && !(Array.isArray(member) && member.length === 0));
  return Object.fromEntries(members.map(([name, member]) => [name, said(member)]));
}
