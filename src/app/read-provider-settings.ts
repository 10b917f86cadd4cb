/** What is known of the providers before any of them is made: the configuration's word over the environment's. */
import { readFileSync } from "node:fs";
import { ConfigError } from "../config/problem.ts";
import type { Config, ProviderConfig } from "../config/schema.ts";
import { Secret } from "../core/secret.ts";
import { environmentOf, type ProviderSettings, settingsFromEnvironment } from "../providers/registry.ts";
import { checkTls, type UpstreamTls } from "../providers/upstream-tls.ts";
import { mapValues } from "./map-values.ts";

export interface KnownProviders {
  readonly settings: ReadonlyMap<string, ProviderSettings>;
  /** Where each comes from, for people. */
  readonly notes: ReadonlyMap<string, string>;
  /** What kind of vendor each is. */
  readonly types: ReadonlyMap<string, string>;
  /** What must stand in no record. */
  readonly secrets: readonly Secret[];
}

/** Those that the environment enables, and those that are configured and not switched off. */
export function readProviderSettings(config: Config, env: NodeJS.ProcessEnv): KnownProviders {
  const notes = new Map<string, string>();
  const settings = new Map<string, ProviderSettings>();
  for (const found of settingsFromEnvironment(env)) {
    settings.set(found.name, found);
    notes.set(found.name, "key in the environment");
  }
  for (const [name, entry] of Object.entries(config.providers)) {
    const inherited = settings.get(name) ?? ((entry.type ?? name) === name ? environmentOf(name, env) : undefined);
    settings.delete(name);
    if (!entry.enabled) continue;
    settings.set(name, settingsOf(name, entry, inherited));
    notes.set(name, "configured");
  }
  const secrets = [...settings.values()].flatMap(({ apiKey, secretAccessKey, sessionToken }) => [apiKey, secretAccessKey, sessionToken]);
  return {
    settings,
    notes,
    types: new Map([...settings].map(([name, { type }]) => [name, type ?? name])),
    secrets: secrets.filter((secret) => secret !== undefined),
  };
}

function settingsOf(name: string, entry: ProviderConfig, inherited: ProviderSettings | undefined): ProviderSettings {
  return {
    name,
    type: entry.type ?? inherited?.type,
    // An access key that was configured is not to lose against a key that happens to be in the environment.
    apiKey: entry.api_key ?? (entry.access_key_id === undefined ? inherited?.apiKey : undefined),
    ...accessKeyOf(entry, inherited),
    region: entry.region ?? inherited?.region,
    baseUrl: entry.base_url ?? inherited?.baseUrl,
    apiVersion: entry.api_version ?? inherited?.apiVersion,
    ...readTls(name, entry),
    headers: mapValues(entry.headers, (value) => value.reveal()),
    models: entry.models,
    timeouts: {
      connectMs: entry.connect_timeout_seconds * 1_000,
      firstByteMs: entry.first_byte_timeout_seconds * 1_000,
      idleMs: entry.idle_timeout_seconds * 1_000,
      totalMs: entry.total_timeout_seconds * 1_000,
    },
    poolSize: entry.pool_size,
  };
}

/** Throws ConfigError for files that cannot be read or used. */
function readTls(name: string, { tls }: ProviderConfig): UpstreamTls {
  if (tls === undefined) return {};
  const read = (member: "ca_file" | "cert_file" | "key_file"): string | undefined => {
    const file = tls[member];
    try {
      return file === undefined ? undefined : readFileSync(file, "utf8");
    } catch {
      throw wrongTls(name, member, "cannot be read");
    }
  };
  const [certificateAuthority, certificate, key] = [read("ca_file"), read("cert_file"), read("key_file")];
  const settings: UpstreamTls = {
    certificateAuthority,
    clientCertificate: certificate === undefined || key === undefined ? undefined : { certificate, key: new Secret(key) },
  };
  try {
    checkTls(settings);
  } catch {
    throw wrongTls(name, undefined, "holds no PEM certificates, or a key that is encrypted or another certificate's");
  }
  return settings;
}

function wrongTls(name: string, member: string | undefined, message: string): ConfigError {
  return new ConfigError([{ path: ["providers", name, "tls", ...(member === undefined ? [] : [member])], message }]);
}

/** From one place: halves of two keys are no key. */
function accessKeyOf(entry: ProviderConfig, inherited: ProviderSettings | undefined): Partial<ProviderSettings> {
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = entry;
  if (accessKeyId !== undefined || secretAccessKey !== undefined) return { accessKeyId, secretAccessKey, sessionToken };
  return {
    accessKeyId: inherited?.accessKeyId,
    secretAccessKey: inherited?.secretAccessKey,
    sessionToken: sessionToken ?? inherited?.sessionToken,
  };
}
