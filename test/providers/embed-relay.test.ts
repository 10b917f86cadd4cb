/** Vectors of a server that speaks the client's format reach it in the server's bytes, and written anew where they must. */
import { describe, expect, test } from "vitest";
import { openAiEmbeddingsDialect } from "../../src/codecs/openai-embeddings/index.ts";
import { type JsonObject, parseJson } from "../../src/core/json.ts";
import type { EmbedReply } from "../../src/core/provider.ts";
import { createProvider } from "../../src/providers/registry.ts";
import { startCall, targetOf } from "./calls.ts";
import { startServer } from "./local-server.ts";

const target = targetOf("up", "real");
const vectors = ["[0.25,-0.5]", "[1,2]"];
const answerOf = (order: readonly number[]) =>
  `{ "object":"list", "data":[${order.map((index) => `{"object":"embedding","index":${index},"embedding":${vectors[index]}}`).join(", ")}],
  "model":"real","usage":{"prompt_tokens":3,"total_tokens":3},"vendor":{"region":"x"}}`;

async function ask(answer: string, { format = "openai-embeddings" } = {}): Promise<{ reply: EmbedReply; sent: unknown; written: string }> {
  const server = await startServer((_, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    for (let at = 0; at < answer.length; at += 40) response.write(answer.slice(at, at + 40));
    response.end();
  });
  const provider = createProvider({ name: "up", type: "openai-compatible", baseUrl: server.origin }, { version: "1.0.0" });
  const body = parseJson('{"model":"alias","input":["a","b"],"encoding_format":"float","user":"u-1","vendor_flag":true}') as JsonObject;
  const { embed, rendering } = openAiEmbeddingsDialect.readRequest(body);
  try {
    const call = { ...startCall(), wire: { format, body, includeUsage: false } };
    const reply = (await provider.embed?.(embed, target, call)) as EmbedReply;
    return { reply, sent: JSON.parse(server.seen[0]?.body ?? ""), written: openAiEmbeddingsDialect.writeResponse(reply, rendering) };
  } finally {
    await provider.close();
  }
}

describe("embeddings for a client of the same format", () => {
  test("are relayed as they came, and counted", async () => {
    const { reply, sent } = await ask(answerOf([0, 1]));
    expect(Buffer.concat(reply.raw ?? []).toString()).toBe(answerOf([0, 1]));
    expect(reply).toMatchObject({ embeddings: [], servedModel: "real", usage: { inputTokens: 3 } });
    expect(sent).toEqual({ model: target.model, input: ["a", "b"], encoding_format: "float", vendor_flag: true });
  });

  test("are the same as those that are written", async () => {
    const { written } = await ask(answerOf([0, 1]), { format: "another" });
    expect(JSON.parse(written)).toEqual(JSON.parse(answerOf([0, 1])));
  });

  test("are put into order where the server does not", async () => {
    const { reply, written } = await ask(answerOf([1, 0]));
    expect(reply.raw).toBeUndefined();
    expect(JSON.parse(written)).toEqual(JSON.parse(answerOf([0, 1])));
  });

  test.each([
    ["an error", '{"error":{"message":"overloaded"}}'],
    ["too few", answerOf([0])],
    ["cut off", answerOf([0, 1]).slice(0, 100)],
  ])("fail where the answer is %s", async (_, answer) => {
    await expect(ask(answer)).rejects.toMatchObject({ reason: "provider_error" });
  });
});
