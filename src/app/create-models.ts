import { readModelTraits } from "../config/model-traits.ts";
import type { Config } from "../config/schema.ts";
import type { Logger } from "../core/log.ts";
import type { Router } from "../core/routing.ts";
import { createCatalog, type LiveCatalog } from "../providers/catalog.ts";
import { createRouter } from "../routing/router.ts";
import { mapValues } from "./map-values.ts";
import type { OpenedProviders } from "./open-providers.ts";

export interface Models {
  /** What providers list; empty until it is refreshed. */
  readonly catalog: LiveCatalog;
  readonly router: Router;
}

/** Which models there are, and where a name leads. */
export function createModels(config: Config, providers: OpenedProviders, log: Logger): Models {
  const catalog = createCatalog(providers.list, {
    configured: configuredModels(config),
    onFailure: (provider, error) => log.warn("a provider does not list its models", { provider, error }),
  });
  const router = createRouter({
    providers: providers.byName,
    routes: mapValues(config.routes, ({ strategy, targets, max_attempts: maxAttempts }) => ({ strategy, targets, maxAttempts })),
    aliases: config.aliases,
    models: mapValues(config.models, readModelTraits),
    catalog,
    maxAttempts: config.max_attempts,
  });
  return { catalog, router };
}

function configuredModels({ providers }: Config): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(providers).flatMap(([name, { models }]) => (models === undefined ? [] : [[name, models] as const])),
  );
}
