/**
 * Same format on both sides: the official SDKs decode the same answer from an upstream's own bytes as from what the gateway
 * writes itself (design.md 4, rule 10). Every case runs through two gateways, one of which does not relay.
 */
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI } from "@google/genai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Gateway, startGateway } from "./gateway.ts";

let relaying: Gateway;
let writing: Gateway;

beforeAll(async () => {
  [relaying, writing] = await Promise.all([startGateway(), startGateway({ config: { facade: { relay: false } } })]);
});
afterAll(() => Promise.all([relaying?.close(), writing?.close()]));

interface Case {
  readonly name: string;
  readonly script: object;
  /** Further members of a chat completion request. */
  readonly chat?: object;
  readonly messages?: object;
  readonly responses?: object;
  /** Further members of `config`. */
  readonly gemini?: object;
  /** Formats that know it; all where absent. */
  readonly only?: readonly Format[];
  /** Whether the stream breaks. */
  readonly fails?: boolean;
  /** A fault that has no meaning in a whole answer. */
  readonly streamedOnly?: boolean;
}

const tools = {
  weather: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
  time: { type: "object", properties: { zone: { type: "string" } }, required: ["zone"] },
};
const withTools = {
  chat: { tools: Object.entries(tools).map(([name, parameters]) => ({ type: "function", function: { name, parameters } })) },
  messages: { tools: Object.entries(tools).map(([name, input_schema]) => ({ name, input_schema })) },
  responses: { tools: Object.entries(tools).map(([name, parameters]) => ({ type: "function", name, parameters, strict: false })) },
  gemini: {
    tools: [{ functionDeclarations: Object.entries(tools).map(([name, parametersJsonSchema]) => ({ name, parametersJsonSchema })) }],
  },
};
const thinking = { messages: { thinking: { type: "adaptive" } }, gemini: { thinkingConfig: { includeThoughts: true } } };
const said = { text: "Grüezi, 世界 🎉 and a little more." };
const both = {
  parallel: [
    { tool_call: { name: "weather", arguments: { city: "Zürich" } } },
    { tool_call: { name: "time", arguments: { zone: "CET" } } },
  ],
};

const cases: readonly Case[] = [
  { name: "text", script: { steps: [said] } },
  { name: "usage with cache reads", script: { steps: [said], usage: { input_tokens: 90, output_tokens: 33, cache_read_tokens: 60 } } },
  { name: "one call", script: { steps: [{ tool_call: { name: "time", arguments: {} } }] }, ...withTools },
  { name: "text and parallel calls", script: { steps: [said, both], delta_size: 1 }, ...withTools },
  { name: "reasoning", script: { steps: [{ reasoning: "They greet me." }, said] }, ...thinking },
  {
    name: "reasoning before calls",
    script: { steps: [{ reasoning: "Hm." }, both] },
    ...withTools,
    messages: { ...withTools.messages, ...thinking.messages },
  },
  {
    name: "two candidates",
    script: { candidates: [{ steps: [said] }, { steps: [{ text: "Another." }] }] },
    chat: { n: 2 },
    gemini: { candidateCount: 2 },
    only: ["chat", "gemini"],
  },
  {
    name: "citations",
    script: { steps: [{ text: "As Bern says.", citations: [{ url: "https://example.com/bern", title: "Bern", start: 3, end: 7 }] }] },
  },
  { name: "a refusal", script: { steps: [{ refusal: "I will not." }], finish: "refusal" } },
  { name: "a filter", script: { steps: [said], finish: "content_filter" } },
  { name: "length", script: { steps: [said], finish: "length" } },
  { name: "a stop text", script: { steps: [said], finish: "stop_sequence" }, messages: { stop_sequences: ["end"] } },
  {
    name: "log probabilities",
    script: { steps: [said] },
    chat: { logprobs: true, top_logprobs: 2 },
    gemini: { responseLogprobs: true, logprobs: 2 },
    only: ["chat", "gemini"],
  },
  { name: "an error record after content", script: { steps: [said, { fault: "error_event" }] }, fails: true },
  { name: "an error of the script after content", script: { steps: [said, { error: { status: 529, message: "too busy" } }] }, fails: true },
  { name: "no end mark", script: { steps: [said, { fault: "no_end" }] }, fails: true },
  { name: "a record that is no JSON", script: { steps: [said, { fault: "malformed" }, said] }, fails: true },
  { name: "unknown fields", script: { steps: [{ fault: "unknown_field" }, said] } },
  { name: "an unknown event", script: { steps: [said, { fault: "unknown_event" }, said] } },
  { name: "pings", script: { steps: [said, { fault: "ping_flood", count: 5 }, { text: " More." }] } },
  { name: "comments", script: { steps: [said, { fault: "comment_flood", count: 5 }, { text: " More." }] } },
  { name: "characters cut in two", script: { steps: [{ fault: "split_utf8" }, said] } },
  { name: "lines that end with CR", script: { steps: [{ fault: "cr" }, said] } },
  { name: "lines that end with CRLF, cut in two", script: { steps: [{ fault: "crlf_split" }, said] } },
  { name: "a byte order mark", script: { steps: [{ fault: "bom" }, said] } },
  { name: "NUL in comments", script: { steps: [{ fault: "nul" }, said] } },
  { name: "two end marks", script: { steps: [{ fault: "double_end" }, said] }, streamedOnly: true },
  {
    name: "content behind the end mark",
    script: { steps: [{ fault: "data_after_end" }, said] },
    only: ["chat", "messages", "responses"],
    streamedOnly: true,
  },
];

