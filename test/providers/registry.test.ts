import { create } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import { EmbedRequestSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import type { Provider } from "../../src/core/provider.ts";
import { Secret } from "../../src/core/secret.ts";
import { compatibleVendors } from "../../src/providers/compatible-vendors.ts";
import { createProvider, type ProviderSettings, providerTypes, settingsFromEnvironment } from "../../src/providers/registry.ts";
import { ask, startCall, targetOf } from "./calls.ts";
import { type Answer, json, type SeenRequest, startServer } from "./local-server.ts";

const key = "key-0123456789abcdef";

/** What a vendor's server would see of one call, the model being `m1`. */
async function see(
  settings: Omit<ProviderSettings, "name">,
  path: string,
  run: (provider: Provider) => unknown,
  answer?: Answer,
): Promise<SeenRequest> {
  const server = await startServer(answer ?? ((_request, response) => json(response, { error: { message: "no" } }, 400)));
  const provider = createProvider({ name: "p", apiKey: new Secret(key), ...settings, baseUrl: server.origin + path }, { version: "1.2.3" });
  onTestFinished(() => provider.close());
  await Promise.resolve(run(provider)).catch(() => {});
  const [seen] = server.seen;
  if (seen === undefined) throw new Error("no request was sent");
  return seen;
}

async function generate(provider: Provider): Promise<void> {
  for await (const _ of provider.generate?.(ask("hi"), targetOf("p", "m1"), startCall()) ?? []);
}

function embed(provider: Provider): unknown {
  const request = create(EmbedRequestSchema, { model: "m1", inputs: [{ input: { case: "text", value: "hi" } }] });
  return provider.embed?.(request, targetOf("p", "m1"), startCall());
}

const list = (provider: Provider) => provider.listModels?.(new AbortController().signal);

describe("every row of the compatible vendors", () => {
  test("there are more than twenty, each named once", () => {
    expect(compatibleVendors.length).toBeGreaterThan(20);
    expect(new Set(compatibleVendors.map(({ type }) => type)).size).toBe(compatibleVendors.length);
  });

  test.each(compatibleVendors.map((vendor) => [vendor.type, vendor] as const))(
    "%s asks at the right place with its key",
    async (type, vendor) => {
      const prefix = vendor.baseUrl === undefined ? "/v1" : new URL(vendor.baseUrl).pathname.replace(/\/$/, "");
      const chat = await see({ type }, prefix, generate);
      expect(chat).toMatchObject({
        method: "POST",
        url: `${prefix}/chat/completions`,
        headers: { authorization: `Bearer ${key}`, "user-agent": "dragoman/1.2.3" },
      });
      expect(JSON.parse(chat.body)).toMatchObject({ model: "m1", stream: true, messages: [{ role: "user" }] });
      if (vendor.embeddings !== undefined)
        expect(await see({ type }, prefix, embed)).toMatchObject({
          url: `${prefix}/embeddings`,
          headers: { authorization: `Bearer ${key}` },
        });
      if (vendor.listPath !== null) {
        expect(await see({ type }, prefix, list)).toMatchObject({
          method: "GET",
          url: `${prefix}/models`,
          headers: { authorization: `Bearer ${key}` },
        });
      }
    },
  );

  test.each(
    compatibleVendors
      .filter(({ baseUrl, local }) => baseUrl !== undefined && local !== true)
      .map(({ type, baseUrl }) => [type, baseUrl ?? ""]),
  )("%s has an https address that must not lead inside", async (type, baseUrl) => {
    const asked: string[] = [];
    const provider = createProvider(
      { name: type, apiKey: new Secret(key) },
      {
        version: "0",
        resolve: (hostname, done) => {
          asked.push(hostname);
          done(null, [{ address: "10.0.0.1", family: 4 }]);
        },
      },
    );
    onTestFinished(() => provider.close());
    await expect(generate(provider)).rejects.toMatchObject({
      reason: "provider_error",
      message: expect.stringContaining("is not allowed"),
    });
    expect(new URL(baseUrl).protocol).toBe("https:");
    expect(asked).toEqual([new URL(baseUrl).hostname]);
  });
});

describe("vendors of their own", () => {
  test("openai", async () => {
    const chat = await see({ type: "openai" }, "/v1", generate);
    expect(chat).toMatchObject({ url: "/v1/chat/completions", headers: { authorization: `Bearer ${key}` } });
    expect(await see({ type: "openai" }, "/v1", embed)).toMatchObject({ url: "/v1/embeddings" });
    expect(await see({ type: "openai" }, "/v1", list)).toMatchObject({ url: "/v1/models" });
  });

  test.each(["", "/", "/v1", "/v1/"])("anthropic with the base path %j", async (path) => {
    const chat = await see({ type: "anthropic" }, path, generate);
    expect(chat).toMatchObject({ url: "/v1/messages", headers: { "x-api-key": key, "anthropic-version": "2023-06-01" } });
    expect(chat.headers.authorization).toBeUndefined();
  });

  test("anthropic: betas of the configuration, and the list page by page", async () => {
    const settings = { type: "anthropic", headers: { "anthropic-beta": "one" } };
    expect((await see(settings, "/v1", generate)).headers["anthropic-beta"]).toContain("one");
    const server = await startServer(({ url }, response) =>
      url.includes("after_id")
        ? json(response, { data: [{ id: "claude-b", created_at: "1970-01-01T00:00:00Z" }], has_more: false, last_id: "claude-b" })
        : json(response, {
            data: [
              {
                id: "claude-a",
                display_name: "A",
                created_at: "2025-02-19T00:00:00Z",
                max_input_tokens: 200_000,
                max_tokens: 64_000,
                capabilities: { thinking: { supported: true }, image_input: { supported: true }, citations: { supported: false } },
              },
              { id: "claude-old", lifecycle: "retired" },
            ],
            has_more: true,
            last_id: "claude-old",
          }),
    );
    const provider = createProvider({ name: "anthropic", apiKey: new Secret(key), baseUrl: server.origin }, { version: "0" });
    onTestFinished(() => provider.close());
    const models = await provider.listModels?.(new AbortController().signal);
    expect(models?.map(({ id }) => id)).toEqual(["claude-a", "claude-b"]);
    expect(models?.[0]).toMatchObject({
      displayName: "A",
      maxInputTokens: 200_000,
      maxOutputTokens: 64_000,
      createdAt: { seconds: 1_739_923_200n },
    });
    expect(models?.[1]?.createdAt).toBeUndefined();
    expect(server.seen.map(({ url }) => url)).toEqual(["/v1/models?limit=1000", "/v1/models?limit=1000&after_id=claude-old"]);
  });

  test.each(["", "/v1beta"])("gemini with the base path %j", async (path) => {
    const chat = await see({ type: "gemini" }, path, generate);
    expect(chat.url).toBe("/v1beta/models/m1:streamGenerateContent?alt=sse");
    expect(chat.headers).toMatchObject({ "x-goog-api-key": key });
    expect((await see({ type: "gemini" }, path, embed)).url).toMatch(/^\/v1beta\/models\/m1:(?:batchEmbedContents|embedContent)$/);
  });

  test("gemini's list: prefix stripped, kinds by method", async () => {
    const server = await startServer((_request, response) =>
      json(response, {
        models: [
          {
            name: "models/gemini-2.5-pro",
            displayName: "Gemini 2.5 Pro",
            inputTokenLimit: 1_048_576,
            outputTokenLimit: 65_536,
            supportedGenerationMethods: ["generateContent", "countTokens"],
          },
          { name: "models/gemini-embedding-001", inputTokenLimit: 2_048, supportedGenerationMethods: ["embedContent"] },
        ],
      }),
    );
    const provider = createProvider({ name: "gemini", apiKey: new Secret(key), baseUrl: server.origin }, { version: "0" });
    onTestFinished(() => provider.close());
    expect(await provider.listModels?.(new AbortController().signal)).toMatchObject([
      { id: "gemini-2.5-pro", displayName: "Gemini 2.5 Pro", maxInputTokens: 1_048_576, maxOutputTokens: 65_536, kinds: [1] },
      { id: "gemini-embedding-001", kinds: [2] },
    ]);
    expect(server.seen[0]?.url).toBe("/v1beta/models?pageSize=1000");
  });

  test.each([
    [undefined, "", "/openai/v1/chat/completions"],
    ["v1", "/openai/v1", "/openai/v1/chat/completions"],
    ["preview", "/openai", "/openai/v1/chat/completions?api-version=preview"],
    ["2024-10-21", "", "/openai/deployments/m1/chat/completions?api-version=2024-10-21"],
  ])("azure-openai with api_version %s", async (apiVersion, path, url) => {
    const chat = await see({ type: "azure-openai", apiVersion }, path, generate);
    expect(chat.url).toBe(url);
    expect(chat.headers).toMatchObject({ "api-key": key });
    expect(chat.headers.authorization).toBeUndefined();
    expect(JSON.parse(chat.body)).toMatchObject({ model: "m1" });
  });

  test("X14: a deployment's name cannot leave its path", async () => {
    const odd = async (provider: Provider) => {
      for await (const _ of provider.generate?.(ask("hi"), targetOf("p", "../../x?y"), startCall()) ?? []);
    };
    expect((await see({ type: "azure-openai", apiVersion: "2024-10-21" }, "", odd)).url).toBe(
      "/openai/deployments/..%2F..%2Fx%3Fy/chat/completions?api-version=2024-10-21",
    );
  });
});

describe("what is known of models", () => {
  const known = (type: string, model: string) => {
    const provider = createProvider({ name: type, apiKey: new Secret(key) }, { version: "0" });
    onTestFinished(() => provider.close());
    return provider.traits(model);
  };

  test.each([
    ["anthropic", "claude-opus-4-7", { sampling: false, reasoning: "adaptive", prefill: false, maxOutputTokens: 128_000 }],
    ["anthropic", "claude-opus-4-1-20250805", { reasoning: "budget", maxOutputTokens: 32_000, prefill: true }],
    ["anthropic", "claude-sonnet-4-5", { reasoning: "budget", maxOutputTokens: 64_000 }],
    ["anthropic", "claude-3-5-haiku-latest", { reasoning: "none", maxOutputTokens: 8_192 }],
    ["openai", "o3-mini", { sampling: false, reasoning: "effort" }],
    ["openai", "gpt-4o-2024-08-06", { reasoning: "none", maxOutputTokens: 16_384 }],
    ["openai", "gpt-5-mini", { sampling: false, reasoning: "effort" }],
    ["openai", "gpt-5-chat-latest", { sampling: true, reasoning: "none" }],
    ["openai", "text-embedding-3-large", { embeddingDimensions: 3_072 }],
    ["gemini", "gemini-2.5-flash", { reasoning: "budget" }],
    ["gemini", "gemini-3-pro-preview", { reasoning: "effort" }],
    ["mistral", "mistral-embed", { embeddingDimensions: 1_024 }],
  ])("%s %s", (type, model, traits) => {
    expect(known(type, model)).toMatchObject(traits);
  });

  test("nothing is claimed of an unknown model", () => {
    expect(known("openai", "my-model")).toEqual({});
    expect(known("openai", "constructor")).toEqual({});
  });

  test("a bare name belongs to one vendor", () => {
    const claimants = (model: string) =>
      [
        "openai",
        "anthropic",
        "gemini",
        "mistral",
        "deepseek",
        "xai",
        "perplexity",
        "moonshot",
        "zai",
        "cohere",
        "groq",
        "openrouter",
      ].filter((type) => {
        const provider = createProvider({ name: type, apiKey: new Secret(key) }, { version: "0" });
        onTestFinished(() => provider.close());
        return provider.claims?.(model) === true;
      });
    expect(claimants("gpt-4o")).toEqual(["openai"]);
    expect(claimants("claude-sonnet-4-5")).toEqual(["anthropic"]);
    expect(claimants("gemini-2.5-pro")).toEqual(["gemini"]);
    expect(claimants("mistral-large-latest")).toEqual(["mistral"]);
    expect(claimants("grok-4")).toEqual(["xai"]);
    expect(claimants("gpt-oss-120b")).toEqual([]);
    expect(claimants("meta-llama/Llama-3.3-70B")).toEqual([]);
    expect(claimants("deepseek-r1:8b")).toEqual([]);
  });
});

describe("createProvider", () => {
  test.each([
    [{ name: "grok" }, 'type: "grok" is not known, did you mean "groq"?'],
    [{ name: "antropic" }, 'did you mean "anthropic"?'],
    [{ name: "mine", type: "something-else" }, "openai-compatible"],
    [{ name: "azure-openai", apiKey: new Secret(key) }, "base_url: is required for type azure-openai"],
    [{ name: "openai-compatible" }, "base_url: is required"],
    [{ name: "openai" }, "api_key: is required for type openai (in the environment: OPENAI_API_KEY)"],
    [{ name: "Open AI", type: "openai" }, "name:"],
    [{ name: "openai", baseUrl: "not a url" }, "base_url: is not a URL"],
    [{ name: "openai", baseUrl: "ftp://host/v1" }, "base_url: must begin with https:// or http://"],
    [{ name: "openai", baseUrl: "https://user:pass-word@host/v1" }, "base_url: must not hold a user or password"],
    [{ name: "openai", baseUrl: "https://host/v1?key=pass-word" }, "base_url: must not hold a query"],
    [{ name: "openai", apiKey: new Secret(key), poolSize: 0 }, "pool_size:"],
    [{ name: "openai", apiKey: new Secret(key), timeouts: { idleMs: -1 } }, "timeouts.idleMs:"],
    [{ name: "azure-openai", apiKey: new Secret(key), baseUrl: "https://x.openai.azure.com", apiVersion: "latest" }, "api_version:"],
  ] satisfies [ProviderSettings, string][])("names the wrong setting of %j", (settings, message) => {
    const make = () => createProvider(settings, { version: "0" });
    expect(make).toThrow(message);
    expect(make).not.toThrow("pass-word");
  });

  test("offers every type it lists", async () => {
    for (const type of providerTypes()) {
      const provider = createProvider({ name: "p", type, apiKey: new Secret(key), baseUrl: "http://127.0.0.1:9" }, { version: "0" });
      expect(provider.name).toBe("p");
      await provider.close();
    }
  });

  test("a local type may be reached without key or address", async () => {
    const provider = createProvider({ name: "ollama" }, { version: "0" });
    onTestFinished(() => provider.close());
    expect(provider.generate).toBeDefined();
  });
});

describe("settingsFromEnvironment", () => {
  test("a key enables its provider, first variable first", () => {
    const settings = settingsFromEnvironment({
      OPENAI_API_KEY: " sk-1 ",
      OPENAI_BASE_URL: "http://127.0.0.1:9/v1",
      GOOGLE_API_KEY: "g-2",
      GEMINI_API_KEY: "g-1",
      GROQ_API_KEY: "",
      MISTRAL_API_KEY: "m-1",
    });
    expect(settings.map(({ name, apiKey, baseUrl }) => [name, apiKey?.reveal(), baseUrl])).toEqual([
      ["openai", "sk-1", "http://127.0.0.1:9/v1"],
      ["gemini", "g-1", undefined],
      ["mistral", "m-1", undefined],
    ]);
    expect(JSON.stringify(settings)).not.toContain("sk-1");
  });

  test("nothing set, nothing enabled", () => {
    expect(settingsFromEnvironment({ PATH: "/bin" })).toEqual([]);
  });

  test("Azure needs its endpoint too", () => {
    expect(settingsFromEnvironment({ AZURE_OPENAI_API_KEY: "a" })).toEqual([]);
    expect(
      settingsFromEnvironment({
        AZURE_OPENAI_API_KEY: "a",
        AZURE_OPENAI_ENDPOINT: "https://x.openai.azure.com",
        AZURE_OPENAI_API_VERSION: "2024-10-21",
      }),
    ).toMatchObject([{ name: "azure-openai", baseUrl: "https://x.openai.azure.com", apiVersion: "2024-10-21" }]);
  });

  test("a local server is enabled by its address, without a key", () => {
    expect(settingsFromEnvironment({ VLLM_BASE_URL: "http://10.0.0.5:8000/v1" })).toMatchObject([
      { name: "vllm", baseUrl: "http://10.0.0.5:8000/v1" },
    ]);
  });
});
