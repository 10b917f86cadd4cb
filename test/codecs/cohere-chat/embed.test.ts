import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { EmbeddingType, EmbedRequestSchema, EmbedTask, Truncation } from "../../../gen/dragoman/v1/embed_pb.ts";
import { TranslationAction, UsageBasis } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createCohereEmbedCodec } from "../../../src/codecs/cohere-chat/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { media, refusedPaths, targetWith, text } from "./written.ts";

type Init = Omit<MessageInitShape<typeof EmbedRequestSchema>, "$typeName">;

const codec = createCohereEmbedCodec();
const request = (init: Init) =>
  create(EmbedRequestSchema, { model: "m", inputs: [{ input: { case: "text", value: "a" } }], ...init } as Init);

function write(init: Init = {}) {
  const written = codec.writeRequest(request(init), targetWith());
  const notes = written.report.notes.map(({ action, path }) => [action, path]);
  return { path: written.path, json: JSON.parse(written.body), notes, refused: refusedPaths(written) };
}

describe("requests", () => {
  test("texts, and the input type that the API requires", () => {
    const { path, json, notes } = write();
    expect(path).toBe("/v2/embed");
    expect(json).toEqual({ model: "command-x", texts: ["a"], input_type: "search_document", embedding_types: ["float"] });
    expect(notes).toEqual([[TranslationAction.DEFAULTED, "task"]]);
    expect(codec.maxInputs).toBe(96);
  });

  test("every setting", () => {
    const { json, notes } = write({
      task: EmbedTask.SEARCH_QUERY,
      dimensions: 512,
      truncation: Truncation.START,
      types: [EmbeddingType.INT8, EmbeddingType.FLOAT],
      extrasJson: { "cohere-chat": '{"priority":3}' },
    });
    expect(json).toMatchObject({
      input_type: "search_query",
      output_dimension: 512,
      truncate: "START",
      embedding_types: ["int8", "float"],
      priority: 3,
    });
    expect(notes).toEqual([]);
  });

  test("images and texts together are inputs of parts", () => {
    const image = media("image", { source: { case: "url", value: "https://example.com/i.png" } });
    const { json } = write({
      inputs: [{ input: { case: "text", value: "a" } }, { input: { case: "parts", value: { parts: [text("b"), image] as never } } }],
      task: EmbedTask.IMAGE,
    });
    expect(json.inputs).toEqual([
      { content: [{ type: "text", text: "a" }] },
      {
        content: [
          { type: "text", text: "b" },
          { type: "image_url", image_url: { url: "https://example.com/i.png" } },
        ],
      },
    ]);
    expect(json).not.toHaveProperty("texts");
  });

  test("what it cannot do", () => {
    expect(write({ inputs: [{ input: { case: "tokens", value: { ids: [1] } } }] }).refused).toEqual(["inputs[0].tokens"]);
    expect(write({ dimensions: 300 }).refused).toEqual(["dimensions"]);
    expect(write({ task: EmbedTask.SIMILARITY }).notes).toEqual([[TranslationAction.DROPPED, "task"]]);
    expect(write({ task: EmbedTask.CODE_QUERY }).notes).toEqual([[TranslationAction.COERCED, "task"]]);
    expect(write({ title: "t", task: EmbedTask.CLUSTERING }).notes).toEqual([[TranslationAction.DROPPED, "title"]]);
  });
});

describe("answers", () => {
  const two = request({
    inputs: [{ input: { case: "text", value: "a" } }, { input: { case: "text", value: "b" } }],
    types: [EmbeddingType.FLOAT, EmbeddingType.INT8],
  });
  const answer = (more: object = {}) =>
    JSON.stringify({
      id: "e",
      embeddings: {
        float: [
          [0.5, -1],
          [1, 2],
        ],
        int8: [
          [-128, 127],
          [0, 1],
        ],
      },
      texts: ["a", "b"],
      meta: { billed_units: { input_tokens: 9 }, api_version: { version: "2" } },
      ...more,
    });

  test("one vector per input and type, in input order, and what is billed", () => {
    const response = codec.readResponse(answer(), two, "cohere");
    expect(response.embeddings).toMatchObject([
      { index: 0, type: EmbeddingType.FLOAT, values: [0.5, -1] },
      { index: 0, type: EmbeddingType.INT8, packed: Uint8Array.from([128, 127]) },
      { index: 1, type: EmbeddingType.FLOAT, values: [1, 2] },
      { index: 1, type: EmbeddingType.INT8, packed: Uint8Array.from([0, 1]) },
    ]);
    expect(response).toMatchObject({ upstreamId: "e", dimensions: 2, usage: { inputTokens: 9, basis: UsageBasis.PROVIDER } });
    expect(response.usage?.outputTokens).toBeUndefined();
    expect(codec.readResponse(answer({ meta: {} }), two, "cohere").usage).toBeUndefined();
  });

  test.each([
    ["too few", { embeddings: { float: [[1, 2]], int8: [[1, 2]] } }],
    ["a type that is missing", { embeddings: { float: [[1], [2]] } }],
    ["no numbers", { embeddings: { float: [["x"], ["y"]], int8: [[1], [1]] } }],
    ["an error", { embeddings: undefined, message: "no" }],
  ])("%s is a failure of the provider", (_, more) => {
    expect(() => codec.readResponse(answer(more), two, "cohere")).toThrow(GatewayError);
  });
});
