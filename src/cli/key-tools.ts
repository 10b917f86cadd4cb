/** What the `keys` commands share: the store of a configuration, opened and closed, and keys found by what people see of them. */
import { userInfo } from "node:os";
import type { KeyTools } from "../app/open-key-tools.ts";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { GatewayError } from "../core/error.ts";
import type { ApiKeyRecord } from "../core/key-store.ts";
import { silentLog } from "../core/log.ts";
import { defaultTenant } from "../core/principal.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import type { Arguments, Option } from "./command.ts";
import type { Terminal } from "./terminal.ts";

export const where: Record<string, Option> = {
  config: { value: "FILE", about: "a .yaml, .json or .toml file, or a directory of them (DRAGOMAN_CONFIG)" },
  tenant: { value: "NAME", about: "the tenant; default by default" },
};

export const place = `The store is the one of \`dragoman serve\` with the same configuration: DATABASE_URL, else a file in
DRAGOMAN_DATA_DIR. Gateways that run see the change within five seconds.`;

export interface Tools extends KeyTools {
  /** Writes into the audit log what was done. */
  note(action: string, id: string, details?: Readonly<Record<string, string>>): Promise<void>;
}

/** Runs a command with the store open. Throws StartError for what the user can mend. */
export async function withTools(
  input: Arguments,
  terminal: Terminal,
  run: (tools: Tools, config: Config) => Promise<void>,
): Promise<number> {
  const config = await load(input, terminal);
  const { openKeyTools } = await import("../app/open-key-tools.ts");
  const tools = await openKeyTools(config, silentLog);
  const tenant = tenantOf(input);
  const note = async (action: string, id: string, details = {}) => {
    const entry = { at: Date.now(), actor: `cli:${userName()}`, action, subjectKind: "key", subjectId: id, outcome: "success" } as const;
    await tools.stores.audit.append(tenant, { ...entry, detailsJson: JSON.stringify(details), requestId: "" });
  };
  try {
    await run({ ...tools, note }, config);
    return exitCodes.ok;
  } catch (error) {
    throw explain(error);
  } finally {
    await tools.close();
  }
}

export async function load({ options }: Arguments, { env, cwd }: Terminal): Promise<Config> {
  const { knownNames } = await import("../app/known-names.ts");
  return loadConfig({ file: options.config, env, cwd, known: knownNames(env) });
}

function explain(error: unknown): unknown {
  if (!(error instanceof GatewayError) || error.reason === "internal") return error;
  const away = error.reason === "store_unavailable" || error.reason === "timeout";
  return new StartError(error.message, away ? exitCodes.unavailable : exitCodes.usage, error);
}

/** The one key that a text means. Throws StartError where there is none, or several. */
export async function findOne(keys: Tools["stores"]["keys"], tenant: string, text: string): Promise<ApiKeyRecord> {
  const begin = /^dgm_[a-z0-9]{1,16}_([a-z0-9]{1,12})/.exec(text)?.[1] ?? text;
  const page = { size: 2 };
  const byId = await keys.list(tenant, { idPrefix: begin }, page);
  const exact = byId.items.find(({ id }) => id === begin);
  const isHash = /^[0-9a-f]{8,64}$/i.test(begin);
  const byHash = isHash ? await keys.list(tenant, { hashPrefix: begin.toLowerCase() }, page) : { items: [] };
  const found = exact === undefined ? [...byId.items, ...byHash.items.filter(({ hashKind }) => hashKind === "sha256")] : [exact];
  const [first, second] = new Map(found.map((key) => [key.id, key])).values();
  if (first === undefined) throw new StartError("there is no such key; `dragoman keys list` shows what there is", exitCodes.usage);
  if (second !== undefined) throw new StartError("more than one key begins so; write more of it", exitCodes.usage);
  return first;
}

export function tenantOf({ options }: Arguments): string {
  return options.tenant ?? defaultTenant;
}

/** As in 2026-11-21T10:30:00Z. */
export function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "unknown";
  }
}
