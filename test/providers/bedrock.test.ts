import { describe, expect, onTestFinished, test } from "vitest";
import { FinishReason, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { GenerateEvent } from "../../src/core/event.ts";
import { Fold } from "../../src/core/fold.ts";
import { parseJson } from "../../src/core/json.ts";
import type { Provider } from "../../src/core/provider.ts";
import { Secret } from "../../src/core/secret.ts";
import { listing } from "../../src/providers/bedrock.ts";
import { createProvider, environmentOf, type ProviderSettings, settingsFromEnvironment } from "../../src/providers/registry.ts";
import { simAccessKey } from "../../src/sim/server/bedrock/signature-v4.ts";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { ask, startCall, targetOf } from "./calls.ts";

const accessKey = {
  accessKeyId: new Secret(simAccessKey.accessKeyId),
  secretAccessKey: new Secret(simAccessKey.secretAccessKey),
  region: "eu-central-1",
};
const apiKey = { apiKey: new Secret("bedrock-api-key-0001") };

async function open(settings: Partial<ProviderSettings>): Promise<{ sim: SimServer; provider: Provider }> {
  const sim = await startSim({ port: 0 });
  const provider = createProvider({ name: "bedrock", baseUrl: sim.url, ...settings }, { version: "0" });
  onTestFinished(async () => {
    await provider.close();
    await sim.close();
  });
  return { sim, provider };
}

async function answer(provider: Provider, text: string, model = "sim-any", buffered = false) {
  const events: GenerateEvent[] = [];
  const call = startCall({ buffered });
  for await (const batch of provider.generate?.(ask(text), targetOf("bedrock", model), call) ?? []) events.push(...batch.events);
  const response = new Fold().addAll(events).response();
  return { events, call, response, candidate: response.candidates[0] };
}

async function failureOf(promise: Promise<unknown>): Promise<GatewayError> {
  const thrown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof GatewayError) return thrown;
  throw new Error("no GatewayError was thrown");
}

describe.each([
  ["a signature", accessKey],
  ["a signature with a session", { ...accessKey, sessionToken: new Secret("session-token-0123456789") }],
  ["an API key", apiKey],
])("with %s", (_, credential) => {
  test.each([false, true])("answers, buffered: %s", async (buffered) => {
    const { sim, provider } = await open(credential);
    const { candidate, call, response } = await answer(provider, "Grüße aus 東京", "eu.anthropic.claude-v1:0", buffered);
    expect(candidate?.message?.parts[0]?.part).toEqual({ case: "text", value: "Grüße aus 東京" });
    expect(candidate?.finished?.reason).toBe(FinishReason.STOP);
    expect(response.usage).toMatchObject({ inputTokens: 7, outputTokens: 3 });
    expect(call.attempt.upstreamRequestId).toMatch(/^req_/);
    expect(sim.bill()).toMatchObject([{ format: "bedrock-converse", completed: true }]);
  });

  test("counts tokens of an ARN's model", async () => {
    const { provider } = await open(credential);
    const arn = "arn:aws:bedrock:eu-central-1:1:application-inference-profile/a(1)!";
    const counted = await provider.countTokens?.(ask("12345678"), targetOf("bedrock", arn), startCall());
    expect(counted?.inputTokens).toBe(6);
  });
});

describe("a credential that is refused", () => {
  test("is told nobody, neither key nor secret", async () => {
    const secret = "wrong/secret/access/key/0123456789abcdef";
    const { provider } = await open({ ...accessKey, secretAccessKey: new Secret(secret) });
    const error = await failureOf(answer(provider, "hi"));
    expect(error).toMatchObject({ reason: "provider_error", retryable: false });
    expect(JSON.stringify([error.message, error.details])).not.toMatch(/AKIASIMULATED|wrong.secret/);
  });

  test("never leaves in a header", async () => {
    const { sim, provider } = await open(accessKey);
    await answer(provider, "hi");
    expect(JSON.stringify(sim.requests())).not.toContain(simAccessKey.secretAccessKey);
  });

  test("as an API key", async () => {
    const { provider } = await open({ apiKey: new Secret("a-bad-api-key-0001") });
    expect(await failureOf(answer(provider, "hi"))).toMatchObject({ reason: "provider_error", retryable: false });
  });
});

