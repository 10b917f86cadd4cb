import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { EmbeddingType, EmbedResponseSchema, EmbedTask } from "../../../gen/dragoman/v1/embed_pb.ts";
import { UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import {
  geminiBatchEmbedDialect as batch,
  createGeminiEmbedCodec,
  geminiEmbedDialect as single,
} from "../../../src/codecs/gemini/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { parseJson } from "../../../src/core/json.ts";

const codec = createGeminiEmbedCodec();
const target = { id: "google/m", provider: "google", model: "m", traits: {} };
const facts = { model: "m" };
const content = (...texts: string[]) => ({ parts: texts.map((text) => ({ text })) });

function readSingle(body: object) {
  return single.readRequest(parseJson(JSON.stringify(body)), facts).embed;
}

function readBatch(...requests: object[]) {
  return batch.readRequest(parseJson(JSON.stringify({ requests })), facts).embed;
}

function faultOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof GatewayError && error.reason === "invalid_request") return error.message;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("embedContent", () => {
  test("is read with its settings, and comes back out as it was", () => {
    const body = { content: content("a"), taskType: "RETRIEVAL_DOCUMENT", title: "t", outputDimensionality: 256, newField: 1 };
    const embed = readSingle(body);
    expect(embed).toMatchObject({
      model: "m",
      inputs: [{ input: { case: "text", value: "a" } }],
      task: EmbedTask.SEARCH_DOCUMENT,
      title: "t",
      dimensions: 256,
      extrasJson: { gemini: '{"newField":1}' },
    });
    expect(JSON.parse(codec.writeRequest(embed, target).body)).toEqual({ model: "models/m", ...body });
    expect(readSingle({ content: { parts: { text: "a" } }, task_type: "RETRIEVAL_QUERY", output_dimensionality: 5 })).toMatchObject({
      inputs: [{ input: { case: "text", value: "a" } }],
      task: EmbedTask.SEARCH_QUERY,
      dimensions: 5,
    });
  });

  test("may be of several parts, and of media", () => {
    const parts = [{ text: "a" }, { inlineData: { mimeType: "image/png", data: "iVBORw0KGgo=" } }];
    const embed = readSingle({ content: { parts } });
    expect(embed.inputs[0]?.input).toMatchObject({
      case: "parts",
      value: { parts: [{ part: { case: "text" } }, { part: { case: "image" } }] },
    });
    expect(JSON.parse(codec.writeRequest(embed, target).body)).toMatchObject({ content: { parts } });
  });

  test("is refused without content, and for what is none", () => {
    expect(faultOf(() => readSingle({}))).toContain("content");
    expect(faultOf(() => readSingle({ content: { parts: [] } }))).toContain("content.parts");
    expect(faultOf(() => readSingle({ content: { parts: [{ functionCall: { name: "f" } }] } }))).toContain("content.parts[0]");
  });
});

describe("batchEmbedContents", () => {
  test("is one call for all its requests", () => {
    const requests = ["a", "b"].map((text) => ({ model: "models/m", content: content(text), outputDimensionality: 3 }));
    const embed = readBatch(...requests);
    expect(embed.inputs.map(({ input }) => input.value)).toEqual(["a", "b"]);
    expect(JSON.parse(codec.writeRequest(embed, target).body)).toEqual({ requests });
  });

  test("is refused where its requests differ in more than content", () => {
    const plain = { content: content("a") };
    expect(faultOf(() => readBatch({ ...plain, model: "models/m" }, { ...plain, model: "models/n" }))).toContain("requests[1].model");
    expect(faultOf(() => readBatch(plain, { ...plain, taskType: "CLUSTERING" }))).toContain("requests[1].taskType");
    expect(faultOf(() => readBatch(plain, { ...plain, title: "x" }))).toContain("requests[1].title");
    expect(faultOf(() => readBatch(plain, { ...plain, outputDimensionality: 2 }))).toContain("requests[1].outputDimensionality");
    expect(faultOf(() => readBatch(plain, { ...plain, newField: 2 }))).toContain("requests[1]");
    expect(faultOf(() => readBatch())).toContain("requests");
  });

  test("names the model itself where the path does not", () => {
    const body = parseJson(JSON.stringify({ requests: [{ model: "models/x", content: content("a") }] }));
    expect(batch.readRequest(body, {}).embed.model).toBe("x");
  });
});

describe("vectors", () => {
  const response = create(EmbedResponseSchema, {
    embeddings: [
      { index: 0, type: EmbeddingType.FLOAT, values: [0.5, -1] },
      { index: 1, type: EmbeddingType.FLOAT, values: [0.25, 0], inputTokens: 2, truncated: false },
    ],
    usage: create(UsageSchema, { inputTokens: 5 }),
    extrasJson: { gemini: '{"new":1}' },
  });

  test("are one embedding, or a list in the order of the requests, with the counts", () => {
    const usageMetadata = { promptTokenCount: 5, totalTokenCount: 5 };
    expect(JSON.parse(single.writeResponse(response))).toEqual({ embedding: { values: [0.5, -1] }, usageMetadata, new: 1 });
    const written = batch.writeResponse(response);
    expect(JSON.parse(written)).toEqual({
      embeddings: [{ values: [0.5, -1] }, { values: [0.25, 0], statistics: { tokenCount: 2, truncated: false } }],
      usageMetadata,
      new: 1,
    });
    const read = codec.readResponse(written, readBatch({ content: content("a") }, { content: content("b") }), "google");
    expect(read.embeddings.map(({ values }) => values)).toEqual([
      [0.5, -1],
      [0.25, 0],
    ]);
    expect(read.usage?.inputTokens).toBe(5);
  });
});

test.each([
  ["inputs[0]", "content", "requests[0].content"],
  ["inputs[1].parts.parts[2].image", "content.parts[2].image", "requests[1].content.parts[2].image"],
  ["task", "taskType", "requests[0].taskType"],
  ["dimensions", "outputDimensionality", "requests[0].outputDimensionality"],
])("%s in the client's words", (core, alone, together) => {
  expect(single.clientPath(core)).toBe(alone);
  expect(batch.clientPath(core)).toBe(together);
});
