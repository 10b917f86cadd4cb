/** Signatures that clients cannot carry, or whose issuer they cannot say, on their way back (contract.md 1, rule 4). */
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "./gateway.ts";

let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway();
});
beforeEach(() => gateway.reset());
afterAll(() => gateway?.close());

const parameters = { type: "object", properties: { city: { type: "string" } } };
const tools = ["weather", "time"].map((name) => ({ type: "function", function: { name, parameters } })) as OpenAI.ChatCompletionTool[];
const turns = (steps: object[], id: string) => JSON.stringify({ sim_script: { id, turns: [{ steps }, { steps: [{ text: "Done." }] }] } });
const both = ["weather", "time"].map((name) => ({ tool_call: { name, arguments: { city: "Bern" } } }));

/** Two turns of a client that keeps role, content, and id, name and arguments of calls, and nothing else. */
async function talk(model: string, steps: object[], id: string, stream: boolean, more: object = {}): Promise<string | null> {
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
  const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: turns(steps, id) }];
  const ask = async () => {
    const body = { model, messages, tools, ...more };
    if (!stream) return (await client.chat.completions.create(body)).choices[0]?.message;
    return (await client.chat.completions.stream(body).finalChatCompletion()).choices[0]?.message;
  };
  const asked = await ask();
  const calls = (asked?.tool_calls ?? []).flatMap((call) => (call.type === "function" ? [call] : []));
  expect(calls).toHaveLength(2);
  messages.push({
    role: "assistant",
    content: asked?.content ?? null,
    tool_calls: calls.map((call) => ({
      id: call.id,
      type: "function",
      function: { name: call.function.name, arguments: call.function.arguments },
    })),
  });
  for (const call of calls) messages.push({ role: "tool", tool_call_id: call.id, content: "ok" });
  return (await ask())?.content ?? null;
}

describe.each([true, false])("through a chat client that drops what it does not know, streamed: %s", (stream) => {
  test("case 25: Gemini's signature returns on the first of two calls, and on that one only", async () => {
    expect(await talk("gem/gemini-3-pro", [{ reasoning: "Hm." }, { parallel: both }], `gem ${stream}`, stream)).toBe("Done.");
    const sent = gateway.sim.requests().at(-1)?.body as {
      contents: { role: string; parts: { functionCall?: object; thoughtSignature?: string }[] }[];
    };
    const model = sent.contents.find(({ role }) => role === "model");
    const signatures = model?.parts
      .filter(({ functionCall }) => functionCall !== undefined)
      .map(({ thoughtSignature }) => thoughtSignature);
    expect(signatures?.[0]).toMatch(/^U0lNM/);
    expect(signatures?.[1]).toBeUndefined();
  });

  test("case 23: Anthropic's thinking returns before the calls it led to", async () => {
    const answer = await talk("claude/claude-opus-4-7", [{ reasoning: "Hm." }, { parallel: both }], `claude ${stream}`, stream, {
      reasoning_effort: "high",
    });
    expect(answer).toBe("Done.");
    const sent = gateway.sim.requests().at(-1)?.body as {
      messages: { role: string; content: { type: string; signature?: string; thinking?: string }[] }[];
    };
    const content = sent.messages.find(({ role }) => role === "assistant")?.content ?? [];
    expect(content.map(({ type }) => type)).toEqual(["thinking", "tool_use", "tool_use"]);
    expect(content[0]?.signature).toMatch(/^U0lNM/);
  });
});

describe("a signature that the provider refuses", () => {
  const thinking = { type: "thinking" as const, thinking: "Hm.", signature: "bm90IHlvdXJz" };
  const ask = (headers: Record<string, string> = {}) =>
    new Anthropic({ baseURL: gateway.url, apiKey: "none", maxRetries: 0 }).messages
      .create(
        {
          model: "claude/claude-opus-4-7",
          max_tokens: 100,
          messages: [
            { role: "user", content: "hello" },
            { role: "assistant", content: [thinking, { type: "text", text: "Hello." }] },
            { role: "user", content: "again" },
          ],
        },
        { headers },
      )
      .withResponse();

  test("is left out of a second try, and the client is told", async () => {
    const { data, response } = await ask();
    expect(data.content).toMatchObject([{ type: "text", text: "again" }]);
    const sent = gateway.sim.requests().map(({ status, body }) => [status, JSON.stringify(body).includes("bm90IHlvdXJz")]);
    expect(sent).toEqual([
      [400, true],
      [200, false],
    ]);
    expect(response.headers.get("x-dragoman-translation")).toContain("dropped");
    expect(gateway.attempts()).toHaveLength(1);
    expect(gateway.attempts()[0]).toMatchObject({ status: "success", http_status: 200 });
  });

  test("in strict mode the refusal is the answer", async () => {
    await expect(ask({ "x-dragoman-strict": "true" })).rejects.toThrow(Anthropic.BadRequestError);
    expect(gateway.sim.requests()).toHaveLength(1);
  });
});
