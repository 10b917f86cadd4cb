import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { CountTokensResponseSchema } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { UsageBasis } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createGeminiCodec, geminiCountTokensDialect as dialect } from "../../../src/codecs/gemini/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { parseJson } from "../../../src/core/json.ts";
import { request, system, targetWith, user } from "./written.ts";

const counting = createGeminiCodec().counting;
if (counting === undefined) throw new Error("the API counts");
const contents = [{ role: "user", parts: [{ text: "hi" }] }];

describe("a client's count", () => {
  test("is of contents, or of a whole request", () => {
    const whole = {
      model: "models/m",
      contents,
      system_instruction: { parts: [{ text: "s" }] },
      tools: [{ functionDeclarations: [{ name: "f" }] }],
    };
    expect(dialect.readRequest(parseJson(JSON.stringify({ contents })), { model: "m" }).generate).toMatchObject({
      model: "m",
      messages: [{ role: Role.USER }],
    });
    const { generate: read, clientPath } = dialect.readRequest(parseJson(JSON.stringify({ generateContentRequest: whole })), {
      model: "m",
    });
    expect(read.messages.map(({ role }) => role)).toEqual([Role.SYSTEM, Role.USER]);
    expect(read.tools).toHaveLength(1);
    expect(["messages[0]", "messages[1].parts[0]", "sampling.top_p"].map((path) => clientPath?.(path))).toEqual([
      "generateContentRequest.systemInstruction",
      "generateContentRequest.contents[0].parts[0]",
      "generateContentRequest.generationConfig.topP",
    ]);
    expect(() => dialect.readRequest(parseJson('{"generate_content_request":{"contents":[{"role":5}]}}'), { model: "m" })).toThrow(
      "generateContentRequest.contents[0].role",
    );
    expect(() => dialect.readRequest({}, { model: "m" })).toThrow(GatewayError);
  });

  test("is answered with the total", () => {
    const counted = create(CountTokensResponseSchema, { inputTokens: 7, basis: UsageBasis.ESTIMATED });
    expect(dialect.writeResponse(counted)).toBe('{"totalTokens":7}');
    const more = create(CountTokensResponseSchema, {
      inputTokens: 7,
      cacheReadTokens: 0,
      extrasJson: { gemini: '{"promptTokensDetails":[]}' },
    });
    expect(JSON.parse(dialect.writeResponse(more))).toEqual({ totalTokens: 7, cachedContentTokenCount: 0, promptTokensDetails: [] });
  });
});

describe("an upstream's count", () => {
  test("is asked with all that the model reads, and nothing about how to answer", () => {
    const call = request({
      messages: [system("s"), user("hi")],
      tools: [{ tool: { case: "function", value: { name: "f" } } }],
      sampling: { temperature: 1 },
      reasoning: { budgetTokens: 5 },
    } as never);
    const { path, body } = counting.writeRequest(call, targetWith());
    expect(path).toBe("/models/gemini-x:countTokens");
    expect(JSON.parse(body)).toEqual({
      generateContentRequest: {
        model: "models/gemini-x",
        contents,
        systemInstruction: { parts: [{ text: "s" }] },
        tools: [{ functionDeclarations: [{ name: "f" }] }],
      },
    });
  });

  test("is read, with what is not modelled", () => {
    expect(counting.readResponse('{"totalTokens":31,"cachedContentTokenCount":4,"promptTokensDetails":[1]}', "google")).toMatchObject({
      inputTokens: 31,
      cacheReadTokens: 4,
      basis: UsageBasis.PROVIDER,
      extrasJson: { gemini: '{"promptTokensDetails":[1]}' },
    });
    expect(counting.readResponse('{"totalTokens":0}', "google").cacheReadTokens).toBeUndefined();
  });

  test.each(["{}", "[]", "null", "<html>", '{"totalTokens":"many"}', '{"error":{"code":500,"message":"m","status":"INTERNAL"}}'])(
    "that is %s is a failure",
    (body) => {
      expect(() => counting.readResponse(body, "google")).toThrow(GatewayError);
    },
  );
});
