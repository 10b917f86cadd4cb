/** Providers by type: from settings, and settings from the environment. */

import { nearest } from "../core/nearest.ts";
import type { Provider } from "../core/provider.ts";
import { Secret } from "../core/secret.ts";
import { anthropic } from "./anthropic.ts";
import { azureOpenAi } from "./azure-openai.ts";
import { compatible } from "./compatible.ts";
import { gemini } from "./gemini.ts";
import { createLocalEmbeddings } from "./local-embeddings.ts";
import { openai } from "./openai.ts";
import type { ProviderDependencies, ProviderKind, ProviderSettings } from "./provider-kind.ts";

export type { ProviderDependencies, ProviderSettings } from "./provider-kind.ts";

const kinds: ReadonlyMap<string, ProviderKind> = new Map(
  [openai, anthropic, gemini, azureOpenAi, ...compatible].map((kind) => [kind.type, kind]),
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
  if (settings.baseUrl === undefined && kind.baseUrl === undefined) throw new Error(`base_url: is required for type ${type}`);
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
  return kind.create({
    settings,
    baseUrl: readBaseUrl(settings.baseUrl ?? kind.baseUrl ?? ""),
    credential: settings.apiKey === undefined ? undefined : { ...kind.credential, secret: settings.apiKey },
    // A host that the configuration names is allowed by that; a vendor's own name must not lead inside.
    allowPrivate: settings.baseUrl !== undefined || kind.local === true,
    dependencies,
  });
}

/** A credential may stand among the headers, under another scheme. */
function hasCredential(settings: ProviderSettings, kind: ProviderKind): boolean {
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
export function settingsFromEnvironment(env: Readonly<Record<string, string | undefined>>): ProviderSettings[] {
  return [...kinds.values()].flatMap((kind) => {
    const key = first(env, kind.keyVariables);
    const baseUrl = first(env, kind.baseUrlVariables);
    const enabled = kind.needsKey ? key !== undefined : baseUrl !== undefined;
    if (!enabled || (baseUrl ?? kind.baseUrl) === undefined) return [];
    const apiVersion = first(env, kind.apiVersionVariables ?? []);
    return [
      {
        name: kind.type,
        ...(key === undefined ? {} : { apiKey: new Secret(key) }),
        ...(baseUrl === undefined ? {} : { baseUrl }),
        ...(apiVersion === undefined ? {} : { apiVersion }),
      },
    ];
  });
}

function first(env: Readonly<Record<string, string | undefined>>, names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = env[name]?.trim();
    if (value !== undefined && value !== "") return value;
  }
  return undefined;
}
