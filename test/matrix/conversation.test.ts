/**
 * A conversation of four model turns with reasoning and tools, by every SDK against every upstream format: each answer goes
 * back the way the SDK itself writes history. The simulated vendors refuse history that they would refuse.
 */
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { type FunctionResponse, GoogleGenAI, type Part } from "@google/genai";
import { jsonSchema, type LanguageModel, type ModelMessage, stepCountIs, streamText, tool } from "ai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "../story/gateway.ts";
import type { DialectClient } from "./dialect.ts";
import { anthropic } from "./dialect-anthropic.ts";
import { chat } from "./dialect-chat.ts";
import { gemini } from "./dialect-gemini.ts";
import { responses } from "./dialect-responses.ts";
import { createRpcClient } from "./dialect-rpc.ts";
import type { Scene, SceneTool, SceneTurn } from "./scene.ts";
import { lastReceived, providerOf, providersOf, type Upstream, upstreams } from "./upstreams.ts";

const weather: SceneTool = {
  name: "get_weather",
  description: "Tells the weather.",
  schema: { type: "object", properties: { place: { type: "string" } }, required: ["place"], additionalProperties: false },
};
const skies: Readonly<Record<string, string>> = { Bern: "snow", Zürich: "fog" };

let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({ configure: (sim) => ({ providers: providersOf(sim) }) });
});

afterAll(() => gateway?.close());

/** Thinks, asks for the weather, thinks again, and says what it was told to say. */
function question(place: string, id: string): string {
  return JSON.stringify({
    sim_script: {
      id,
      turns: [
        { steps: [{ reasoning: `What is it like in ${place}?` }, { tool_call: { name: weather.name, arguments: { place } } }] },
        { steps: [{ reasoning: `Now I know about ${place}.` }, { text: `There is ${skies[place]} in ${place}.` }] },
      ],
    },
  });
}

const expected = ["There is snow in Bern.", "There is fog in Zürich."];
let asked = 0;

const rpc = createRpcClient(() => "openai-chat");

describe.each([chat, responses, anthropic, gemini, rpc])("$name", (dialect: DialectClient) => {
  test.each(upstreams)("four turns on $name", async (upstream: Upstream) => {
    const turns: SceneTurn[] = [];
    const ask = async () => {
      const scene: Scene = { effort: "low", maxTokens: 4000, tools: [weather], turns: [...turns] };
      const answer = await dialect.ask(
        { url: gateway.url, model: `${providerOf(upstream, dialect.name)}/sim-script`, stream: true, strict: false },
        scene,
      );
      expect(answer.failure).toBeUndefined();
      turns.push({ role: "replay", answer });
      return answer.candidates[0];
    };
    const id = `talk-${asked++}`;
    const said: string[] = [];
    for (const place of ["Bern", "Zürich"]) {
      turns.push({ role: "user", text: question(place, id) });
      const [call] = (await ask())?.calls ?? [];
      expect(call).toMatchObject({ name: weather.name, arguments: { place } });
      turns.push({ role: "tool", results: [{ id: call?.id ?? "", name: weather.name, text: skies[place] ?? "" }] });
      said.push((await ask())?.text ?? "");
    }
    expect(said).toEqual(expected);
    if (!upstream.lacks.has("signatures")) {
      const { signatures = [] } = lastReceived(upstream, gateway.sim);
      expect(signatures.length, "the reasoning of this turn goes back with its signature").toBeGreaterThan(0);
    }
  });
});

describe("@google/genai, whose chats keep every chunk of a stream as a message of its own", () => {
  test.each(upstreams)("parallel calls are answered on $name", async (upstream: Upstream) => {
    const calls = Object.keys(skies).map((place) => ({ tool_call: { name: weather.name, arguments: { place } } }));
    const turns = [
      { steps: [{ reasoning: "Both." }, { text: "Let me see." }, { parallel: calls }] },
      { steps: [{ text: "Snow and fog." }] },
    ];
    const chat = new GoogleGenAI({ apiKey: "none", httpOptions: { baseUrl: gateway.url } }).chats.create({
      model: `${providerOf(upstream, "gemini")}/sim-script`,
      config: { tools: [{ functionDeclarations: [{ name: weather.name, parametersJsonSchema: weather.schema }] }] },
    });
    const results: Part[] = [];
    for await (const { functionCalls = [] } of await chat.sendMessageStream({ message: JSON.stringify({ sim_script: { turns } }) }))
      for (const { id, name, args } of functionCalls)
        results.push({ functionResponse: { id, name, response: { output: skies[String(args?.place)] } } as FunctionResponse });
    expect(results).toHaveLength(2);
    expect((await chat.sendMessage({ message: results })).text).toBe("Snow and fog.");
  });
});

const aiModels: readonly { name: string; format?: string; model(url: string, id: string): LanguageModel }[] = [
  { name: "@ai-sdk/openai", format: "openai-responses", model: (url, id) => createOpenAI({ baseURL: `${url}/v1`, apiKey: "none" })(id) },
  {
    name: "@ai-sdk/openai-compatible",
    model: (url, id) => createOpenAICompatible({ name: "gateway", baseURL: `${url}/v1`, apiKey: "none" })(id),
  },
  { name: "@ai-sdk/anthropic", model: (url, id) => createAnthropic({ baseURL: `${url}/v1`, apiKey: "none" })(id) },
  { name: "@ai-sdk/google", model: (url, id) => createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: "none" })(id) },
];

describe.each(aiModels)("ai with $name", ({ format = "", model }) => {
  test.each(upstreams)("four turns on $name", async (upstream: Upstream) => {
    const messages: ModelMessage[] = [];
    const said: string[] = [];
    const id = `talk-${asked++}`;
    for (const place of ["Bern", "Zürich"]) {
      messages.push({ role: "user", content: question(place, id) });
      const failures: unknown[] = [];
      const run = streamText({
        model: model(gateway.url, `${providerOf(upstream, format)}/sim-script`),
        messages,
        maxRetries: 0,
        maxOutputTokens: 4000,
        reasoning: "low",
        tools: {
          [weather.name]: tool({
            description: weather.description,
            inputSchema: jsonSchema<{ place: string }>(weather.schema),
            execute: async ({ place: asked }) => skies[asked] ?? "nothing",
          }),
        },
        stopWhen: stepCountIs(3),
        onError: ({ error }) => void failures.push(error),
      });
      said.push(await Promise.resolve(run.text).catch(() => ""));
      expect(failures.map(String).join("\n")).toBe("");
      messages.push(...(await run.response).messages);
    }
    expect(said).toEqual(expected);
  });
});
