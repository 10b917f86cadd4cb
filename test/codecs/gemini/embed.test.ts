import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { EmbeddingType, EmbedRequestSchema, EmbedTask, Truncation } from "../../../gen/dragoman/v1/embed_pb.ts";
import { createGeminiEmbedCodec } from "../../../src/codecs/gemini/index.ts";
import { GatewayError } from "../../../src/core/error.ts";

type Init = Omit<MessageInitShape<typeof EmbedRequestSchema>, "$typeName">;
type Inputs = NonNullable<Init["inputs"]>;
const codec = createGeminiEmbedCodec();
const target = { id: "google/gemini-embedding-001", provider: "google", model: "gemini-embedding-001", traits: {} };

function texts(...values: string[]): Inputs {
  return values.map((value) => ({ input: { case: "text", value } })) as Inputs;
}

function embedRequest(init: Init) {
  return create(EmbedRequestSchema, { model: "m", ...init } as MessageInitShape<typeof EmbedRequestSchema>);
}

function write(init: Init) {
  const request = embedRequest(init);
  const before = toBinary(EmbedRequestSchema, request);
  const { path, body, report } = codec.writeRequest(request, target);
  expect(Buffer.compare(toBinary(EmbedRequestSchema, request), before)).toBe(0);
  let refused: string[] = [];
  try {
    report.settle(false);
  } catch (error) {
    if (error instanceof GatewayError) refused = (error.details.fields ?? []).map(({ field }) => field);
  }
  return { path, json: JSON.parse(body) as unknown, notes: report.notes.map((note) => note.path), refused };
}

describe("embedding requests", () => {
  test("one input is embedContent", () => {
    expect(write({ inputs: texts("a"), dimensions: 256, task: EmbedTask.SEARCH_DOCUMENT, title: "t" })).toEqual({
      path: "/models/gemini-embedding-001:embedContent",
      json: {
        model: "models/gemini-embedding-001",
        content: { parts: [{ text: "a" }] },
        taskType: "RETRIEVAL_DOCUMENT",
        title: "t",
        outputDimensionality: 256,
      },
      notes: [],
      refused: [],
    });
  });

  test("more are batchEmbedContents, each with the model and the settings, in order", () => {
    const extrasJson = { gemini: '{"autoTruncate":true}', "cohere-chat": '{"truncate":"END"}' };
    const { path, json, notes } = write({ inputs: texts("a", "b"), task: EmbedTask.CODE_QUERY, extrasJson });
    expect(path).toBe("/models/gemini-embedding-001:batchEmbedContents");
    expect(json).toEqual({
      requests: ["a", "b"].map((text) => ({
        model: "models/gemini-embedding-001",
        content: { parts: [{ text }] },
        taskType: "CODE_RETRIEVAL_QUERY",
        autoTruncate: true,
      })),
    });
    expect(notes).toEqual(["truncate"]);
    expect(codec.maxInputs).toBe(100);
  });

  test("parts make one input together; token ids and packed vectors are refused", () => {
    const image = { case: "image", value: { source: { case: "url", value: "gs://b/i" }, mimeType: "image/png" } };
    const parts = { case: "parts", value: { parts: [{ part: { case: "text", value: "a" } }, { part: image }] } };
    expect(write({ inputs: [{ input: parts }] as Inputs })).toMatchObject({
      json: { content: { parts: [{ text: "a" }, { fileData: { mimeType: "image/png", fileUri: "gs://b/i" } }] } },
      refused: [],
    });
    const tokens = [{ input: { case: "tokens", value: { ids: [1] } } }] as Inputs;
    expect(write({ inputs: tokens, types: [EmbeddingType.INT8] }).refused).toEqual(["types", "inputs[0].tokens"]);
  });

  test("what has no equal is dropped", () => {
    expect(write({ inputs: texts("a"), task: EmbedTask.IMAGE, truncation: Truncation.END, title: "t" }).notes).toEqual([
      "task",
      "truncation",
      "title",
    ]);
  });
});

describe("embedding replies", () => {
  const read = (reply: unknown, ...inputs: string[]) =>
    codec.readResponse(JSON.stringify(reply), embedRequest({ inputs: texts(...inputs) }), "google");

  test("of one and of many are in input order; usage that is not said stays unknown", () => {
    const one = read({ embedding: { values: [0.5, -1] } }, "a");
    expect(one).toMatchObject({
      dimensions: 2,
      provider: "google",
      embeddings: [{ index: 0, type: EmbeddingType.FLOAT, values: [0.5, -1] }],
    });
    expect(one.usage).toBeUndefined();
    const many = read(
      { embeddings: [{ values: [1] }, { values: [2] }], usageMetadata: { promptTokenCount: 7, totalTokenCount: 7 } },
      "a",
      "b",
    );
    expect(many.embeddings.map(({ index, values }) => [index, ...values])).toEqual([
      [0, 1],
      [1, 2],
    ]);
    expect(many.usage).toMatchObject({ inputTokens: 7 });
    expect(many.usage?.outputTokens).toBeUndefined();
  });

  test("counts of the inputs add up where every one has its own", () => {
    const embeddings = [
      { values: [1], statistics: { tokenCount: 3, truncated: true } },
      { values: [2], statistics: { tokenCount: 4, truncated: false } },
    ];
    const reply = read({ embeddings }, "a", "b");
    expect(reply.usage?.inputTokens).toBe(7);
    expect(reply.embeddings.map(({ inputTokens, truncated }) => [inputTokens, truncated])).toEqual([
      [3, true],
      [4, false],
    ]);
    expect(read({ embeddings: [embeddings[0], { values: [2] }] }, "a", "b").usage).toBeUndefined();
  });

  test.each<unknown>([
    { embeddings: [{ values: [1] }] },
    { embeddings: [{ values: [1] }, { values: ["x"] }] },
    { embeddings: [{ values: [1] }, {}] },
    {},
    [],
    "x",
    { error: { code: 500, status: "INTERNAL", message: "x" } },
  ])("%j for two inputs is the provider's failure", (reply) => {
    expect(() => read(reply, "a", "b")).toThrow(expect.objectContaining({ reason: "provider_error" }));
  });
});
