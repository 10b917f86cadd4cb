/**
 * `dragoman keys ...`: keys in the store of a configuration. The store is opened directly, not asked for over RPC: the first
 * key can be made before there is one to call with, and a key can be revoked while no gateway answers. Gateways that run
 * see every change within seconds.
 */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { resolve } from "node:path";
import type { KeyTools } from "../app/open-key-tools.ts";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { GatewayError } from "../core/error.ts";
import type { ApiKeyRecord } from "../core/key-store.ts";
import { silentLog } from "../core/log.ts";
import { defaultProject, defaultTenant, isRole, roles as knownRoles } from "../core/principal.ts";
import { isScope, scopes as knownScopes } from "../core/scope.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import { type Arguments, type Command, type Option, UsageError } from "./command.ts";
import { type Terminal, table } from "./terminal.ts";

const where: Record<string, Option> = {
  config: { value: "FILE", about: "a .yaml, .json or .toml file, or a directory of them (DRAGOMAN_CONFIG)" },
  tenant: { value: "NAME", about: "the tenant; default by default" },
};

const place = `The store is the one of \`dragoman serve\` with the same configuration: DATABASE_URL, else a file in
DRAGOMAN_DATA_DIR. Gateways that run see the change within five seconds.`;

const create: Command = {
  name: "keys create",
  about: "make a key and print it, once",
  options: {
    name: { value: "TEXT", about: "what it is called, for people" },
    roles: { value: "LIST", about: `of ${knownRoles.join(", ")}; member by default` },
    scopes: { value: "LIST", about: "as in chat,embed; by default what the roles imply" },
    models: { value: "LIST", about: "models and routes that it may name, as in openai/*,smart; all by default" },
    routes: { value: "LIST", about: "the same as --models" },
    endpoints: { value: "LIST", about: '"METHOD /path" that it may call; all by default' },
    ips: { value: "LIST", about: "addresses and ranges that it may be used from; any by default" },
    expires: { value: "WHEN", about: "a date as 2027-01-31, a time in RFC 3339, or a span as 90d; never by default" },
    owner: { value: "TEXT", about: "the person or service that it belongs to" },
    project: { value: "NAME", about: "the project; default by default" },
    app: { value: "NAME", about: "the app that it is bound to" },
    env: { value: "NAME", about: "stands in the key, as in test; live by default" },
    ...where,
  },
  details: `${place}\nThe key alone goes to stdout, so that it can be piped into a secret store; the rest to stderr.`,
  run: (input, terminal) =>
    withTools(input, terminal, async ({ administration, note }, config) => {
      const { options } = input;
      const facts = {
        project: options.project ?? defaultProject,
        owner: options.owner ?? "",
        name: options.name ?? "",
        roles: listOf(options.roles).map((word) => known(word, isRole, "roles", knownRoles)),
        scopes: listOf(options.scopes).map((word) => known(word, isScope, "scopes", knownScopes)),
        models: [...listOf(options.models), ...listOf(options.routes)],
        endpoints: listOf(options.endpoints),
        ipAllow: listOf(options.ips),
        app: options.app ?? "",
        cacheSalt: "",
        expiresAt: readExpiry(options.expires),
      };
      const environment = options.env ?? "live";
      if (!/^[a-z0-9]{1,16}$/.test(environment)) throw new UsageError("--env takes up to 16 lower-case letters and digits", "keys create");
      const { record, secret } = await administration.create(tenantOf(input), facts, undefined, environment);
      await note("keys.create", record.id);
      terminal.write(`${secret.reveal()}\n`);
      terminal.writeError(`made the key ${record.id}; it is shown now and never again\n`);
      if (!config.auth.enabled) {
        terminal.writeError(
          "auth is off in this configuration: set auth.enabled, or DRAGOMAN__AUTH__ENABLED=true, so that keys are asked for\n",
        );
      }
    }),
};

