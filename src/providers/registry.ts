/** Providers by type: from settings, and settings from the environment. */

import { nearest } from "../core/nearest.ts";
import type { Provider } from "../core/provider.ts";
import { Secret } from "../core/secret.ts";
import { anthropic } from "./anthropic.ts";
import { azureOpenAi } from "./azure-openai.ts";
import { bedrock } from "./bedrock.ts";
import { cohere } from "./cohere.ts";
import { compatible } from "./compatible.ts";
import { dragoman } from "./dragoman.ts";
import { gemini } from "./gemini.ts";
import { geminiGrpc } from "./gemini-grpc.ts";
import { createLocalEmbeddings } from "./local-embeddings.ts";
import { openai, openaiResponses } from "./openai.ts";
import type { ProviderDependencies, ProviderKind, ProviderSettings } from "./provider-kind.ts";
import { xaiGrpc } from "./xai.ts";

export type { ProviderDependencies, ProviderSettings } from "./provider-kind.ts";

const kinds: ReadonlyMap<string, ProviderKind> = new Map(
  [openai, openaiResponses, anthropic, gemini, bedrock, azureOpenAi, cohere, ...compatible, dragoman, geminiGrpc, xaiGrpc].map((kind) => [
    kind.type,
    kind,
  ]),
);

/** Not reached by HTTP: the embedding model in this process. */
const localType = "local";

const nameShape = /^[a-z0-9][a-z0-9._-]{0,62}$/;

/** What `type` may say, in the order of the documentation. */
export function providerTypes(): string[] {
  return [...kinds.keys(), localType];
}

/** Throws Error whose message begins with the wrong setting's name. Connects nowhere. */
export function createProvider(settings: ProviderSettings, dependencies: ProviderDependencies): Provider {
  const { name, type = name } = settings;
  if (!nameShape.test(name))
    throw new Error(`name: ${JSON.stringify(name)} must be lower-case letters, digits, ".", "_" and "-", and begin with a letter or digit`);
  if (type === localType) return createLocalEmbeddings(name);
  const kind = kinds.get(type);
  const meant = kind === undefined ? nearest(type, providerTypes()) : undefined;
  if (kind === undefined)
    throw new Error(
      `type: ${JSON.stringify(type)} is not known${meant === undefined ? "" : `, did you mean ${JSON.stringify(meant)}?`}; any server that speaks OpenAI's format is openai-compatible`,
    );
  const baseUrl = settings.baseUrl ?? vendorUrl(settings, kind);
  if (settings.apiKey === undefined && kind.needsKey && settings.baseUrl === undefined && !hasCredential(settings, kind)) {
    throw new Error(
      `api_key: is required for type ${type}${kind.keyVariables.length > 0 ? ` (in the environment: ${kind.keyVariables.join(" or ")})` : ""}`,
    );
  }
  if (settings.poolSize !== undefined && !(Number.isInteger(settings.poolSize) && settings.poolSize > 0))
    throw new Error("pool_size: must be a whole number from 1");
  for (const [span, value] of Object.entries(settings.timeouts ?? {})) {
    if (!(Number.isFinite(value) && value > 0)) throw new Error(`timeouts.${span}: must be more than 0 ms`);
  }
  const address = readBaseUrl(baseUrl);
  const provider = kind.create({
    settings,
    baseUrl: address,
    credential: settings.apiKey === undefined ? undefined : { ...kind.credential, secret: settings.apiKey },
    // A host that the configuration names is allowed by that; a vendor's own name must not lead inside.
    allowPrivate: settings.baseUrl !== undefined || kind.local === true,
    dependencies,
  });
  return Object.assign(provider, { origin: address.origin });
}

/** Region names, which become part of an address. */
const regionShape = /^[a-z0-9-]{1,63}$/;

/** The vendor's own address. Throws Error where settings are missing for it, or of no use to it. */
function vendorUrl({ region }: ProviderSettings, { type, baseUrl, regionalBaseUrl, regionVariables = [] }: ProviderKind): string {
  if (regionalBaseUrl === undefined) {
    if (baseUrl === undefined) throw new Error(`base_url: is required for type ${type}`);
    return baseUrl;
  }
  if (region === undefined) throw new Error(`region: is required for type ${type} (in the environment: ${regionVariables.join(" or ")})`);
  if (!regionShape.test(region)) throw new Error(`region: ${JSON.stringify(region)} is no region; write for example eu-central-1`);
  return regionalBaseUrl(region);
}

/** An access key, or a credential among the headers, under another scheme. */
function hasCredential(settings: ProviderSettings, kind: ProviderKind): boolean {
  if (kind.accessKeyVariables !== undefined && settings.accessKeyId !== undefined) return true;
  return Object.keys(settings.headers ?? {}).some((header) => ["authorization", kind.credential.header].includes(header.toLowerCase()));
}

function readBaseUrl(text: string): URL {
  // Messages hold no more than the scheme: an address may carry a password.
  if (!URL.canParse(text)) throw new Error("base_url: is not a URL; write for example https://api.example.com/v1");
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:")
    throw new Error(`base_url: must begin with https:// or http://, not ${url.protocol}`);
  if (url.username !== "" || url.password !== "") throw new Error("base_url: must not hold a user or password; use api_key or headers");
  if (url.search !== "" || url.hash !== "") throw new Error("base_url: must not hold a query or fragment");
  return url;
}

/** Providers that the environment enables: one for every vendor whose key, or for local servers base URL, is set. */
export function settingsFromEnvironment(env: Environment): ProviderSettings[] {
  return [...kinds.values()].flatMap((kind) => {
    const settings = settingsOfKind(kind, env);
    const { apiKey, accessKeyId, secretAccessKey, baseUrl, region } = settings;
    const hasKey = apiKey !== undefined || (accessKeyId !== undefined && secretAccessKey !== undefined);
    const enabled = kind.needsKey ? hasKey : baseUrl !== undefined;
    const hasAddress = (baseUrl ?? kind.baseUrl) !== undefined || (kind.regionalBaseUrl !== undefined && region !== undefined);
    return enabled && hasAddress ? [settings] : [];
  });
}

/** What the environment says of a vendor, whether or not that is enough; undefined where the type is not known. */
export function environmentOf(type: string, env: Environment): ProviderSettings | undefined {
  const kind = kinds.get(type);
  return kind === undefined ? undefined : settingsOfKind(kind, env);
}

type Environment = Readonly<Record<string, string | undefined>>;

function settingsOfKind(kind: ProviderKind, env: Environment): ProviderSettings {
  const { accessKeyVariables: access } = kind;
  const read = (names: readonly string[] | undefined) => first(env, names ?? []);
  const secret = (names: readonly string[] | undefined) => {
    const value = read(names);
    return value === undefined ? undefined : new Secret(value);
  };
  const settings = {
    name: kind.type,
    apiKey: secret(kind.keyVariables),
    ...(access === undefined
      ? {}
      : { accessKeyId: secret([access.id]), secretAccessKey: secret([access.secret]), sessionToken: secret([access.sessionToken]) }),
    baseUrl: read(kind.baseUrlVariables),
    region: read(kind.regionVariables),
    apiVersion: read(kind.apiVersionVariables),
  };
  return Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)) as unknown as ProviderSettings;
}

function first(env: Environment, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = env[name]?.trim();
    if (value !== undefined && value !== "") return value;
  }
  return undefined;
}
