/** `dragoman keys list`. */
import type { ApiKeyRecord } from "../core/key-store.ts";
import { type Column, writeTable } from "./columns.ts";
import type { Command } from "./command.ts";
import { place, tenantOf, where, withTools } from "./key-tools.ts";

/** Rows fit a terminal of 80 characters; --json has everything. */
const columns: readonly Column[] = [
  { title: "ID" },
  { title: "NAME", least: 10 },
  { title: "ROLES", least: 6 },
  { title: "SCOPES", least: 8 },
  { title: "STATE" },
  { title: "LAST USED" },
];
const width = 80;

export const listKeys: Command = {
  name: "keys list",
  about: "list keys, without their secrets",
  options: {
    json: { about: "as JSON, a key a line, with all that is known of it" },
    all: { about: "revoked ones too" },
    project: { value: "NAME", about: "only keys of this project" },
    ...where,
  },
  details: `Keys without SCOPES may do what their roles imply. Texts that do not fit are cut; --json has them whole.\n${place}`,
  run: (input, terminal) =>
    withTools(input, terminal, async ({ stores }) => {
      const all = input.switches.has("all");
      const filter = { project: input.options.project, ...(all ? {} : { revoked: false }) };
      const found: ApiKeyRecord[] = [];
      for (let cursor: string | undefined; ; ) {
        const page = await stores.keys.list(tenantOf(input), filter, { size: 1_000, cursor });
        found.push(...page.items);
        cursor = page.next;
        if (cursor === undefined) break;
      }
      if (input.switches.has("json")) for (const key of found) terminal.write(`${JSON.stringify(describe(key))}\n`);
      else if (found.length === 0) terminal.write("there are no keys; make one with `dragoman keys create`\n");
      else terminal.write(writeTable(columns, found.map(rowOf), width));
    }),
};

function rowOf({ id, name, roles, scopes, lastUsedAt, ...key }: ApiKeyRecord): string[] {
  const used = lastUsedAt === undefined ? "never" : dayOf(lastUsedAt);
  return [id, name || "-", roles.join(",") || "member", scopes.join(",") || "-", stateOf(key), used];
}

function stateOf({ revokedAt, expiresAt, enabled }: Pick<ApiKeyRecord, "revokedAt" | "expiresAt" | "enabled">): string {
  if (revokedAt !== undefined) return "revoked";
  if (expiresAt !== undefined && expiresAt <= Date.now()) return "expired";
  if (!enabled) return "disabled";
  return expiresAt === undefined ? "active" : `until ${dayOf(expiresAt)}`;
}

function describe(key: ApiKeyRecord): object {
  const { hash: _hash, hashKind: _kind, pepperId: _pepper, version: _version, ...shown } = key;
  return shown;
}

/** As in 2026-11-21, of UTC. */
function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