const list: Command = {
  name: "keys list",
  about: "list keys, without their secrets",
  options: { json: { about: "as JSON, a key a line" }, all: { about: "revoked ones too" }, ...where },
  details: place,
  run: (input, terminal) =>
    withTools(input, terminal, async ({ stores }) => {
      const found: ApiKeyRecord[] = [];
      for (let cursor: string | undefined; ; ) {
        const page = await stores.keys.list(tenantOf(input), { revoked: input.switches.has("all") }, { size: 1_000, cursor });
        found.push(...page.items.filter(({ revokedAt }) => input.switches.has("all") || revokedAt === undefined));
        cursor = page.next;
        if (cursor === undefined) break;
      }
      if (input.switches.has("json")) for (const key of found) terminal.write(`${JSON.stringify(describe(key))}\n`);
      else if (found.length === 0) terminal.write("there are no keys; make one with `dragoman keys create`\n");
      else terminal.write(`${table([["ID", "NAME", "ROLES", "SCOPES", "STATE", "LAST USED"], ...found.map(rowOf)])}\n`);
    }),
};

const revoke: Command = {
  name: "keys revoke",
  about: "end a key for good",
  positionals: "ID",
  maxPositionals: 1,
  options: where,
  details: `ID is a key's id, its visible beginning (dgm_live_...), or the beginning of either or of the SHA-256 of an imported key,
as long as only one key begins so.\n${place}`,
  run: (input, terminal) =>
    withTools(input, terminal, async ({ stores, administration, note }) => {
      const [text] = input.positionals;
      if (text === undefined) throw new UsageError("name the key: keys revoke ID", "keys revoke");
      const tenant = tenantOf(input);
      const { id } = await findOne(stores.keys, tenant, text);
      await administration.revoke(tenant, id, undefined);
      await note("keys.revoke", id);
      terminal.write(`revoked the key ${id}\n`);
    }),
};

const importKeys: Command = {
  name: "keys import",
  about: "take over keys that were made elsewhere",
  positionals: "FILE",
  maxPositionals: 1,
  options: where,
  details: `FILE holds lines of \`<sha256-hex or key> <scope,scope>\`, or nenya's JSON with api_keys and client_token. Keys of any shape
from 16 characters on are taken; only their SHA-256 is stored. Keys that stand already are left as they are.\n${place}`,
  run: (input, terminal) =>
    withTools(input, terminal, async ({ administration, readImportFile, note }) => {
      const path = fileOf(input, terminal, "keys import");
      const keys = readImportFile(readText(path), path);
      let created = 0;
      for (const { hash, facts, enabled } of keys) {
        const result = await administration.import(tenantOf(input), hash, { ...facts, enabled }, undefined);
        if (!result.created) continue;
        created++;
        await note("keys.import", result.record.id);
      }
      terminal.write(`imported ${created} of ${keys.length} keys${created < keys.length ? "; the others stood already" : ""}\n`);
    }),
};

const lock: Command = {
  name: "keys lock",
  about: "replace the keys in a key file by their SHA-256",
  positionals: "[FILE]",
  maxPositionals: 1,
  options: { config: where.config as Option },
  details: `FILE is by default auth.api_keys_file. The keys go on working; what is in the file can no longer be used. Comments and
scopes stay as they are.`,
  async run(input, terminal) {
    const path =
      input.positionals[0] === undefined ? (await load(input, terminal)).auth.api_keys_file : fileOf(input, terminal, "keys lock");
    if (path === undefined) throw new UsageError("name the file: auth.api_keys_file is not set", "keys lock");
    const { lockKeyFile } = await import("../app/open-key-tools.ts");
    const { text, locked } = lockKeyFile(readText(path), path);
    if (locked > 0) replaceFile(path, text);
    terminal.write(locked === 0 ? "every key is locked already\n" : `locked ${locked === 1 ? "one key" : `${locked} keys`} in ${path}\n`);
    return exitCodes.ok;
  },
};

export const keyCommands: readonly Command[] = [create, list, revoke, importKeys, lock];

interface Tools extends KeyTools {
  /** Writes into the audit log what was done. */
  note(action: string, id: string): Promise<void>;
}