/** What a client made of an answer, without what is new in every call: ids and times. */
interface Decoded {
  readonly content: unknown;
  readonly finish: unknown;
  readonly usage: unknown;
  readonly failed: boolean;
}

type Ask = (gateway: Gateway, script: object, more: object, stream: boolean) => Promise<Decoded>;

const asks: Record<"chat" | "messages" | "responses" | "gemini", Ask> = {
  chat: askChat,
  messages: askMessages,
  responses: askResponses,
  gemini: askGemini,
};
type Format = keyof typeof asks;

const text = (script: object) => JSON.stringify({ sim_script: script });

async function askChat(gateway: Gateway, script: object, more: object, stream: boolean): Promise<Decoded> {
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
  const body = {
    model: "chat/gpt-4o",
    messages: [{ role: "user", content: text(script) }],
    ...more,
  } as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming;
  interface Folded {
    [member: string]: unknown;
    calls: { [member: string]: unknown }[];
  }
  const choices: Folded[] = [];
  let usage: unknown;
  let failed = false;
  const add = (choice: { index: number; finish_reason: unknown; logprobs?: unknown }, delta: object) => {
    const folded = (choices[choice.index] ??= { calls: [] });
    for (const [name, value] of Object.entries(delta)) {
      if (name === "tool_calls") {
        for (const [position, { index = position, id, type, function: fn }] of value.entries()) {
          const call = (folded.calls[index] ??= { hasId: id !== undefined && id !== "", type, name: fn.name, arguments: "" });
          call.arguments += fn.arguments ?? "";
        }
      } else if (typeof value === "string" && name !== "role") folded[name] = ((folded[name] as string | undefined) ?? "") + value;
      else if (Array.isArray(value) && value.length > 0) folded[name] = [...((folded[name] as unknown[] | undefined) ?? []), ...value];
    }
    const logprobs = (choice.logprobs as { content?: unknown[] } | null | undefined)?.content ?? [];
    if (logprobs.length > 0) folded.logprobs = [...((folded.logprobs as unknown[] | undefined) ?? []), ...logprobs];
    if (choice.finish_reason) folded.finish = choice.finish_reason;
  };
  try {
    if (stream) {
      const chunks = await client.chat.completions.create({ ...body, stream: true });
      for await (const chunk of chunks) {
        for (const choice of chunk.choices) add(choice, choice.delta);
        if ("usage" in chunk) usage = chunk.usage ?? "null";
      }
    } else {
      const whole = await client.chat.completions.create(body);
      for (const choice of whole.choices) add(choice, choice.message);
      usage = countsOf(whole.usage);
    }
  } catch (thrown) {
    if (!(thrown instanceof OpenAI.OpenAIError)) throw thrown;
    failed = true;
  }
  for (const choice of choices) for (const name of Object.keys(choice)) if (choice[name] === "") delete choice[name];
  return { content: choices, finish: choices.map(({ finish }) => finish), usage, failed };
}

async function askMessages(gateway: Gateway, script: object, more: object, stream: boolean): Promise<Decoded> {
  const client = new Anthropic({ baseURL: gateway.url, apiKey: "none", maxRetries: 0 });
  const body = {
    model: "claude/claude-opus-4-7",
    max_tokens: 4_096,
    messages: [{ role: "user", content: text(script) }],
    ...more,
  } as unknown as Anthropic.MessageCreateParamsNonStreaming;
  const seen: unknown[] = [];
  let last: Anthropic.Message | undefined;
  let failed = false;
  try {
    if (stream) {
      const events = client.messages.stream(body);
      events.on("text", (delta) => seen.push(delta));
      events.on("error", () => {});
      last = await events.finalMessage();
    } else last = await client.messages.create(body);
  } catch (thrown) {
    if (!(thrown instanceof Anthropic.AnthropicError)) throw thrown;
    failed = true;
  }
  const content = last?.content.map((block) => {
    const { id, signature, ...rest } = block as unknown as Record<string, unknown>;
    return { ...rest, hasId: id !== undefined, isSigned: typeof signature === "string" && signature !== "" };
  });
  const { stop_reason, stop_sequence, usage } = last ?? {};
  return { content: content ?? seen.join(""), finish: { stop_reason, stop_sequence }, usage: countsOf(usage), failed };
}