describe("faults of a stream", () => {
  test.each([
    ["no-end", "provider_error"],
    ["reset", "provider_error"],
    ["truncated-json", "provider_error"],
    ["malformed", "provider_error"],
    ["bad-utf8", "provider_error"],
    ["error-event", "provider_error"],
    ["huge-event", "provider_error"],
    ["endless-line", "provider_error"],
    ["empty-stream", "provider_error"],
    ["error-in-200", "provider_error"],
    ["json-for-sse", "provider_error"],
    ["html-200", "provider_error"],
    ["quota", "quota_exhausted"],
    ["rate-limit", "rate_limited"],
  ])("%s", async (fault, reason) => {
    const { provider } = await open(apiKey);
    expect((await failureOf(answer(provider, "one two three four", `sim-fault-${fault}`))).reason).toBe(reason);
  });

  test.each([
    "unknown-event",
    "unknown-field",
    "double-end",
    "data-after-end",
    "split-utf8",
    "ping-flood",
    "comment-flood",
    "usage-repeated",
    "half-surrogate",
  ])("%s does no harm", async (fault) => {
    const { provider } = await open(apiKey);
    const { candidate } = await answer(provider, "Grüße aus 東京", `sim-fault-${fault}`);
    const [part] = candidate?.message?.parts ?? [];
    expect(String(part?.part.value).replace("\ud83d", "")).toBe("Grüße aus 東京");
    expect(candidate?.finished?.reason).toBe(FinishReason.STOP);
  });
});

test("a conversation with reasoning and calls goes on, its signatures as they were", async () => {
  const { provider } = await open(accessKey);
  const script = {
    turns: [
      {
        steps: [
          { reasoning: "Look." },
          { parallel: [{ tool_call: { name: "look.up", arguments: { a: 1 } } }, { tool_call: { name: "look.up" } }] },
        ],
      },
      { steps: [{ text: "Done." }] },
    ],
  };
  const request = ask(JSON.stringify({ sim_script: script }));
  request.tools.push({
    $typeName: "dragoman.v1.Tool",
    extrasJson: {},
    tool: {
      case: "function",
      value: { $typeName: "dragoman.v1.FunctionTool", name: "look.up", description: "", parametersJson: "", resultSchemaJson: "" },
    },
  });
  const turn = async () => {
    const fold = new Fold();
    for await (const { events } of provider.generate?.(request, targetOf("bedrock", "sim-script"), startCall()) ?? []) fold.addAll(events);
    return fold.response().candidates[0];
  };
  const first = await turn();
  const calls = (first?.message?.parts ?? []).flatMap(({ part }) => (part.case === "toolCall" ? [part.value] : []));
  expect(calls).toMatchObject([
    { name: "look.up", argumentsJson: '{"a":1}' },
    { name: "look.up", argumentsJson: "{}" },
  ]);
  if (first?.message !== undefined) request.messages.push(first.message);
  for (const { id } of calls.toReversed()) {
    request.messages.push({
      $typeName: "dragoman.v1.Message",
      role: Role.TOOL,
      name: "",
      extrasJson: {},
      parts: [
        {
          $typeName: "dragoman.v1.Part",
          id: "",
          annotations: [],
          logprobs: [],
          extrasJson: {},
          part: {
            case: "toolResult",
            value: {
              $typeName: "dragoman.v1.ToolResult",
              toolCallId: id,
              name: "",
              content: [],
              resultJson: '{"ok":true}',
              isError: false,
              kind: 0,
            },
          },
        },
      ],
    });
  }
  expect((await turn())?.message?.parts[0]?.part).toEqual({ case: "text", value: "Done." });
});

