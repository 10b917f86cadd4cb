/**
 * `dragoman keys ...`: keys in the store of a configuration. The store is opened directly, not asked for over RPC: the first
 * key can be made before there is one to call with, and a key can be revoked while no gateway answers. Gateways that run
 * see every change within seconds.
 */
import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { defaultProject, isRole, roles as knownRoles } from "../core/principal.ts";
import { isScope, scopes as knownScopes } from "../core/scope.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import { type Arguments, type Command, type Option, UsageError } from "./command.ts";
import { listKeys } from "./key-list.ts";
import { rotatePepper, showPeppers } from "./key-pepper.ts";
import { findOne, load, place, tenantOf, timeOf, where, withTools } from "./key-tools.ts";
import type { Terminal } from "./terminal.ts";

const whichKey = `ID is a key's id, its visible beginning (dgm_live_...), or the beginning of either or of the
SHA-256 of an imported key, as long as only one key begins so.`;

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
    once: { about: "for one call: it is revoked by its first use" },
    ...where,
  },
  details: `${place}\nThe key alone goes to stdout, so that it can be piped into a secret store; the rest to stderr.

Nobody can get in any more? This command needs no key, only the store:
\`dragoman keys create --roles admin\`. For an envelope in a safe, to be opened in an emergency:
\`dragoman keys create --roles admin --once --name break-glass\`.`,
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
        expiresAt: readExpiry(options.expires, "keys create"),
      };
      const once = input.switches.has("once");
      if (once && options.env !== undefined) throw new UsageError("--once stands where --env would: leave one of them out", "keys create");
      const environment = once ? "once" : (options.env ?? "live");
      if (!/^[a-z0-9]{1,16}$/.test(environment)) throw new UsageError("--env takes up to 16 lower-case letters and digits", "keys create");
      const { record, secret } = await administration.create(tenantOf(input), facts, undefined, environment);
      await note("keys.create", record.id);
      terminal.write(`${secret.reveal()}\n`);
      terminal.writeError(`made the key ${record.id}${once ? " for one call" : ""}; it is shown now and never again\n`);
      if (!config.auth.enabled) {
        terminal.writeError(
          "auth is off in this configuration: set auth.enabled, or DRAGOMAN__AUTH__ENABLED=true, so that keys are asked for\n",
        );
      }
    }),
};

const rotate: Command = {
  name: "keys rotate",
  about: "make a key in the place of another, which works on for a while",
  positionals: "ID",
  maxPositionals: 1,
  options: {
    overlap: { value: "SPAN", about: "how long the old one works on, as in 0h, 24h, 7d; 24h by default" },
    expires: { value: "WHEN", about: "when the new one ends, as for keys create; by default when the old one was to" },
    ...where,
  },
  details: `${whichKey}\nThe new key may do what the old one may. It alone goes to stdout.\n${place}`,
  run: (input, terminal) =>
    withTools(input, terminal, async ({ stores, administration, note }) => {
      const tenant = tenantOf(input);
      const { id } = await findOne(stores.keys, tenant, idOf(input, "keys rotate"));
      const { overlap, expires } = input.options;
      const span = { overlapMs: readOverlap(overlap), expiresAt: readExpiry(expires, "keys rotate") };
      const { record, secret, replaced } = await administration.rotate(tenant, id, span, undefined);
      await note("keys.rotate", id, { replaced_by: record.id });
      terminal.write(`${secret.reveal()}\n`);
      const end =
        replaced.expiresAt === undefined || replaced.expiresAt <= Date.now()
          ? "no longer works"
          : `works until ${timeOf(replaced.expiresAt)}`;
      terminal.writeError(`made the key ${record.id}; it is shown now and never again. The old one, ${id}, ${end}\n`);
    }),
};

const revoke: Command = {
  name: "keys revoke",
  about: "end a key for good",
  positionals: "ID",
  maxPositionals: 1,
  options: where,
  details: `${whichKey}\n${place}`,
  run: (input, terminal) =>
    withTools(input, terminal, async ({ stores, administration, note }) => {
      const tenant = tenantOf(input);
      const { id, roles } = await findOne(stores.keys, tenant, idOf(input, "keys revoke"));
      await administration.revoke(tenant, id, undefined);
      await note("keys.revoke", id);
      terminal.write(`revoked the key ${id}\n`);
      if (roles.includes("admin") && !(await administration.hasAdmin(tenant))) {
        terminal.writeError("no key administers this tenant any more; `dragoman keys create --roles admin` makes one\n");
      }
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

export const keyCommands: readonly Command[] = [create, listKeys, rotate, revoke, importKeys, lock, showPeppers, rotatePepper];

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
function readExpiry(text: string | undefined, command: string): number | undefined {
  if (text === undefined) return undefined;
  const span = readSpan(text);
  const at = span === undefined ? Date.parse(text) : Date.now() + span;
  if (!Number.isFinite(at)) throw new UsageError(`--expires: "${text}" is no time; write 2027-01-31, 2027-01-31T12:00:00Z or 90d`, command);
  return at;
}

const maxOverlapMs = 90 * 24 * 3_600_000;

/** Milliseconds. */
function readOverlap(text = "24h"): number {
  const span = readSpan(text);
  if (span !== undefined && span <= maxOverlapMs) return span;
  throw new UsageError(`--overlap: "${text}" is no span; write 0h, 24h or 7d, at most 90d`, "keys rotate");
}

/** Milliseconds of 12h, 90d, 1y. */
function readSpan(text: string): number | undefined {
  const [, count, unit] = /^(\d{1,5})([hdy])$/.exec(text) ?? [];
  if (count === undefined) return undefined;
  const hours = unit === "y" ? 24 * 365 : unit === "d" ? 24 : 1;
  return Number(count) * hours * 3_600_000;
}

function idOf({ positionals }: Arguments, command: string): string {
  const [text] = positionals;
  if (text === undefined) throw new UsageError(`name the key: ${command} ID`, command);
  return text;
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