async function askGemini(gateway: Gateway, script: object, more: object, stream: boolean): Promise<Decoded> {
  const client = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: gateway.url } });
  const params = { model: "gem/gemini-3-pro", contents: [{ role: "user", parts: [{ text: text(script) }] }], config: more };
  const candidates: { parts: Record<string, unknown>[]; [member: string]: unknown }[] = [];
  let usage: unknown;
  let failed = false;
  try {
    const chunks = stream ? await client.models.generateContentStream(params) : [await client.models.generateContent(params)];
    for await (const chunk of chunks) {
      for (const candidate of chunk.candidates ?? []) {
        const folded = (candidates[candidate.index ?? 0] ??= { parts: [] });
        for (const part of candidate.content?.parts ?? []) {
          const { thoughtSignature, functionCall, ...rest } = part;
          const last = folded.parts.at(-1);
          if (typeof part.text === "string" && last?.text !== undefined && last.thought === part.thought) {
            last.text = `${last.text}${part.text}`;
            if (thoughtSignature !== undefined) last.isSigned = true;
          } else if (part.text !== "" || thoughtSignature !== undefined) {
            const call = functionCall === undefined ? {} : { call: { name: functionCall.name, args: functionCall.args ?? {} } };
            folded.parts.push({ ...rest, ...call, ...(thoughtSignature === undefined ? {} : { isSigned: true }) });
          }
        }
        const tokens = candidate.logprobsResult?.chosenCandidates ?? [];
        folded.tokens = [...((folded.tokens as unknown[] | undefined) ?? []), ...tokens];
        if (candidate.finishReason !== undefined) folded.finish = candidate.finishReason;
        if (candidate.groundingMetadata !== undefined) folded.grounding = candidate.groundingMetadata;
      }
      usage = countsOf(chunk.usageMetadata) ?? usage;
    }
  } catch {
    failed = true;
  }
  return { content: candidates, finish: candidates.map(({ finish }) => finish), usage, failed };
}

async function askResponses(gateway: Gateway, script: object, more: object, stream: boolean): Promise<Decoded> {
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
  const body = {
    model: "chat/gpt-5",
    input: text(script),
    store: false,
    ...more,
  } as unknown as OpenAI.Responses.ResponseCreateParamsNonStreaming;
  let last: OpenAI.Responses.Response | undefined;
  let failed = false;
  const deltas = new Map<string, string>();
  try {
    if (stream) {
      const events = await client.responses.create({ ...body, stream: true });
      for await (const event of events) {
        if ("delta" in event && typeof event.delta === "string") deltas.set(event.type, (deltas.get(event.type) ?? "") + event.delta);
        if ("response" in event) last = event.response;
      }
    } else last = await client.responses.create(body);
  } catch (thrown) {
    if (!(thrown instanceof OpenAI.OpenAIError)) throw thrown;
    failed = true;
  }
  if (last?.status === "failed") failed = true;
  const output = (failed ? [] : (last?.output ?? [])).map((item) => {
    const { id, call_id, encrypted_content, status, ...rest } = item as unknown as Record<string, unknown>;
    return { ...rest, hasIds: [typeof id, typeof call_id], isEncrypted: typeof encrypted_content === "string" && encrypted_content !== "" };
  });
  const finish = failed ? undefined : { status: last?.status, details: last?.incomplete_details ?? null };
  return { content: [output, [...deltas]], finish, usage: failed ? undefined : countsOf(last?.usage), failed };
}

/** Counts other than 0: the two sides may differ in which zeros they name, and in how they split the counts by kind of content. */
function countsOf(usage: object | null | undefined): unknown {
  if (usage === undefined || usage === null) return undefined;
  const counts = Object.entries(usage).flatMap(([name, value]) => {
    if (Array.isArray(value)) return [];
    const inner = typeof value === "object" && value !== null ? countsOf(value) : value;
    const isSaid = typeof inner === "number" ? inner !== 0 : inner !== undefined && inner !== null && typeof inner === "object";
    return isSaid ? [[name, inner] as const] : [];
  });
  return counts.length === 0 ? undefined : Object.fromEntries(counts);
}

for (const format of Object.keys(asks) as Format[]) {
  const mine = cases.filter(({ only }) => only === undefined || only.includes(format));
  describe.each(mine)(`${format}: $name`, ({ script, fails = false, streamedOnly = false, ...more }) => {
    test.each(streamedOnly ? [true] : [true, false])("streamed: %s", async (stream) => {
      const asked = [relaying, writing].map((gateway) => asks[format](gateway, script, more[format] ?? {}, stream));
      const [relayed, written] = await Promise.all(asked);
      expect(relayed).toEqual(written);
      if (stream || !fails) expect(relayed?.failed).toBe(fails);
    });
  });
}

