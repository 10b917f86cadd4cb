/** What is printed once the gateway serves, from facts that can travel from a worker to the primary. */
import type { RunningApp } from "../app/start-app.ts";
import type { Config } from "../config/schema.ts";
import { version } from "../version.ts";
import { type BannerFacts, banner, firstKeyNote } from "./banner.ts";
import type { Terminal } from "./terminal.ts";

export interface ServingFacts {
  readonly app: BannerFacts["app"];
  /** The first administrator's key where this start made one: printed once, never logged. */
  readonly firstKey: string | undefined;
}

export function factsOf({ dataUrl, adminUrl, providers, localServers, authEnabled, firstKey }: RunningApp): ServingFacts {
  return { app: { dataUrl, adminUrl, providers, localServers, authEnabled }, firstKey: firstKey?.reveal() };
}

export function greeting(
  { app, firstKey }: ServingFacts,
  { rpc, discovery }: Config,
  terminal: Pick<Terminal, "color">,
  workers = 1,
): string {
  const facts = { version, app, workers, reflection: rpc.reflection, discovery: discovery.enabled };
  return `${banner(facts, terminal)}\n${firstKey === undefined ? "" : `${firstKeyNote(firstKey)}\n`}`;
}
