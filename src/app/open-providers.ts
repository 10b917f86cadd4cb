import { ConfigError, type Problem } from "../config/problem.ts";
import type { Config } from "../config/schema.ts";
import type { Provider } from "../core/provider.ts";
import { type DiscoveredServer, discoverLocalServers, wellKnownServers } from "../providers/discovery.ts";
import { createLocalEmbeddings, localEmbeddingsAvailable } from "../providers/local-embeddings.ts";
import { createMediaFetcher } from "../providers/media-fetcher.ts";
import { createProvider, type ProviderDependencies, type ProviderSettings } from "../providers/registry.ts";
import { createSimProvider } from "../sim/provider.ts";
import { version } from "../version.ts";
import type { KnownProviders } from "./read-provider-settings.ts";

export interface OpenedProviders {
  /** Grows when local servers are found. */
  readonly list: readonly Provider[];
  readonly byName: ReadonlyMap<string, Provider>;
  /** Where one comes from, for people. */
  noteOf(name: string): string;
  /**
   * Looks for servers on this machine, never at `ownPorts`, and adds those whose name is not taken. Gives the names of
   * all that answered.
   */
  discover(env: NodeJS.ProcessEnv, ownPorts: readonly number[]): Promise<string[]>;
  close(): Promise<void>;
}

/** Those of the settings, and the built-in ones. Throws ConfigError with what is wrong with any of them. */
export async function openProviders(config: Config, known: KnownProviders): Promise<OpenedProviders> {
  const dependencies = dependenciesOf(config);
  const notes = new Map(known.notes);
  const list = createAll([...known.settings.values()], dependencies);
  if (config.local_embeddings.enabled && !known.settings.has("local") && (await localEmbeddingsAvailable())) {
    list.push(createLocalEmbeddings());
    notes.set("local", "built in: sentence embeddings");
  }
  if (config.sim.enabled && !known.settings.has("sim")) {
    list.push(createSimProvider());
    notes.set("sim", "built in: simulated models");
  }
  const byName = new Map(list.map((provider) => [provider.name, provider]));

  return {
    list,
    byName,
    noteOf: (name) => notes.get(name) ?? "",
    async discover(env, ownPorts) {
      const found = await findLocalServers(config, env, ownPorts);
      for (const { name, type, baseUrl, models } of found) {
        if (byName.has(name)) continue;
        const provider = createProvider({ name, type, baseUrl, models }, dependencies);
        list.push(provider);
        byName.set(name, provider);
        notes.set(name, `local server at ${baseUrl}`);
      }
      return found.map(({ name }) => name);
    },
    async close() {
      await Promise.allSettled(list.map((provider) => provider.close()));
    },
  };
}

function createAll(settings: readonly ProviderSettings[], dependencies: ProviderDependencies): Provider[] {
  const problems: Problem[] = [];
  const providers = settings.flatMap((entry) => {
    try {
      return [createProvider(entry, dependencies)];
    } catch (thrown) {
      problems.push({ path: ["providers", entry.name], message: thrown instanceof Error ? thrown.message : String(thrown) });
      return [];
    }
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return providers;
}

function dependenciesOf({ media }: Config): ProviderDependencies {
  if (!media.fetch) return { version };
  const fetcher = createMediaFetcher({
    maxBytes: media.max_bytes,
    timeoutMs: media.timeout_seconds * 1_000,
    privateHosts: media.private_hosts,
    userAgent: `dragoman/${version}`,
  });
  return { version, media: { fetcher, maxPerRequest: media.max_per_request } };
}

async function findLocalServers({ discovery }: Config, env: NodeJS.ProcessEnv, ownPorts: readonly number[]): Promise<DiscoveredServer[]> {
  if (!discovery.enabled) return [];
  const servers = wellKnownServers(env).flatMap((server) => {
    const change = discovery.servers[server.type];
    return change?.enabled === false ? [] : [{ ...server, baseUrl: change?.base_url ?? server.baseUrl }];
  });
  return discoverLocalServers({ env, ownPorts, timeoutMs: discovery.timeout_ms, servers });
}
