import type { Config } from "../config/schema.ts";
import type { LiveCatalog } from "../providers/catalog.ts";

/** How long the start waits for lists of models. */
const firstListMs = 500;

/** Asks providers for their models now and again and again; gives the function that ends it. `signal` ends what is being asked. */
export async function keepListingModels({ discovery }: Config, catalog: LiveCatalog, signal: AbortSignal): Promise<() => void> {
  // Built-in models and local servers list at once; vendors may take their time, and the banner does not wait for them.
  await Promise.race([catalog.refresh(signal), new Promise((resolve) => setTimeout(resolve, firstListMs).unref())]);
  const refreshing = setInterval(() => void catalog.refresh(signal), discovery.refresh_seconds * 1_000);
  refreshing.unref();
  return () => clearInterval(refreshing);
}
