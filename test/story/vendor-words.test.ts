/** What a vendor says of a failure, and when it wants to be asked again, reaches the client of every dialect. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { providersOf, upstreams } from "../matrix/upstreams.ts";
import { type Gateway, startGateway } from "./gateway.ts";

let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({ configure: (sim) => ({ providers: providersOf(sim) }) });
});

afterAll(() => gateway?.close());

const words = "tool_choice is not what it should be";
const failing = (error: object) => JSON.stringify({ sim_script: { steps: [{ error }] } });

const clients: Readonly<Record<string, (model: string, text: string) => { path: string; body: object }>> = {
  completions: (model, prompt) => ({ path: "/v1/completions", body: { model, prompt } }),
  chat: (model, content) => ({ path: "/v1/chat/completions", body: { model, messages: [{ role: "user", content }] } }),
  responses: (model, input) => ({ path: "/v1/responses", body: { model, input } }),
  messages: (model, content) => ({ path: "/v1/messages", body: { model, max_tokens: 100, messages: [{ role: "user", content }] } }),
  gemini: (model, text) => ({
    path: `/v1beta/models/${model}:generateContent`,
    body: { contents: [{ role: "user", parts: [{ text }] }] },
  }),
};

async function ask(client: string, provider: string, error: object) {
  const { path, body } = (clients[client] as (typeof clients)[string])(`${provider}/sim-script`, failing(error));
  const response = await fetch(gateway.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { response, text: await response.text() };
}

describe.each(Object.keys(clients))("to %s", (client) => {
  describe.each(upstreams.map(({ provider, name }) => [name, provider]))("from %s", (_name, provider) => {
    test("words of a 400", async () => {
      const { response, text } = await ask(client, provider, { status: 400, message: words });
      expect(response.status).toBe(400);
      expect(text).toContain(words);
    });

    test("the time of a 429", async () => {
      const { response, text } = await ask(client, provider, { status: 429, message: "slow down", retry_after: 7 });
      expect(response.status).toBe(429);
      // xAI's status has no place for a time; clients of a 429 get one all the same.
      expect(Number(response.headers.get("retry-after"))).toBe(provider === "grok" ? 1 : 7);
      if (client === "gemini" && provider !== "grok") expect(text).toContain('"retryDelay":"7s"');
    });
  });
});
