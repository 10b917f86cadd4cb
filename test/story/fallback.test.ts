/** ROUTE-1: what fails before the first content moves on to the next target; nothing does after it. */
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "./gateway.ts";

let gateway: Gateway;
const fallback = (model: string) => ({
  strategy: "fallback",
  targets: [
    { provider: "chat", model },
    { provider: "claude", model: "sim-echo" },
  ],
});

const moves = {
  "a 500": "sim-status-500",
  "a 503": "sim-status-503",
  "a 529": "sim-status-529",
  "a 429": "sim-fault-rate-limit",
  "an HTML page with status 502": "sim-fault-html-502",
  "an empty stream": "sim-fault-empty-stream",
  "a connection that is reset": "sim-fault-reset-before",
  "an error inside a 200": "sim-fault-error-in-200",
  "a page of HTML with status 200": "sim-fault-html-200",
  "a redirect": "sim-fault-redirect",
};
const stays = { "a 400": "sim-status-400", "a 401": "sim-status-401" };

beforeAll(async () => {
  gateway = await startGateway({
    config: {
      providers: { dead: { type: "openai", base_url: "http://127.0.0.1:9/v1", api_key: "sk-dead-0004" } },
      routes: {
        ...Object.fromEntries(Object.values({ ...moves, ...stays }).map((model) => [`route-${model}`, fallback(model)])),
        "route-mid": fallback("sim-script"),
        refused: {
          strategy: "fallback",
          targets: [
            { provider: "dead", model: "x" },
            { provider: "gem", model: "sim-echo" },
          ],
        },
        "all-fail": {
          strategy: "fallback",
          targets: [
            { provider: "chat", model: "sim-status-503" },
            { provider: "claude", model: "sim-status-503" },
          ],
        },
      },
      aliases: { "smart-default": "route-sim-status-500" },
    },
  });
});
afterAll(() => gateway?.close());

function ask(model: string, content: string, stream: boolean) {
  return new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 }).chat.completions
    .create({ model, messages: [{ role: "user", content }], stream } as OpenAI.ChatCompletionCreateParamsNonStreaming)
    .withResponse();
}

/** The SDK has read a buffered answer itself. */
async function leave(response: Response): Promise<void> {
  if (response.body?.locked === false) await response.body.cancel();
}

describe.each([
  ["buffered", false],
  ["streamed", true],
])("%s", (_, stream) => {
  test.each(Object.entries(moves))("%s: the next target answers, and says so", async (name, model) => {
    if (stream === false && name === "an empty stream") return expect(stream).toBe(false);
    gateway.reset();
    const { response } = await ask(`route-${model}`, `hello ${model} ${stream}`, stream);
    expect(response.headers.get("x-dragoman-used-fallback")).toBe("true");
    expect(response.headers.get("x-dragoman-provider")).toBe("claude");
    expect(gateway.attempts().map(({ target }) => target)[0]).toBe(`chat/${model}`);
    await leave(response);
  });

  test.each(Object.entries(stays))("%s: is the answer, no other target is asked", async (_, model) => {
    gateway.reset();
    await expect(ask(`route-${model}`, "hello", stream)).rejects.toMatchObject({ status: model.endsWith("401") ? 502 : 400 });
    expect(gateway.attempts()).toHaveLength(1);
  });

  test("a refused connection, and an alias of a route", async () => {
    const { response } = await ask("refused", "hello", stream);
    expect(response.headers.get("x-dragoman-provider")).toBe("gem");
    await leave(response);
    const aliased = await ask("smart-default", "hello", stream);
    expect(aliased.response.headers.get("x-dragoman-provider")).toBe("claude");
    await leave(aliased.response);
  });

  test("all failed: the last one's failure, with its attempts on record", async () => {
    gateway.reset();
    await expect(ask("all-fail", "hello", stream)).rejects.toMatchObject({ status: 502 });
    expect(gateway.attempts().map(({ status, target }) => [target, status])).toEqual([
      ["chat/sim-status-503", "error"],
      ["claude/sim-status-503", "error"],
    ]);
    await gateway.expectBillsAgree();
  });
});

test("after the first content no other target is tried: the stream ends visibly", async () => {
  gateway.reset();
  const script = JSON.stringify({ sim_script: { steps: [{ text: "half" }, { fault: "reset" }] } });
  const { data } = await ask("route-mid", script, true);
  const pieces: string[] = [];
  const reading = (async () => {
    for await (const chunk of data as unknown as AsyncIterable<OpenAI.ChatCompletionChunk>)
      pieces.push(chunk.choices[0]?.delta.content ?? "");
  })();
  await expect(reading).rejects.toThrow();
  expect(pieces.join("")).toBe("half");
  expect(gateway.attempts()).toHaveLength(1);
  await gateway.expectBillsAgree();
});
