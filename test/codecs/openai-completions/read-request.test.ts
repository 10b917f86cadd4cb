import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { isChatBody, openAiCompletionsDialect, readCompletionRequests } from "../../../src/codecs/openai-completions/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { type JsonValue, jsonText, parseJson } from "../../../src/core/json.ts";

const read = (body: object) => openAiCompletionsDialect.readRequest(parseJson(JSON.stringify({ model: "m", prompt: "Say hi", ...body })));

describe("what is read", () => {
  test("a prompt is what a user says; what is absent stays absent", () => {
    const { generate, stream, includeUsage } = read({});
    expect(generate).toMatchObject({ model: "m", messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: "Say hi" } }] }] });
    expect(generate.sampling).toBeUndefined();
    expect(generate.extrasJson).toEqual({});
    expect({ stream, includeUsage }).toEqual({ stream: undefined, includeUsage: false });
  });

  test("every setting", () => {
    const { generate, stream, includeUsage } = read({
      max_tokens: 5,
      temperature: 0,
      top_p: 0.5,
      n: 2,
      stop: ["a", "b"],
      seed: 9007199254740991,
      frequency_penalty: -1,
      presence_penalty: 1,
      logit_bias: { "50256": -100 },
      logprobs: 3,
      user: "u",
      best_of: 2,
      suffix: "",
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(generate.sampling).toMatchObject({
      maxOutputTokens: 5,
      temperature: 0,
      topP: 0.5,
      candidateCount: 2,
      stop: ["a", "b"],
      seed: 9007199254740991n,
      frequencyPenalty: -1,
      presencePenalty: 1,
      logitBias: { 50256: -100 },
      logprobs: true,
      topLogprobs: 3,
    });
    expect(generate.attribution?.endUserId).toBe("u");
    expect({ stream, includeUsage }).toEqual({ stream: true, includeUsage: true });
  });

  test("no alternatives are asked for by 0, and unknown members are kept", () => {
    const { generate } = read({ logprobs: 0, guided: [1, { a: 2 }] });
    expect(generate.sampling).toMatchObject({ logprobs: true });
    expect(generate.sampling?.topLogprobs).toBeUndefined();
    expect(generate.extrasJson).toEqual({ "openai-completions": '{"guided":[1,{"a":2}]}' });
  });

  test("each of several prompts is a request of its own, with its own place", () => {
    const body = parseJson('{"model":"m","prompt":["a","b"],"n":2}');
    const { each, answer } = readCompletionRequests(body);
    expect(each.map(({ generate }) => generate.messages[0]?.parts[0]?.part.value)).toEqual(["a", "b"]);
    expect(each[1]?.clientPath?.("messages[0].parts[0]")).toBe("prompt[1]");
    expect(answer.generate.model).toBe("m");
  });

  test("a body with messages is a chat", () => {
    expect(isChatBody(parseJson('{"model":"m","messages":[]}'))).toBe(true);
    expect(isChatBody(parseJson('{"model":"m","messages":[],"prompt":"a"}'))).toBe(false);
    expect(isChatBody(parseJson('{"model":"m","prompt":"a"}'))).toBe(false);
    expect(isChatBody(parseJson("[]"))).toBe(false);
  });
});

describe("what is refused, and where", () => {
  test.each<[object, string]>([
    [{ prompt: null }, "prompt"],
    [{ prompt: "" }, "prompt"],
    [{ prompt: [] }, "prompt"],
    [{ prompt: [1, 2, 3] }, "prompt"],
    [{ prompt: [[1, 2], [3]] }, "prompt"],
    [{ prompt: ["a", ""] }, "prompt[1]"],
    [{ prompt: ["a", true] }, "prompt[1]"],
    [{ prompt: ["a", "b"] }, "prompt"],
    [{ prompt: ["a", "b"], stream: true }, "prompt"],
    [{ prompt: Array.from({ length: 129 }, () => "a") }, "prompt"],
    [{ suffix: "end" }, "suffix"],
    [{ best_of: 3 }, "best_of"],
    [{ n: 2, best_of: 3 }, "best_of"],
    [{ echo: true, logprobs: 1 }, "echo"],
    [{ logprobs: true }, "logprobs"],
    [{ logprobs: 21 }, "logprobs"],
    [{ n: 0 }, "n"],
    [{ stop: "" }, "stop"],
    [{ stop: ["a", ""] }, "stop[1]"],
    [{ logit_bias: { x: 1 } }, "logit_bias.x"],
    [{ model: "" }, "model"],
    [{ max_tokens: "5" }, "max_tokens"],
  ])("%j", (body, field) => {
    const thrown = (() => {
      try {
        return read(body);
      } catch (error) {
        return error;
      }
    })();
    expect(thrown).toMatchObject({ reason: "invalid_request", status: 400, details: { fields: [{ field }] } });
  });

  test("whatever the body, it is read or refused as invalid, and left as it is", () => {
    const names = [
      "model",
      "prompt",
      "n",
      "stop",
      "echo",
      "logprobs",
      "suffix",
      "best_of",
      "stream",
      "stream_options",
      "seed",
      "user",
      "x",
    ];
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), fc.oneof(fc.string(), fc.jsonValue({ maxDepth: 2 }))), (body) => {
        const value = parseJson(JSON.stringify(body)) as JsonValue;
        const before = jsonText(value);
        try {
          const { each } = readCompletionRequests(value);
          expect(each.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error).toBeInstanceOf(GatewayError);
          expect(error).toMatchObject({ reason: "invalid_request" });
        }
        expect(jsonText(value)).toBe(before);
      }),
      { numRuns: 400 },
    );
  });
});

test("places in the client's words", () => {
  const { clientPath } = openAiCompletionsDialect;
  expect(clientPath("messages[0].parts[0]")).toBe("prompt");
  expect(clientPath("sampling.max_output_tokens")).toBe("max_tokens");
  expect(clientPath("sampling.top_logprobs")).toBe("logprobs");
  expect(clientPath("sampling.top_p")).toBe("top_p");
  expect(clientPath("sampling.stop[1]")).toBe("stop[1]");
  expect(clientPath("attribution.end_user_id")).toBe("user");
  expect(clientPath("guided")).toBe("guided");
});
