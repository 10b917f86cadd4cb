/** Amazon Bedrock, by its Converse API. https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html */

import { AwsV4Signer } from "aws4fetch";
import { ModelCapability, ModelKind, ModelModality } from "../../gen/dragoman/v1/model_pb.ts";
import { type BedrockModelQuirks, claudeQuirks, createBedrockConverseCodec } from "../codecs/bedrock-converse/index.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../core/json.ts";
import type { Provider } from "../core/provider.ts";
import type { SignedRequest } from "./http-upstream.ts";
import type { ModelListing } from "./list-models-by-http.ts";
import { arrayOf, createModel, type ModelPage, textOf } from "./model-list.ts";
import { createTraits, type TraitRule } from "./model-traits.ts";
import { type AccessKey, bearer, createFromSetup, type ProviderKind, type ProviderSetup, readAccessKey } from "./provider-kind.ts";

/**
 * Ids are `anthropic.claude-...-v1:0`, with a region before it for inference profiles, or ARNs that hold either.
 * https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-supported-models-features.html
 */
const models: readonly TraitRule[] = [
  // What the vendors' own pages say of models that do not think, follow no schema and continue nothing.
  {
    pattern: /(?:amazon|meta|mistral|cohere|ai21|deepseek|qwen|openai|writer|google|nvidia|minimax|moonshot|zai)\./,
    traits: { reasoning: "none", structuredOutput: false, prefill: false, temperatureWithTopP: true },
  },
  { pattern: /claude-/, traits: { vision: true, tools: true } },
  // Structured output came with 4.5; temperature and top_p exclude each other from 4.1 on.
  { pattern: /claude-(?:3|(?:opus|sonnet)-4-(?:1-)?20\d{6})/, traits: { structuredOutput: false } },
  { pattern: /claude-(?:opus-4-[1-9]|(?:sonnet|haiku)-4-[5-9]|\w+-[5-9])(?!\d)/, traits: { temperatureWithTopP: false } },
  {
    pattern: /claude-3-(?:haiku|opus|sonnet)/,
    traits: { contextWindow: 200_000, maxOutputTokens: 4_096, reasoning: "none", prefill: true },
  },
  { pattern: /claude-3-5/, traits: { contextWindow: 200_000, maxOutputTokens: 8_192, reasoning: "none", prefill: true } },
  { pattern: /claude-3-7/, traits: { contextWindow: 200_000, maxOutputTokens: 64_000, reasoning: "budget", prefill: true } },
  {
    pattern: /claude-opus-4-(?:1-)?20\d{6}/,
    traits: { contextWindow: 200_000, maxOutputTokens: 32_000, reasoning: "budget", prefill: true },
  },
  {
    pattern: /claude-sonnet-4-20\d{6}/,
    traits: { contextWindow: 200_000, maxOutputTokens: 64_000, reasoning: "budget", prefill: true },
  },
  {
    pattern: /claude-(?:sonnet|haiku)-4-5/,
    traits: { contextWindow: 200_000, maxOutputTokens: 64_000, reasoning: "budget", prefill: true, structuredOutput: true },
  },
  {
    pattern: /claude-opus-4-5/,
    traits: {
      contextWindow: 200_000,
      maxOutputTokens: 64_000,
      reasoning: "both",
      adaptiveReasoning: false,
      efforts: ["low", "medium", "high"],
      prefill: true,
      structuredOutput: true,
    },
  },
  // From 4.6 on a final assistant message is refused.
  {
    pattern: /claude-(?:opus|sonnet)-4-6/,
    traits: { contextWindow: 1_000_000, reasoning: "both", prefill: false, structuredOutput: true },
  },
  // From Opus 4.7 on temperature, top_p, top_k and budgets are refused; thinking is adaptive.
  {
    pattern: /claude-(?:opus-4-[7-9]|(?:opus|sonnet|haiku|fable|mythos)-[5-9]|mythos-preview)/,
    traits: { sampling: false, reasoning: "adaptive", prefill: false, structuredOutput: true },
  },
  { pattern: /amazon\.nova/, traits: { tools: true, contextWindow: 300_000, maxOutputTokens: 10_000 } },
  { pattern: /amazon\.nova-micro/, traits: { vision: false, contextWindow: 128_000 } },
  { pattern: /amazon\.nova-(?:lite|pro|premier)/, traits: { vision: true } },
  { pattern: /amazon\.nova-premier/, traits: { contextWindow: 1_000_000 } },
  {
    pattern: /amazon\.nova-2/,
    traits: { vision: true, reasoning: "effort", efforts: ["low", "medium", "high"], contextWindow: 1_000_000, maxOutputTokens: 65_536 },
  },
  { pattern: /meta\.llama3/, traits: { tools: false, contextWindow: 128_000, maxOutputTokens: 8_192, vision: false } },
  { pattern: /meta\.llama3-[123]/, traits: { tools: true } },
  { pattern: /meta\.llama3-2-(?:11|90)b/, traits: { vision: true } },
  { pattern: /meta\.llama4/, traits: { tools: true, vision: true, maxOutputTokens: 8_192 } },
  { pattern: /mistral\.(?:mistral-large|pixtral|ministral|magistral|devstral)/, traits: { tools: true } },
  { pattern: /mistral\.pixtral/, traits: { vision: true } },
  { pattern: /cohere\.command-r/, traits: { tools: true, contextWindow: 128_000, maxOutputTokens: 4_096 } },
  { pattern: /deepseek\.r1/, traits: { tools: false, alwaysReasons: true, contextWindow: 128_000, maxOutputTokens: 32_768 } },
  {
    pattern: /openai\.gpt-oss/,
    traits: { tools: true, reasoning: "effort", alwaysReasons: true, efforts: ["low", "medium", "high"], contextWindow: 128_000 },
  },
  { pattern: /(?:titan-embed|embed-(?:english|multilingual)|cohere\.embed)/, traits: { tools: false } },
];

