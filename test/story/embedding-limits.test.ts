/** N7: embeddings are counted in tokens, held to limits as chats are, and tried elsewhere while nothing of an answer was sent. */
import OpenAI, { type APIError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "./gateway.ts";

let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({
    config: {
      providers: { dead: { type: "openai", base_url: "http://127.0.0.1:9/v1", api_key: "sk-dead-0004" } },
      routes: {
        vectors: {
          strategy: "fallback",
          targets: [
            { provider: "dead", model: "sim-embed" },
            { provider: "chat", model: "sim-embed" },
          ],
        },
      },
      limits: {
        rules: [
          { subject: "model", id: "chat/sim-embed", input_tokens_per_minute: 20 },
          { subject: "route", id: "vectors", requests_per_minute: 2 },
        ],
      },
      local_embeddings: { enabled: false },
    },
  });
});
afterAll(() => gateway?.close());

const embed = (model: string, input: string | string[]) =>
  new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 }).embeddings.create({ model, input }).withResponse();

describe("N7: embeddings", () => {
  test("take as many tokens of a limit as the provider counted, and are refused when they are used up", async () => {
    gateway.reset();
    const { data, response } = await embed("chat/sim-embed", ["one two three", "four five six"]);
    expect(data.usage.prompt_tokens).toBe(gateway.sim.bill()[0]?.inputTokens);
    expect(data.usage.total_tokens).toBe(data.usage.prompt_tokens);
    expect(response.headers.get("x-ratelimit-limit-tokens")).toBe("20");

    const long = Array.from({ length: 60 }, (_, index) => `word${index}`).join(" ");
    const refused = await embed("chat/sim-embed", long).catch((error: APIError) => error);
    expect(refused).toMatchObject({ status: 429, type: "rate_limit" });
    expect(Number((refused as APIError).headers?.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(gateway.sim.bill()).toHaveLength(1);
  });

  test("are asked of the next target when the first fails, and count once against a limit of requests", async () => {
    gateway.reset();
    const { data, response } = await embed("vectors", "one");
    expect(data.data).toHaveLength(1);
    expect(response.headers.get("x-dragoman-used-fallback")).toBe("true");
    expect(gateway.attempts().map(({ status }) => status)).toEqual(["error", "success"]);
    expect(response.headers.get("x-ratelimit-remaining-requests")).toBe("1");
  });
});
