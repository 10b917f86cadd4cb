/** Answers of upstreams that are newer than this gateway: fields that it has no name for (contract.md 1, rule 6). */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import { EmbedRequestSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { BlockKind, GenerateResponseSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import {
  EmbedContentResponseSchema,
  GenerateContentResponseSchema,
  GenerativeService,
} from "../../gen/google/ai/generativelanguage/v1beta/generative_service_pb.ts";
import { Chat, GetChatCompletionChunkSchema, GetChatCompletionResponseSchema } from "../../gen/xai/api/v1/chat_pb.ts";
import type { GenerateEvent } from "../../src/core/event.ts";
import { Fold } from "../../src/core/fold.ts";
import type { Provider } from "../../src/core/provider.ts";
import { Secret } from "../../src/core/secret.ts";
import { createProvider } from "../../src/providers/registry.ts";
import { mergeDeltas } from "../../src/rpc/merge-deltas.ts";
import { ask, startCall, targetOf } from "./calls.ts";
import { type Answers, startGrpcServer } from "./grpc-server.ts";

/** Field 1000, a varint of 5. */
const varint = Buffer.from([0xc0, 0x3e, 0x05]);
/** Field 1001, the bytes "new". */
const text = Buffer.from([0xca, 0x3e, 0x03, 0x6e, 0x65, 0x77]);

function bytes<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>, ...behind: Buffer[]): Uint8Array {
  return Buffer.concat([toBinary(schema, create(schema, init)), ...behind]);
}

async function open(type: string, method: Parameters<typeof startGrpcServer>[0], answers: Answers): Promise<Provider> {
  const { port } = await startGrpcServer(method, answers);
  const provider = createProvider(
    { name: "up", type, baseUrl: `http://127.0.0.1:${port}`, apiKey: new Secret("sk-unknown-0123456789") },
    { version: "0" },
  );
  onTestFinished(() => provider.close());
  return provider;
}

async function read(provider: Provider, buffered = false): Promise<GenerateEvent[]> {
  const events: GenerateEvent[] = [];
  for await (const batch of provider.generate?.(ask("hi"), targetOf("up", "m"), startCall({ buffered })) ?? [])
    events.push(...batch.events);
  return events;
}

const opaque = (events: readonly GenerateEvent[]) =>
  new Fold()
    .addAll(events)
    .response()
    .opaque.map(({ format, type, dataJson }) => ({ format, type, ...JSON.parse(dataJson) }));
const words = (events: readonly GenerateEvent[]) => new Fold().addAll(events).response().candidates[0]?.message?.parts[0]?.part.value;

describe("xAI", () => {
  const chunk = { id: "1", model: "m", outputs: [{ index: 0, delta: { content: "hello" }, finishReason: 2 as const }] };
  const expected = {
    format: "xai",
    type: "unknown_fields",
    unknown_fields: [
      { path: "", number: 1000, wire_type: 0, data: "BQ==" },
      { path: "", number: 1001, wire_type: 2, data: "A25ldw==" },
    ],
  };

  test("of chunks are kept where they stood, once where they do not change", async () => {
    const provider = await open("xai-grpc", Chat.method.getCompletionChunk, () => [
      bytes(GetChatCompletionChunkSchema, chunk, varint, text),
      bytes(GetChatCompletionChunkSchema, {}, varint, text),
    ]);
    const events = await read(provider);
    expect(words(events)).toBe("hello");
    expect(opaque(events)).toEqual([expected]);
  });

  test("of whole answers too, with what is only for teams that debug", async () => {
    const reply = {
      id: "1",
      outputs: [{ index: 0, message: { content: "hello" }, finishReason: 2 as const }],
      debugOutput: { attempts: 2 },
    };
    const provider = await open("xai-grpc", Chat.method.getCompletion, () => [bytes(GetChatCompletionResponseSchema, reply, varint, text)]);
    const events = await read(provider, true);
    expect(opaque(events)).toEqual([{ format: "xai", type: "debug_output", attempts: 2 }, expected]);
  });
});

describe("Gemini", () => {
  const candidate = {
    index: 0,
    content: { role: "model", parts: [{ data: { case: "text" as const, value: "hello" } }] },
    finishReason: 1 as const,
  };
  /** `candidates` has the number 1; its message ends with what nobody knows. */
  function nested(): Uint8Array {
    const inner = bytes(GenerateContentResponseSchema, { candidates: [candidate] });
    return Buffer.concat([Buffer.from([0x0a, (inner[1] ?? 0) + varint.length]), inner.subarray(2), varint]);
  }

  test.each([false, true])("of any depth are kept, buffered: %s", async (buffered) => {
    const method = buffered ? GenerativeService.method.generateContent : GenerativeService.method.streamGenerateContent;
    const provider = await open("gemini-grpc", method, () => [nested()]);
    const events = await read(provider, buffered);
    expect(events[0]?.event.case).toBe("started");
    expect(words(events)).toBe("hello");
    expect(opaque(events)).toEqual([
      { format: "gemini", type: "unknown_fields", unknown_fields: [{ path: "candidates[0]", number: 1000, wire_type: 0, data: "BQ==" }] },
    ]);
  });

  test("of vectors are kept beside them", async () => {
    const provider = await open("gemini-grpc", GenerativeService.method.embedContent, () => [
      bytes(EmbedContentResponseSchema, { embedding: { values: [1] } }, text),
    ]);
    const request = create(EmbedRequestSchema, { model: "m", inputs: [{ input: { case: "text", value: "a" } }] });
    const reply = await provider.embed?.(request, targetOf("up", "m"), startCall());
    expect(JSON.parse(reply?.extrasJson.gemini ?? "")).toEqual({
      unknown_fields: [{ path: "", number: 1001, wire_type: 2, data: "A25ldw==" }],
    });
  });
});

describe("another Dragoman", () => {
  const answer = () => [
    bytes(GenerateResponseSchema, { event: { case: "started", value: { servedModel: "m" } } }),
    bytes(GenerateResponseSchema, { event: { case: "blockStarted", value: { kind: BlockKind.TEXT } } }),
    bytes(GenerateResponseSchema, { event: { case: "blockDelta", value: { delta: { case: "text", value: "hel" } } } }, varint),
    bytes(GenerateResponseSchema, { event: { case: "blockDelta", value: { delta: { case: "text", value: "lo" } } } }, text),
    // An event of a kind that there is not yet.
    text,
    bytes(GenerateResponseSchema, { event: { case: "blockEnded", value: {} } }),
    bytes(GenerateResponseSchema, { event: { case: "finished", value: { reason: 1 } } }),
    bytes(GenerateResponseSchema, { event: { case: "settled", value: {} } }),
  ];

  test("streams pass on what they do not know, byte for byte, and merge no deltas that hold it", async () => {
    const provider = await open("dragoman", InferenceService.method.generate, answer);
    const events = mergeDeltas(await read(provider));
    const sent = Buffer.concat(events.map((event) => toBinary(GenerateResponseSchema, event)));
    expect(sent.includes(varint)).toBe(true);
    expect(sent.toString("latin1").split(text.toString("latin1"))).toHaveLength(3);
  });

  test("a whole answer keeps it beside the parts", async () => {
    const provider = await open("dragoman", InferenceService.method.generate, answer);
    const events = await read(provider, true);
    expect(words(events)).toBe("hello");
    expect(opaque(events).map(({ unknown_fields: [field] }) => [field.number, field.data])).toEqual([
      [1000, "BQ=="],
      [1001, "A25ldw=="],
    ]);
  });
});
