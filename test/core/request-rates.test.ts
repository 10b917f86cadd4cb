import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type GenerateRequest, GenerateRequestSchema, Modality } from "../../gen/dragoman/v1/generate_pb.ts";
import { ratesOfRequest } from "../../src/core/request-rates.ts";

const text = { case: "text" as const, value: "x" };
const media = { mimeType: "a/b", source: { case: "url" as const, value: "https://example.test/x" } };
const message = (...parts: object[]) => ({ messages: [{ parts }] });

test.each<[string, object, string[]]>([
  ["plain text", message({ part: text }), []],
  ["a short marker on a part", message({ part: text, cache: { ttlSeconds: 300 } }), ["cache_write"]],
  ["a marker without a lifetime on a tool", { tools: [{ cache: {} }] }, ["cache_write"]],
  ["an hour for the whole prompt", { cache: { ttlSeconds: 3_600 } }, ["cache_write", "cache_write_1h"]],
  ["sound", message({ part: { case: "audio", value: media } }), ["audio_input"]],
  [
    "a picture in a tool's result",
    message({ part: { case: "toolResult", value: { content: [{ part: { case: "image", value: media } }] } } }),
    ["image_input"],
  ],
  ["speech as the answer", { outputFormat: { modalities: [Modality.TEXT, Modality.AUDIO] } }, ["audio_output"]],
])("%s", (_, request, rates) => {
  expect(ratesOfRequest(create(GenerateRequestSchema, request as GenerateRequest)).sort()).toEqual([...rates, "reasoning"].sort());
});