/** Models that take neither forced choices nor cache points nor fields of their own. */
const plainQuirks: BedrockModelQuirks = {
  reasoning: "reasoning_effort",
  topK: undefined,
  forcedChoices: [],
  singleCalls: false,
  resultStatus: false,
  cachePoints: false,
  cacheLifetimes: false,
  signatureFamily: "bedrock-converse",
};

/** Where models differ beyond their traits; the first that matches counts. */
const quirks: readonly { readonly pattern: RegExp; readonly quirks: BedrockModelQuirks }[] = [
  { pattern: /claude-(?:3-|(?:opus|sonnet)-4-(?:1-)?20\d{6})/, quirks: { ...claudeQuirks, cacheLifetimes: false } },
  { pattern: /claude-/, quirks: claudeQuirks },
  {
    pattern: /amazon\.nova/,
    quirks: {
      ...plainQuirks,
      reasoning: "reasoningConfig",
      topK: ["inferenceConfig", "topK"],
      forcedChoices: ["any", "tool"],
      resultStatus: true,
      cachePoints: true,
    },
  },
  { pattern: /mistral\./, quirks: { ...plainQuirks, topK: ["top_k"], forcedChoices: ["any"] } },
  { pattern: /cohere\./, quirks: { ...plainQuirks, topK: ["k"] } },
  { pattern: /(?:amazon|meta|ai21|deepseek|qwen|openai|writer|google|nvidia|minimax|moonshot|zai)\./, quirks: plainQuirks },
];

function quirksOf(id: string): BedrockModelQuirks {
  const name = id.toLowerCase();
  return quirks.find(({ pattern }) => pattern.test(name))?.quirks ?? claudeQuirks;
}

/** Of the runtime's address, also with FIPS, in VPC endpoints and in AWS's other partitions. */
const runtimeHost =
  /(?:^|\.)bedrock-runtime(?<fips>-fips)?\.(?<region>[a-z0-9-]+)\.(?<endpoint>.*\.)?(?<domain>amazonaws\.com(?:\.cn)?|api\.aws)$/;

/** The service's name in signatures. */
const service = "bedrock";

function createBedrock(setup: ProviderSetup): Provider {
  const { settings, baseUrl } = setup;
  const host = runtimeHost.exec(baseUrl.hostname)?.groups;
  // An API key is sent as it is; an access key signs.
  const accessKey = settings.apiKey === undefined ? readAccessKey(settings) : undefined;
  const region = settings.region ?? host?.region;
  if (accessKey !== undefined && region === undefined) throw new Error("region: is required to sign requests to this base_url");
  const signing = accessKey === undefined || region === undefined ? {} : signWith(accessKey, region);
  const options = { traits: createTraits(models), claims, ...signing };
  const runtime = createFromSetup(setup, { ...options, codec: createBedrockConverseCodec({ model: quirksOf }) });
  // The list of models is the control plane's, at an address of its own; gateways and proxies have none.
  if (host === undefined || host.endpoint !== undefined) return runtime;
  const controlUrl = new URL(`https://bedrock${host.fips ?? ""}.${host.region}.${host.domain}`);
  const control = createFromSetup(setup, { ...options, baseUrl: controlUrl, listing });
  return {
    ...runtime,
    ...(control.listModels === undefined ? {} : { listModels: control.listModels }),
    close: async () => {
      await Promise.all([runtime.close(), control.close()]);
    },
  };
}

