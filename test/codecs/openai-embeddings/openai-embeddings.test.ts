import { create, type MessageInitShape } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EmbeddingType, EmbedRequestSchema, EmbedResponseSchema } from "../../../gen/dragoman/v1/embed_pb.ts";
import {
  createOpenAiEmbeddingsCodec,
  openAiEmbeddingsDialect as dialect,
  type OpenAiEmbeddingsQuirks,
} from "../../../src/codecs/openai-embeddings/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { type JsonValue, parseJson } from "../../../src/core/json.ts";

const codec = createOpenAiEmbeddingsCodec();
const read = (body: object) => dialect.readRequest(parseJson(JSON.stringify(body)));
const texts = (...values: string[]) =>
  create(EmbedRequestSchema, { model: "m", inputs: values.map((value) => ({ input: { case: "text", value } as const })) });
/** By hand, so that the codec does not prove itself. */
const base64 = (...values: number[]) => {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, index) => {
    bytes.writeFloatLE(value, index * 4);
  });
  return bytes.toString("base64");
};
const reply = (data: object[], more: object = {}) =>
  JSON.stringify({ object: "list", data, model: "served", usage: { prompt_tokens: 5, total_tokens: 5 }, ...more });

describe("dialect", () => {
  test("a text, texts, token ids, lists of token ids", () => {
    const inputs = (input: unknown) => read({ model: "m", input }).embed.inputs.map(({ input }) => input.value);
    expect(inputs("a")).toEqual(["a"]);
    expect(inputs(["b", "a"])).toEqual(["b", "a"]);
    expect(inputs([1, 2])).toMatchObject([{ ids: [1, 2] }]);
    expect(inputs([[1], [2, 3]])).toMatchObject([{ ids: [1] }, { ids: [2, 3] }]);
  });

  test("dimensions, encoding, user, and unknown fields", () => {
    const { embed, rendering } = read({
      model: "m",
      input: "a",
      dimensions: 256,
      encoding_format: "base64",
      user: "u",
      input_type: "query",
    });
    expect(embed).toMatchObject({
      dimensions: 256,
      attribution: { endUserId: "u" },
      extrasJson: { "openai-embeddings": '{"input_type":"query"}' },
    });
    expect(rendering).toBe("base64");
    expect(read({ model: "m", input: "a" })).toMatchObject({ rendering: "float" });
    expect(read({ model: "m", input: "a" }).embed.dimensions).toBeUndefined();
  });

  test.each<[string, JsonValue]>([
    ["model", { input: "a" }],
    ["model", { model: "", input: "a" }],
    ["input", { model: "m" }],
    ["input", { model: "m", input: "" }],
    ["input", { model: "m", input: [] }],
    ["input", { model: "m", input: 5 }],
    ["input[1]", { model: "m", input: ["a", ""] }],
    ["input[1]", { model: "m", input: ["a", 5] }],
    ["input[0]", { model: "m", input: [[]] }],
    ["input[1]", { model: "m", input: [1, "a"] }],
    ["input[0][1]", { model: "m", input: [[1, -1]] }],
    ["dimensions", { model: "m", input: "a", dimensions: 0 }],
    ["dimensions", { model: "m", input: "a", dimensions: "8" }],
    ["encoding_format", { model: "m", input: "a", encoding_format: "int8" }],
    ["user", { model: "m", input: "a", user: 1 }],
  ])("a wrong %s is named", (field, body) => {
    expect(() => dialect.readRequest(body)).toThrow(
      expect.objectContaining({ reason: "invalid_request", details: { fields: [expect.objectContaining({ field })] } }),
    );
  });

  test("case 40: float and base64 answers, in input order", () => {
    const embeddings = [
      [0.5, -2],
      [1, 3],
    ].map((values, index) => ({ index, type: EmbeddingType.FLOAT, values }));
    const response = create(EmbedResponseSchema, {
      embeddings,
      servedModel: "served",
      usage: { inputTokens: 4 },
      extrasJson: { "openai-embeddings": '{"cost":1}' },
    });
    expect(dialect.writeResponse(response, "float")).toBe(
      '{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-2]},{"object":"embedding","index":1,"embedding":[1,3]}],"model":"served","usage":{"prompt_tokens":4,"total_tokens":4},"cost":1}',
    );
    expect(JSON.parse(dialect.writeResponse(response, "base64")).data[0].embedding).toBe(base64(0.5, -2));
  });

  test.each([
    ["inputs[2].text", "input[2]"],
    ["inputs[2].tokens", "input[2]"],
    ["inputs", "input"],
    ["dimensions", "dimensions"],
    ["types[0]", "encoding_format"],
    ["attribution.end_user_id", "user"],
  ])("clientPath(%s) is %s", (core, client) => {
    expect(dialect.clientPath(core)).toBe(client);
  });
});

