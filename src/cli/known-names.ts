import type { KnownNames } from "../config/cross-check.ts";

/** What configuration may name without configuring it: the vendors' table and what the environment enables. Loaded late: it brings every codec. */
export async function knownNames(env: NodeJS.ProcessEnv): Promise<KnownNames> {
  const [{ providerTypes, settingsFromEnvironment }, { wellKnownServers }] = await Promise.all([
    import("../providers/registry.ts"),
    import("../providers/discovery.ts"),
  ]);
  return {
    providerTypes: providerTypes(),
    providers: ["sim", "local", ...wellKnownServers(env).map(({ type }) => type), ...settingsFromEnvironment(env).map(({ name }) => name)],
  };
}