/** Signature version 4. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html */
function signWith({ id, secret, sessionToken }: AccessKey, region: string) {
  const cache = new Map<string, ArrayBuffer>();
  return {
    secrets: [id, secret, ...(sessionToken === undefined ? [] : [sessionToken])],
    sign: async ({ method, url, body }: SignedRequest): Promise<Readonly<Record<string, string>>> => {
      // One signing key a day; those of past days are of no use.
      if (cache.size > 1) cache.clear();
      // Other headers are left out of the signature: whoever stands in between may change them.
      const signer = new AwsV4Signer({
        method,
        url,
        ...(body === undefined ? {} : { body }),
        accessKeyId: id.reveal(),
        secretAccessKey: secret.reveal(),
        ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
        service,
        region,
        cache,
      });
      const { headers } = await signer.sign();
      return Object.fromEntries(headers);
    },
  };
}

/** https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html, then _ListInferenceProfiles.html */
export const listing: ModelListing = {
  path: (cursor) => {
    if (cursor === undefined) return "/foundation-models";
    const next = cursor === profiles ? "" : `&nextToken=${encodeURIComponent(cursor.slice(profiles.length))}`;
    return `/inference-profiles?maxResults=1000${next}`;
  },
  read: (body, provider) =>
    isJsonObject(body) && body.inferenceProfileSummaries !== undefined
      ? readProfiles(body, provider)
      : readFoundationModels(body, provider),
};

/** Begins the cursor of the second list. */
const profiles = "profiles:";

const modalities: Readonly<Record<string, ModelModality>> = {
  TEXT: ModelModality.TEXT,
  IMAGE: ModelModality.IMAGE,
  SPEECH: ModelModality.AUDIO,
  AUDIO: ModelModality.AUDIO,
  VIDEO: ModelModality.VIDEO,
};

function readFoundationModels(body: JsonValue, provider: string): ModelPage {
  const read = arrayOf(body, "modelSummaries", provider)
    .filter(isJsonObject)
    // Models without on-demand throughput are called by an inference profile or a provisioned ARN.
    .filter((entry) => stringsOf(entry.inferenceTypesSupported).includes("ON_DEMAND"))
    .flatMap((entry) => {
      const kinds = kindsOf(entry);
      const model = createModel(
        {
          id: textOf(entry.modelId),
          ownedBy: textOf(entry.providerName).toLowerCase(),
          displayName: textOf(entry.modelName),
          ...(kinds.length === 0 ? {} : { kinds }),
        },
        provider,
      );
      if (model === undefined) return [];
      if (entry.responseStreamingSupported === true) model.capabilities.push(ModelCapability.STREAMING);
      model.inputModalities = stringsOf(entry.inputModalities).flatMap((word) => modalities[word] ?? []);
      return [model];
    });
  return { models: read, next: profiles };
}

function kindsOf(entry: JsonObject): ModelKind[] {
  const outputs = stringsOf(entry.outputModalities);
  if (outputs.includes("EMBEDDING")) return [ModelKind.EMBED];
  if (outputs.includes("TEXT")) return [ModelKind.GENERATE];
  return outputs.includes("IMAGE") ? [ModelKind.IMAGE] : [];
}

function readProfiles(body: JsonObject, provider: string): ModelPage {
  const read = arrayOf(body, "inferenceProfileSummaries", provider)
    .filter(isJsonObject)
    .flatMap((entry) => {
      const id = textOf(entry.inferenceProfileId);
      const facts = { id, displayName: textOf(entry.inferenceProfileName), description: textOf(entry.description) };
      const model = createModel({ ...facts, ownedBy: vendorOf.exec(id)?.[1] }, provider);
      return model === undefined ? [] : [model];
    });
  const next = textOf(body.nextToken);
  return next === "" ? { models: read } : { models: read, next: profiles + next };
}

function stringsOf(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((word) => typeof word === "string") : [];
}

const vendors = "anthropic|amazon|meta|mistral|cohere|ai21|deepseek|qwen|openai|writer|google|nvidia|minimax|moonshot|zai";
const vendorOf = new RegExp(`(?:^|\\.)(${vendors})\\.`);
const modelId = new RegExp(`^(?:(?:[a-z]{2,6}|us-gov)\\.)?(?:${vendors})\\.[a-z0-9]`);

function claims(model: string): boolean {
  return modelId.test(model) || /^arn:aws[a-z-]*:bedrock:/.test(model);
}

export const bedrock: ProviderKind = {
  type: "bedrock",
  regionalBaseUrl: (region) => `https://bedrock-runtime.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`,
  regionVariables: ["AWS_REGION", "AWS_DEFAULT_REGION"],
  keyVariables: ["AWS_BEARER_TOKEN_BEDROCK"],
  accessKeyVariables: { id: "AWS_ACCESS_KEY_ID", secret: "AWS_SECRET_ACCESS_KEY", sessionToken: "AWS_SESSION_TOKEN" },
  baseUrlVariables: ["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"],
  needsKey: true,
  credential: bearer,
  create: createBedrock,
};
