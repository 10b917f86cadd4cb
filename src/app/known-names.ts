import type { KnownNames } from "../config/cross-check.ts";
import { wellKnownServers } from "../providers/discovery.ts";
import { providerTypes, settingsFromEnvironment } from "../providers/registry.ts";

/** What configuration may name without configuring it: the vendors' table, and what the environment enables. */
export function knownNames(env: NodeJS.ProcessEnv): KnownNames {
  return {
    providerTypes: providerTypes(),
    providers: ["sim", "local", ...wellKnownServers(env).map(({ type }) => type), ...settingsFromEnvironment(env).map(({ name }) => name)],
  };
}
