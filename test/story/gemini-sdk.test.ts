/** The official Google SDK, told nothing but the base URL, in front of every kind of upstream and of none. */
import { ApiError, type Content, FunctionCallingConfigMode, type GenerateContentResponse, GoogleGenAI } from "@google/genai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "./gateway.ts";

const key = "dragoman-story-key-0001";
const versions = ["v1", "v1beta", "v1beta1"] as const;
let gateway: Gateway;
let client: GoogleGenAI;

beforeAll(async () => {
  gateway = await startGateway({ config: { auth: { api_key: key } } });
  client = open("v1beta");
});
afterAll(() => gateway?.close());

function open(apiVersion: string, apiKey = key): GoogleGenAI {
  return new GoogleGenAI({ apiKey, httpOptions: { baseUrl: gateway.url, apiVersion } });
}

async function collect(stream: AsyncGenerator<GenerateContentResponse>) {
  let text = "";
  let last: GenerateContentResponse | undefined;
  for await (const chunk of stream) {
    text += chunk.text ?? "";
    last = chunk;
  }
  return { text, finish: last?.candidates?.[0]?.finishReason, usage: last?.usageMetadata };
}

const contents = "Grüezi, 世界";

describe.each(["sim/echo", "chat/sim-echo", "claude/sim-echo", "gem/sim-echo"])("%s", (model) => {
  test.each(versions)("under /%s, buffered and streamed agree", async (version) => {
    const models = open(version).models;
    const whole = await models.generateContent({ model, contents });
    const streamed = await collect(await models.generateContentStream({ model, contents }));
    expect(whole.text).toBe(contents);
    expect(streamed).toMatchObject({ text: contents, finish: "STOP" });
    expect(whole.candidates?.[0]?.finishReason).toBe("STOP");
    expect(streamed.usage?.candidatesTokenCount).toBe(whole.usageMetadata?.candidatesTokenCount);
  });
});

test.each(["sim/script", "chat/sim-script", "claude/sim-script", "gem/sim-script"])(
  "%s: a tool is called and its result answered",
  async (model) => {
    const turns = [{ steps: [{ tool_call: { name: "weather", arguments: { city: "Basel" } } }] }, { steps: [{ text: "It is sunny." }] }];
    const config = {
      tools: [{ functionDeclarations: [{ name: "weather", description: "Weather of a city", parametersJsonSchema: { type: "object" } }] }],
      toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.AUTO } },
    };
    const history: Content[] = [{ role: "user", parts: [{ text: JSON.stringify({ sim_script: { turns } }) }] }];
    const turn = await client.models.generateContent({ model, contents: history, config });
    expect(turn.functionCalls).toMatchObject([{ name: "weather", args: { city: "Basel" } }]);
    const said = turn.candidates?.[0]?.content;
    const [call] = turn.functionCalls ?? [];
    const response = { name: "weather", response: { output: "sunny" }, ...(call?.id === undefined ? {} : { id: call.id }) };
    history.push(said ?? {}, { role: "user", parts: [{ functionResponse: response }] });
    const streamed = await collect(await client.models.generateContentStream({ model, contents: history, config }));
    expect(streamed).toMatchObject({ text: "It is sunny.", finish: "STOP" });
  },
);

test("a stream without alt=sse is one JSON array", async () => {
  const response = await fetch(`${gateway.url}/v1beta/models/sim/echo:streamGenerateContent?key=${key}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ contents: [{ parts: [{ text: contents }] }] }),
  });
  expect(response.headers.get("content-type")).toMatch(/^application\/json/);
  const chunks = (await response.json()) as GenerateContentResponse[];
  expect(chunks.map(({ candidates }) => candidates?.[0]?.content?.parts?.[0]?.text ?? "").join("")).toBe(contents);
});

test("a model's name may be percent-encoded, slash and all", async () => {
  const response = await fetch(`${gateway.url}/v1/models/sim%2Fecho:generateContent`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-goog-api-key": key },
    body: JSON.stringify({ contents: [{ parts: [{ text: "hi" }] }] }),
  });
  expect(await response.json()).toMatchObject({ candidates: [{ content: { parts: [{ text: "hi" }] } }] });
});

test("tokens are counted", async () => {
  const { totalTokens } = await client.models.countTokens({ model: "sim/echo", contents });
  expect(totalTokens).toBeGreaterThan(0);
});

test("V1-2: embeddings, one and many, in the order of the inputs", async () => {
  const { embeddings: both = [] } = await client.models.embedContent({ model: "sim/embed", contents: ["one", "two"] });
  const { embeddings: second = [] } = await client.models.embedContent({ model: "sim/embed", contents: "two" });
  expect(both).toHaveLength(2);
  expect(both[1]?.values).toHaveLength(256);
  expect(both[1]?.values).toEqual(second[0]?.values);
  expect(both[0]?.values).not.toEqual(both[1]?.values);
});

test.each(versions)("models are listed in Google's shape under /%s, over pages, and retrieved", async (version) => {
  const { models } = open(version);
  const names: string[] = [];
  for await (const { name } of await models.list({ config: { pageSize: 2 } })) names.push(name ?? "");
  expect(names).toEqual(expect.arrayContaining(["models/sim/echo", "models/sim/embed"]));
  expect(new Set(names).size).toBe(names.length);
  expect(await models.get({ model: "sim/echo" })).toMatchObject({ name: "models/sim/echo" });
});

describe("what goes wrong becomes the SDK's own error", () => {
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    );

  test.each([
    ["a wrong key", 401, "UNAUTHENTICATED", () => open("v1beta", "wrong").models.generateContent({ model: "sim/echo", contents })],
    ["an unknown model", 404, "NOT_FOUND", () => client.models.generateContent({ model: "nobody/knows", contents })],
    ["an unknown model, streamed", 404, "NOT_FOUND", () => client.models.generateContentStream({ model: "nobody/knows", contents })],
    [
      "a wrong field",
      400,
      "INVALID_ARGUMENT",
      () => client.models.generateContent({ model: "sim/echo", contents: [{ role: "nobody", parts: [] }] }),
    ],
    ["a limited provider", 429, "RESOURCE_EXHAUSTED", () => client.models.generateContent({ model: "gem/sim-fault-rate-limit", contents })],
  ] as const)("%s", async (_, status, word, run) => {
    const error = await failure(run());
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).status).toBe(status);
    expect(JSON.parse((error as ApiError).message)).toMatchObject({ error: { code: status, status: word } });
  });

  test("an unknown verb, and a method that is not", async () => {
    for (const [path, method, status] of [
      ["/v1/models/m:generateNothing", "POST", 404],
      ["/v1beta/models/m:generateContent", "DELETE", 405],
    ] as const) {
      const response = await fetch(gateway.url + path, { method, headers: { "x-goog-api-key": key } });
      expect(response.status).toBe(status);
      expect(await response.json()).toMatchObject({ error: { code: status, message: expect.any(String), status: expect.any(String) } });
    }
  });
});