async function withTools(input: Arguments, terminal: Terminal, run: (tools: Tools, config: Config) => Promise<void>): Promise<number> {
  const config = await load(input, terminal);
  const { openKeyTools } = await import("../app/open-key-tools.ts");
  const tools = await openKeyTools(config, silentLog);
  const tenant = tenantOf(input);
  const note = async (action: string, id: string) => {
    const entry = { at: Date.now(), actor: `cli:${userName()}`, action, subjectKind: "key", subjectId: id, outcome: "success" } as const;
    await tools.stores.audit.append(tenant, { ...entry, detailsJson: "{}", requestId: "" });
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

async function load({ options }: Arguments, { env, cwd }: Terminal): Promise<Config> {
  const { knownNames } = await import("../app/known-names.ts");
  return loadConfig({ file: options.config, env, cwd, known: knownNames(env) });
}

function explain(error: unknown): unknown {
  if (!(error instanceof GatewayError) || error.reason === "internal") return error;
  const away = error.reason === "store_unavailable" || error.reason === "timeout";
  return new StartError(error.message, away ? exitCodes.unavailable : exitCodes.usage, error);
}

async function findOne(keys: Tools["stores"]["keys"], tenant: string, text: string): Promise<ApiKeyRecord> {
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

function rowOf(key: ApiKeyRecord): string[] {
  const { id, name, roles, scopes, revokedAt, expiresAt, enabled, lastUsedAt } = key;
  const over = expiresAt !== undefined && expiresAt <= Date.now();
  const state = revokedAt !== undefined ? "revoked" : over ? "expired" : enabled ? "" : "disabled";
  const until = expiresAt === undefined ? "active" : `until ${timeOf(expiresAt)}`;
  return [
    id,
    name || "-",
    roles.join(",") || "member",
    scopes.join(",") || "-",
    state || until,
    lastUsedAt === undefined ? "never" : timeOf(lastUsedAt),
  ];
}

function describe(key: ApiKeyRecord): object {
  const { hash: _hash, hashKind: _kind, pepperId: _pepper, version: _version, ...shown } = key;
  return shown;
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}

function tenantOf({ options }: Arguments): string {
  return options.tenant ?? defaultTenant;
}

function listOf(text: string | undefined): string[] {
  return text === undefined
    ? []
    : text
        .split(",")
        .map((word) => word.trim())
        .filter((word) => word !== "");
}

function known<Word extends string>(text: string, is: (text: string) => text is Word, option: string, all: readonly string[]): Word {
  if (is(text)) return text;
  throw new UsageError(`--${option}: "${text}" is unknown; there are ${all.join(", ")}`, "keys create");
}

/** Milliseconds since 1970. */
function readExpiry(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const span = /^(\d{1,5})([hdy])$/.exec(text);
  const hours = { h: 1, d: 24, y: 24 * 365 }[span?.[2] ?? "h"] ?? 1;
  const at = span === null ? Date.parse(text) : Date.now() + Number(span[1]) * hours * 3_600_000;
  if (!Number.isFinite(at))
    throw new UsageError(`--expires: "${text}" is no time; write 2027-01-31, 2027-01-31T12:00:00Z or 90d`, "keys create");
  return at;
}

function fileOf({ positionals }: Arguments, { cwd }: Terminal, command: string): string {
  const [file] = positionals;
  if (file === undefined) throw new UsageError(`name the file: ${command} FILE`, command);
  return resolve(cwd, file);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new StartError(`${path} cannot be read (${codeOf(error)}); check the path and its permissions`, exitCodes.io, error);
  }
}

/** Whole or not at all, with the permissions that it had. */
function replaceFile(path: string, text: string): void {
  const scratch = `${path}.${process.pid}.new`;
  try {
    writeFileSync(scratch, text, { mode: statSync(path).mode, flag: "wx" });
    renameSync(scratch, path);
  } catch (error) {
    rmSync(scratch, { force: true });
    throw new StartError(`${path} cannot be written (${codeOf(error)}); check its permissions`, exitCodes.io, error);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown error";
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return "unknown";
  }
}
