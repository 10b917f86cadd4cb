import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EmbedRequestSchema } from "../../../gen/dragoman/v1/embed_pb.ts";
import {
  createOpenAiEmbeddingsCodec,
  type OpenAiEmbeddingsQuirks,
  openAiEmbeddingsDialect,
} from "../../../src/codecs/openai-embeddings/index.ts";
import type { EmbedRelayCodec } from "../../../src/core/dialect.ts";
import { type JsonObject, parseJson } from "../../../src/core/json.ts";

const target = { id: "up/real", provider: "up", model: "real", traits: {} };

function relayOf(quirks: OpenAiEmbeddingsQuirks = {}): EmbedRelayCodec {
  const { relay } = createOpenAiEmbeddingsCodec(quirks);
  if (relay === undefined) throw new Error("there is no relay");
  return relay;
}

function wireOf(text: string) {
  const body = parseJson(text) as JsonObject;
  return { wire: { format: "openai-embeddings", body, includeUsage: false }, request: openAiEmbeddingsDialect.readRequest(body).embed };
}

function patch(text: string, quirks?: OpenAiEmbeddingsQuirks): string | undefined {
  const { wire, request } = wireOf(text);
  return relayOf(quirks).patchRequest(request, wire, target)?.body;
}

describe("patched request", () => {
  test("keeps all but the model and who the end user is", () => {
    const sent = '{"model":"alias","input":["a","é"],"dimensions":3,"user":"u-1","encoding_format":"float","truncate":"END"}';
    expect(patch(sent)).toBe('{"model":"real","input":["a","é"],"dimensions":3,"encoding_format":"float","truncate":"END"}');
    expect(patch(sent, { sendUser: true })).toContain('"user":"u-1"');
    expect(patch(sent, { encodingFormat: false })).toBe('{"model":"real","input":["a","é"],"dimensions":3,"truncate":"END"}');
  });

  test.each<[string, string, OpenAiEmbeddingsQuirks]>([
    ["dimensions", '{"model":"m","input":"a","dimensions":3}', { dimensions: false }],
    ["token ids", '{"model":"m","input":[1,2]}', { tokens: false }],
    ["base64", '{"model":"m","input":"a","encoding_format":"base64"}', { base64: false }],
    ["any encoding but its own", '{"model":"m","input":"a","encoding_format":"base64"}', { encodingFormat: false }],
  ])("is none for a server that does not take %s", (_, sent, quirks) => {
    expect(patch(sent, quirks)).toBeUndefined();
  });
});

const usage = '"usage":{"prompt_tokens":7,"total_tokens":7}';
const entry = (index: number, vector: string) => `{"object": "embedding","index":${index}, "embedding" : ${vector}}`;
const answer = (entries: readonly string[], rest = `"model":"real-é",${usage}`) =>
  `{"object":"list","data":[${entries.join(",")}],${rest}}`;

function tap(text: string | Buffer, encoding: "float" | "base64", inputs = 2, cuts: readonly number[] = []) {
  const { wire } = wireOf(JSON.stringify({ model: "m", input: "a", encoding_format: encoding }));
  const request = create(EmbedRequestSchema, { model: "m", inputs: Array.from({ length: inputs }, () => ({})) });
  const tapped = relayOf().tapAnswer(request, wire, "up");
  const bytes = Buffer.from(text as string);
  let from = 0;
  for (const cut of [...cuts, bytes.length].sort((left, right) => left - right)) {
    tapped.see(bytes.subarray(from, cut));
    from = cut;
  }
  return tapped.end();
}

describe("tapped answer", () => {
  test.each([
    ["float", answer([entry(0, "[0.1, -2e-3]"), entry(1, "[ 1,2 ]")])],
    ["base64", answer([entry(0, '"AAAA"'), entry(1, '"AACA"')])],
  ] as const)("says who answered and what was counted, however it is cut (%s)", (encoding, text) => {
    const bytes = Buffer.byteLength(text);
    fc.assert(
      fc.property(fc.array(fc.nat(bytes), { maxLength: 6 }), (cuts) => {
        const tapped = tap(text, encoding, 2, cuts);
        expect(tapped).toMatchObject({ provider: "up", requestedModel: "m", servedModel: "real-é", embeddings: [] });
        expect(tapped?.usage?.inputTokens).toBe(7);
      }),
    );
  });

  test.each([
    ["fewer vectors", answer([entry(0, "[1]")])],
    ["vectors in another order", answer([entry(1, "[1]"), entry(0, "[1]")])],
    ["one index twice", answer([entry(0, "[1]"), entry(0, "[1]")])],
    ["an empty vector", answer([entry(0, "[]"), entry(1, "[1]")])],
    ["another encoding", answer([entry(0, '"AAAA"'), entry(1, '"AAAA"')])],
    ["null for a vector", answer([entry(0, "null"), entry(1, "[1]")])],
    ["no counts", answer([entry(0, "[1]"), entry(1, "[1]")], '"model":"real"')],
    ["half a count", answer([entry(0, "[1]"), entry(1, "[1]")], '"model":"real","usage":{"prompt_tokens":7}')],
    ["no model", answer([entry(0, "[1]"), entry(1, "[1]")], usage)],
    ["an error", `{"error":{"message":"no"},"object":"list","data":[${entry(0, "[1]")},${entry(1, "[1]")}],"model":"real",${usage}}`],
    ["half an answer", answer([entry(0, "[1]"), entry(1, "[1]")]).slice(0, -3)],
    ["half a vector", answer([entry(0, "[1]"), entry(1, "[1")]).slice(0, 100)],
    ["something else", "<html>"],
  ])("with %s is to be read whole", (_, text) => {
    expect(tap(text, "float")).toBeUndefined();
  });

  test("with base64 of several lengths is to be read whole", () => {
    expect(tap(answer([entry(0, '"AAAA"'), entry(1, '"AAAAAAAA"')]), "base64")).toBeUndefined();
  });

  test("that is not UTF-8 around its vectors is to be read whole", () => {
    expect(tap(Buffer.from(answer([entry(0, "[1]"), entry(1, "[1]")]).replace("é", "\xe9"), "latin1"), "float")).toBeUndefined();
  });
});
