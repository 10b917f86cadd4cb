/** The wire formats that upstreams speak, each a provider in front of one simulator. */
import type { SimServer } from "../../src/sim/server/start-sim.ts";
import type { AnswerFact } from "./dialect.ts";
import type { Received } from "./scene.ts";
import { readAnthropic } from "./upstream-anthropic.ts";
import { readBedrock } from "./upstream-bedrock.ts";
import { readCohere } from "./upstream-cohere.ts";
import { readGemini } from "./upstream-gemini.ts";
import { readChat, readResponses } from "./upstream-openai.ts";
import { type Json, object } from "./upstream-view.ts";
import { readXai } from "./upstream-xai.ts";

export interface Upstream {
  /** The wire format. */
  readonly name: string;
  /** The configured provider's name. */
  readonly provider: string;
  /** Another provider of the same format, by dialect: OpenAI itself answers clients of Responses in their own format. */
  readonly providerFor?: Readonly<Record<string, string>>;
  /** The provider's configuration. */
  configure(sim: SimServer, key: string): object;
  /** Reads what the simulator recorded. */
  read(body: Json): Received;
  /** What its answers never say. */
  readonly lacks: ReadonlySet<AnswerFact | "signatures" | "contentFilter">;
}

export const upstreams: readonly Upstream[] = [
  {
    name: "openai-chat",
    provider: "chat",
    providerFor: { "openai-responses": "compatible" },
    configure: ({ url }, key) => ({ type: "openai", base_url: `${url}/v1`, api_key: `sk-${key}` }),
    read: readChat,
    lacks: new Set(["signatures"]),
  },
  {
    name: "openai-responses",
    provider: "answers",
    configure: ({ url }, key) => ({ type: "openai-responses", base_url: `${url}/v1`, api_key: `sk-${key}` }),
    read: readResponses,
    lacks: new Set(["candidates"]),
  },
  {
    name: "anthropic-messages",
    provider: "claude",
    configure: ({ url }, key) => ({ type: "anthropic", base_url: url, api_key: `sk-ant-${key}` }),
    read: readAnthropic,
    lacks: new Set(["refusal", "logprobs", "candidates"]),
  },
  {
    name: "gemini",
    provider: "gem",
    configure: ({ url }, key) => ({ type: "gemini", base_url: `${url}/v1beta`, api_key: `AIza-${key}` }),
    read: readGemini,
    lacks: new Set(["refusal", "cacheWrite"]),
  },
  {
    name: "bedrock-converse",
    provider: "amazon",
    configure: ({ url }, key) => ({ type: "bedrock", base_url: url, api_key: `bedrock-${key}` }),
    read: readBedrock,
    lacks: new Set(["refusal", "logprobs", "candidates", "reasoningTokens"]),
  },
  {
    name: "cohere-chat",
    provider: "command",
    configure: ({ url }, key) => ({ type: "cohere", base_url: url, api_key: `co-${key}` }),
    read: readCohere,
    lacks: new Set(["refusal", "candidates", "signatures", "cacheWrite", "reasoningTokens", "contentFilter"]),
  },
  {
    name: "xai",
    provider: "grok",
    configure: ({ grpcUrl }, key) => ({ type: "xai-grpc", base_url: grpcUrl, api_key: `xai-${key}` }),
    read: readXai,
    lacks: new Set(["refusal", "cacheWrite", "contentFilter"]),
  },
  {
    name: "gemini over gRPC",
    provider: "gemgrpc",
    configure: ({ grpcUrl }, key) => ({ type: "gemini-grpc", base_url: grpcUrl, api_key: `AIza-${key}` }),
    read: readGemini,
    lacks: new Set(["refusal", "cacheWrite"]),
  },
];

/** Bodies of what the simulator was asked to answer, in order. A provider may be asked for its models at any time, over gRPC too. */
export function bodiesAt(sim: SimServer): Json[] {
  return sim
    .requests()
    .flatMap(({ path, body }) => (/models$/i.test(path) || Object.keys(object(body)).length === 0 ? [] : [object(body)]));
}

/** What the simulator recorded last, in no vendor's words. */
export function lastReceived({ read }: Upstream, sim: SimServer): Received {
  return read(bodiesAt(sim).at(-1) ?? {});
}

/** What a client of a dialect names to reach an upstream. */
export function providerOf({ provider, providerFor }: Upstream, dialect: string): string {
  return providerFor?.[dialect] ?? provider;
}

/** Configuration of all of them, and of each once more with a key that the vendor refuses. */
export function providersOf(sim: SimServer): Record<string, object> {
  const compatible = (key: string) => ({ type: "openai-compatible", base_url: `${sim.url}/v1`, api_key: `sk-${key}` });
  const all = [...upstreams, { provider: "compatible", configure: (_: SimServer, key: string) => compatible(key) }];
  return Object.fromEntries(
    all.flatMap(({ provider, configure }) => [
      [provider, configure(sim, "matrix-0001")],
      [`${provider}-refused`, configure(sim, "bad-matrix-0002")],
    ]),
  );
}