describe("upstream request", () => {
  const target = { id: "p/m", provider: "p", model: "up", traits: {} };
  const write = (init: MessageInitShape<typeof EmbedRequestSchema>, quirks: OpenAiEmbeddingsQuirks = {}) => {
    const { body, path, report } = createOpenAiEmbeddingsCodec(quirks).writeRequest(create(EmbedRequestSchema, init), target);
    return { body: JSON.parse(body), path, report };
  };

  test("case 40: asks for base64 where it is offered; token ids and unknown fields go through", () => {
    const request: MessageInitShape<typeof EmbedRequestSchema> = {
      inputs: [{ input: { case: "text", value: "a" } }, { input: { case: "tokens", value: { ids: [1, 2] } } as const }],
      dimensions: 8,
      extrasJson: { "openai-embeddings": '{"x":1,"model":"no"}' },
    };
    const { body, path } = write(request);
    expect(body).toEqual({ model: "up", input: ["a", [1, 2]], dimensions: 8, encoding_format: "base64", x: 1 });
    expect(path).toBe("/embeddings");
    expect(write(request, { base64: false }).body.encoding_format).toBe("float");
    expect(write(request, { encodingFormat: false }).body).not.toHaveProperty("encoding_format");
  });

  test("what cannot be carried is dropped with a note or refused", () => {
    const soft = write({
      inputs: [{ input: { case: "text", value: "a" } }],
      task: 1,
      truncation: 3,
      title: "t",
      extrasJson: { gemini: '{"g":1}' },
    });
    expect(soft.report.notes.map(({ path }) => path)).toEqual(["task", "truncation", "title", "g"]);
    const hard = write(
      {
        inputs: [
          { input: { case: "tokens", value: { ids: [1] } } },
          { input: { case: "parts", value: { parts: [{ part: { case: "image", value: {} } }] } } },
        ],
        dimensions: 8,
        types: [2],
      },
      { tokens: false, dimensions: false },
    );
    expect(() => hard.report.settle(false)).toThrow(
      expect.objectContaining({
        details: expect.objectContaining({
          fields: ["inputs[0].tokens", "inputs[1].parts", "dimensions", "types[0]"].map((field) => expect.objectContaining({ field })),
        }),
      }),
    );
  });
});

describe("upstream reply", () => {
  test("case 40: base64 and floats alike, sorted by index", () => {
    const response = codec.readResponse(
      reply(
        [
          { index: 1, embedding: [0.25, 2] },
          { index: 0, embedding: base64(0.5, -1) },
        ],
        { id: "e1", extra: 1 },
      ),
      texts("a", "b"),
      "acme",
    );
    expect(response.embeddings.map(({ index, values }) => ({ index, values }))).toEqual([
      { index: 0, values: [0.5, -1] },
      { index: 1, values: [0.25, 2] },
    ]);
    expect(response).toMatchObject({
      servedModel: "served",
      provider: "acme",
      dimensions: 2,
      upstreamId: "e1",
      usage: { inputTokens: 5 },
      extrasJson: { "openai-embeddings": '{"extra":1}' },
    });
  });

  test("usage that is not said stays absent", () => {
    expect(codec.readResponse(JSON.stringify({ data: [{ embedding: [1] }] }), texts("a"), "acme").usage).toBeUndefined();
  });

  test.each([
    ["no JSON", "<html>"],
    ["no object", "[]"],
    ["no list", "{}"],
    ["too few", reply([{ index: 0, embedding: [1] }])],
    ["too many", reply([0, 1, 2].map((index) => ({ index, embedding: [1] })))],
    ["one twice", reply([0, 0].map((index) => ({ index, embedding: [1] })))],
    ["another input", reply([0, 5].map((index) => ({ index, embedding: [1] })))],
    ["no vector", reply([{ index: 0, embedding: [1] }, { index: 1 }])],
    [
      "words",
      reply([
        { index: 0, embedding: [1] },
        { index: 1, embedding: ["x"] },
      ]),
    ],
    [
      "half a float",
      reply([
        { index: 0, embedding: base64(1) },
        { index: 1, embedding: "AAAAAAA=" },
      ]),
    ],
    [
      "no base64",
      reply([
        { index: 0, embedding: base64(1) },
        { index: 1, embedding: "????????" },
      ]),
    ],
    [
      "two lengths",
      reply([
        { index: 0, embedding: [1] },
        { index: 1, embedding: [1, 2] },
      ]),
    ],
    ["an error", '{"error":{"message":"oops","code":500}}'],
  ])("%s is the provider's failure", (_, body) => {
    let thrown: unknown;
    try {
      codec.readResponse(body, texts("a", "b"), "acme");
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(GatewayError);
    expect(thrown).toMatchObject({ reason: "provider_error", retryable: true, status: 502 });
  });

  test("vectors of another length than was asked for", () => {
    const request = create(EmbedRequestSchema, { model: "m", dimensions: 3, inputs: [{ input: { case: "text", value: "a" } }] });
    expect(() => codec.readResponse(reply([{ index: 0, embedding: [1, 2] }]), request, "acme")).toThrow(/has 2 values, not 3/);
  });

  test("an error status", () => {
    const error = codec.readError(429, '{"error":{"code":"insufficient_quota","message":"no"}}', () => undefined, "acme");
    expect(error).toMatchObject({ reason: "quota_exhausted", retryable: false });
  });
});

test("vectors survive both forms bit by bit", () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 40 }),
      fc.constantFrom<"float" | "base64">("float", "base64"),
      (values, encoding) => {
        const response = create(EmbedResponseSchema, { embeddings: [{ index: 0, type: EmbeddingType.FLOAT, values }] });
        const again = codec.readResponse(dialect.writeResponse(response, encoding), texts("a"), "acme");
        // JSON has no -0.
        const float32 = (list: readonly number[]) => Float32Array.from(list, (value) => value + 0);
        expect(float32(again.embeddings[0]?.values ?? [])).toEqual(float32(values));
      },
    ),
  );
});