describe("what tells the two ways apart", () => {
  const post = (gateway: Gateway, path: string, body: object) =>
    fetch(`${gateway.url}${path}`, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  const scripted = (...steps: object[]) => [{ role: "user", content: text({ steps }) }];

  test("keep-alives of the upstream reach the client where its bytes do", async () => {
    const body = { model: "chat/gpt-4o", stream: true, messages: scripted(said, { fault: "comment_flood", count: 3 }, { text: "." }) };
    const [relayed = "", written = ""] = await Promise.all(
      [relaying, writing].map(async (gateway) => (await post(gateway, "/v1/chat/completions", body)).text()),
    );
    expect(relayed.match(/^:/gm)).toHaveLength(3);
    expect(written).not.toMatch(/^:/m);
    for (const answer of [relayed, written]) {
      expect(answer).toMatch(/data: \[DONE\]\n\n$/);
      // Nobody asked for usage, so nobody sees that the gateway did.
      expect(answer).not.toContain('"usage"');
    }
  });

  test("usage that was not asked for is metered all the same, and what breaks off says so", async () => {
    relaying.reset();
    const steps = scripted({ text: "a" }, { fault: "error_event" });
    const broken = await (await post(relaying, "/v1/chat/completions", { model: "chat/gpt-4o", stream: true, messages: steps })).text();
    expect(broken).toContain('data: {"error":');
    expect(broken).not.toContain("[DONE]");
    await (await post(relaying, "/v1/chat/completions", { model: "chat/gpt-4o", stream: true, messages: scripted(said) })).text();
    expect(relaying.attempts().map(({ status, usage_basis }) => [status, usage_basis])).toEqual([
      ["error", "estimated"],
      ["success", "provider"],
    ]);
    await relaying.expectBillsAgree();
  });

  test("case 22: usage that was asked for and that the server leaves out is estimated, before the end mark, as the records have it", async () => {
    const messages = [{ role: "user", content: JSON.stringify({ sim_script: { steps: [{ fault: "usage_absent" }, said] } }) }];
    const body = { model: "chat/gpt-4o", stream: true, stream_options: { include_usage: true }, messages };
    const ends = [];
    for (const gateway of [relaying, writing]) {
      gateway.reset();
      const records = (await (await post(gateway, "/v1/chat/completions", body)).text()).trimEnd().split("\n\n");
      expect(records.at(-1)).toBe("data: [DONE]");
      const chunks = records.slice(0, -1).map((record) => JSON.parse(record.slice(6)));
      expect(new Set(chunks.map(({ id, model, created }) => `${id} ${model} ${created}`)).size).toBe(1);
      const { choices, usage } = chunks.at(-1);
      expect(choices).toEqual([]);
      await vi.waitFor(() => expect(gateway.attempts()).toHaveLength(1));
      const [{ usage_basis, input_tokens, output_tokens } = expect.fail("no record")] = gateway.attempts();
      expect(usage_basis).toBe("estimated");
      expect(usage).toMatchObject({ prompt_tokens: input_tokens, completion_tokens: output_tokens });
      ends.push(usage);
    }
    expect(ends[0]).toEqual(ends[1]);
    expect(ends[0].completion_tokens).toBeGreaterThan(0);
  });

  test("the request is the client's own but for model and stream options, unknown fields and big numbers included", async () => {
    relaying.reset();
    const sent = `{"messages":[{"content":"hello","role":"user"}],"x_big":12345678901234567890,"temperature":1.0,"user":"u-1","model":"chat/gpt-4o-lenient","stream":true}`;
    await (
      await fetch(`${relaying.url}/v1/chat/completions`, { method: "POST", headers: { "content-type": "application/json" }, body: sent })
    ).text();
    const [received] = relaying.sim.requests();
    expect(Object.keys(received?.body as object)).toEqual([
      "messages",
      "x_big",
      "temperature",
      "user",
      "model",
      "stream",
      "stream_options",
    ]);
    expect(received?.body).toMatchObject({ model: "gpt-4o-lenient", stream: true, stream_options: { include_usage: true } });
  });

  test("a request that must be written anew still gets the upstream's bytes", async () => {
    relaying.reset();
    const messages = scripted(said, { fault: "comment_flood", count: 2 }, { text: "." });
    const answer = await (
      await post(relaying, "/v1/chat/completions", { model: "chat/gpt-5", stream: true, max_tokens: 500, messages })
    ).text();
    expect(answer.match(/^:/gm)).toHaveLength(2);
    expect(relaying.sim.requests()[0]?.body).toMatchObject({ max_completion_tokens: 500 });
  });
});