describe("settings", () => {
  const create = (settings: Partial<ProviderSettings>) => createProvider({ name: "bedrock", ...settings }, { version: "0" });

  test.each<[Partial<ProviderSettings>, RegExp]>([
    [apiKey, /^region: is required for type bedrock \(in the environment: AWS_REGION or AWS_DEFAULT_REGION\)/],
    [{ ...apiKey, region: "eu.example.com/" }, /^region: "eu.example.com\/" is no region/],
    [{ region: "eu-central-1" }, /^api_key: is required/],
    [{ region: "eu-central-1", accessKeyId: accessKey.accessKeyId }, /^secret_access_key: is required/],
    [{ baseUrl: "http://127.0.0.1:1", secretAccessKey: accessKey.secretAccessKey }, /^access_key_id: is required/],
    [{ ...accessKey, region: undefined, baseUrl: "http://127.0.0.1:1" }, /^region: is required to sign/],
  ])("%j", (settings, message) => {
    expect(() => create(settings)).toThrow(message);
  });

  test("of the environment: a region and a key of either kind", () => {
    expect(settingsFromEnvironment({ AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" })).toEqual([]);
    expect(settingsFromEnvironment({ AWS_REGION: "us-east-1", AWS_ACCESS_KEY_ID: "a" })).toEqual([]);
    const [signed] = settingsFromEnvironment({
      AWS_DEFAULT_REGION: "us-east-1",
      AWS_ACCESS_KEY_ID: "a",
      AWS_SECRET_ACCESS_KEY: "b",
      AWS_SESSION_TOKEN: "c",
    });
    expect(signed).toMatchObject({ name: "bedrock", region: "us-east-1" });
    expect([signed?.accessKeyId, signed?.secretAccessKey, signed?.sessionToken].map((secret) => secret?.reveal())).toEqual(["a", "b", "c"]);
    expect(settingsFromEnvironment({ AWS_REGION: "us-east-1", AWS_BEARER_TOKEN_BEDROCK: "t" })[0]?.apiKey?.reveal()).toBe("t");
    expect(environmentOf("bedrock", { AWS_ACCESS_KEY_ID: "a" })?.accessKeyId?.reveal()).toBe("a");
  });

  test("AWS's own address has a list of models, others have none", async () => {
    const aws = create({ ...apiKey, region: "eu-central-1" });
    const proxy = create({ ...apiKey, baseUrl: "http://127.0.0.1:1" });
    const endpoint = create({ ...apiKey, baseUrl: "https://vpce-1.bedrock-runtime.eu-central-1.vpce.amazonaws.com" });
    expect([aws, proxy, endpoint].map(({ listModels }) => listModels !== undefined)).toEqual([true, false, false]);
    await Promise.all([aws.close(), proxy.close(), endpoint.close()]);
  });

  test("models and inference profiles are read page by page", () => {
    const first = listing.read(
      parseJson(
        '{"modelSummaries":[{"modelId":"amazon.nova-lite-v1:0","modelName":"Nova Lite","providerName":"Amazon","inputModalities":["TEXT","IMAGE"],"outputModalities":["TEXT"],"inferenceTypesSupported":["ON_DEMAND"],"responseStreamingSupported":true},{"modelId":"anthropic.claude-x","inferenceTypesSupported":["INFERENCE_PROFILE"],"outputModalities":["TEXT"]}]}',
      ),
      "bedrock",
    );
    expect(first.models.map(({ id, ownedBy }) => [id, ownedBy])).toEqual([["amazon.nova-lite-v1:0", "amazon"]]);
    expect(listing.path(undefined)).toBe("/foundation-models");
    expect(listing.path(first.next)).toBe("/inference-profiles?maxResults=1000");
    const second = listing.read(
      parseJson('{"inferenceProfileSummaries":[{"inferenceProfileId":"eu.anthropic.claude-x"}],"nextToken":"a/b"}'),
      "bedrock",
    );
    expect(second.models.map(({ id, ownedBy }) => [id, ownedBy])).toEqual([["eu.anthropic.claude-x", "anthropic"]]);
    expect(listing.path(second.next)).toBe("/inference-profiles?maxResults=1000&nextToken=a%2Fb");
  });

  test("what is known of models by their ids", async () => {
    const provider = create({ ...apiKey, region: "eu-central-1" });
    expect(provider.traits("eu.anthropic.claude-sonnet-4-5-20250929-v1:0")).toMatchObject({
      reasoning: "budget",
      prefill: true,
      structuredOutput: true,
    });
    expect(provider.traits("anthropic.claude-sonnet-4-20250514-v1:0")).toMatchObject({ reasoning: "budget", structuredOutput: false });
    expect(provider.traits("global.anthropic.claude-opus-4-7-v1:0")).toMatchObject({
      sampling: false,
      reasoning: "adaptive",
      prefill: false,
    });
    expect(provider.traits("us.amazon.nova-2-lite-v1:0")).toMatchObject({ reasoning: "effort", vision: true });
    expect(provider.traits("us.meta.llama3-3-70b-instruct-v1:0")).toMatchObject({ reasoning: "none", tools: true });
    expect(provider.traits("arn:aws:bedrock:eu-west-1:1:application-inference-profile/x")).toEqual({});
    expect(["eu.anthropic.claude-x", "arn:aws:bedrock:x", "gpt-5", "claude-x"].map((model) => provider.claims?.(model))).toEqual([
      true,
      true,
      false,
      false,
    ]);
    await provider.close();
  });
});
