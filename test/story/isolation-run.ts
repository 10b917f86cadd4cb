/**
 * ISO-1 (reliability.md X9): two tenants do everything there is to do, at once and at random, each with words that only it
 * uses. Whatever comes back to one must not hold a word, an id or a key of the other.
 */
import type { Gateway } from "./gateway.ts";
import { startGateway } from "./gateway.ts";
import { type Asking, operations } from "./isolation-operations.ts";
import { createTenant, rootKey, type Tenant } from "./isolation-tenant.ts";
import { Random } from "./random.ts";

export interface IsolationReport {
  readonly operations: number;
  /** By name of the operation: how many were answered with success, and how many refused. */
  readonly counts: Readonly<Record<string, { ok: number; refused: number }>>;
  /** Bytes of answers that were searched. */
  readonly bytes: number;
  /** A line for every answer that held what is the other's. */
  readonly crossings: readonly string[];
  /** A line for every answer that was another than it had to be, and for everything that was gone at the end. */
  readonly wrong: readonly string[];
}

const markers = ["amberq7xk", "cobaltz9vd"] as const;
const lanes = 4;

export interface IsolationOptions {
  readonly seed: number;
  readonly count: number;
  /** Absent: SQLite. */
  readonly databaseUrl?: string | undefined;
}

export async function runIsolation({ seed, count, databaseUrl }: IsolationOptions): Promise<IsolationReport> {
  const engine =
    databaseUrl === undefined ? { engine: "sqlite" } : { engine: "postgres", database_url: databaseUrl, migrate_on_start: true };
  const gateway = await startGateway({
    config: {
      auth: { enabled: true, api_key: rootKey },
      stores: engine,
      request_log: { retention_default: "full", retention_max: "full", queue: { flush_ms: 10 } },
    },
  });
  try {
    const tenants = [await createTenant(gateway, markers[0]), await createTenant(gateway, markers[1])] as const;
    return await run(gateway, tenants, new Random(seed), count);
  } finally {
    await gateway.close();
  }
}

async function run(gateway: Gateway, tenants: readonly [Tenant, Tenant], random: Random, count: number): Promise<IsolationReport> {
  const counts: Record<string, { ok: number; refused: number }> = {};
  const crossings: string[] = [];
  const wrong: string[] = [];
  let bytes = 0;
  let number = 0;

  const lane = async (): Promise<void> => {
    while (number < count) {
      const own = random.below(2);
      const [me, other] = own === 0 ? tenants : ([tenants[1], tenants[0]] as const);
      const [name, write] = random.pick(operations);
      const asking = write({ me, other, random, number });
      if (asking === undefined) continue;
      const at = `#${number++} ${name} of ${me.marker}`;
      const { status, headers, text } = await ask(gateway, me, asking);
      bytes += text.length;
      const tally = (counts[name] ??= { ok: 0, refused: 0 });
      if (status < 400) tally.ok++;
      else tally.refused++;
      if (status >= 500 && !text.includes("500")) wrong.push(`${at}: ${status} ${text.slice(0, 200)}`);
      if (asking.expected !== undefined && !asking.expected.includes(status))
        wrong.push(`${at}: ${asking.path} gave ${status} ${text.slice(0, 200)}`);
      const found = findForeign(text + [...headers].join("\n"), asking, me, other);
      if (found !== undefined) crossings.push(`${at}: ${asking.path} answered with ${found}`);
      if (status < 400) asking.learn?.(readJson(text), headers);
      if (number % 500 === 0) gateway.reset();
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));

  for (const url of [`${gateway.url}/metrics`, `${gateway.adminUrl}/metrics`, `${gateway.adminUrl}/statsz`, `${gateway.url}/v1/models`]) {
    const text = await (await fetch(url)).text();
    for (const { marker } of tenants) if (text.includes(marker)) crossings.push(`${url} names ${marker}`);
  }
  for (const tenant of tenants) wrong.push(...(await findLosses(gateway, tenant)));
  return { operations: number, counts, bytes, crossings, wrong };
}

/** A word of the other's that the asker never said. */
function findForeign(text: string, { path, body, headers }: Asking, { asked }: Tenant, other: Tenant): string | undefined {
  const words = new RegExp(`[\\w.-]*${other.marker}[\\w.-]*`, "g");
  const sent = JSON.stringify([path, body, headers]);
  for (const [word] of sent.matchAll(words)) asked.add(word);
  for (const [word] of sent.matchAll(tokens)) if (idsOf(other).has(word)) asked.add(word);
  for (const [word] of text.matchAll(words)) if (!asked.has(word)) return `the word ${word}`;
  for (const { secret } of other.keys) if (text.includes(secret.slice(18))) return "a key";
  const ids = idsOf(other);
  for (const [word] of text.matchAll(tokens)) if (ids.has(word) && !asked.has(word)) return `the id ${word}`;
  return undefined;
}

const tokens = /[\w-]{12,}/g;

function idsOf({ things }: Tenant): ReadonlySet<string> {
  return new Set([...things.request, ...things.response, ...things.key, ...things.limit]);
}

/** What was a tenant's own is there at the end, all of it, and nothing beside it. */
async function findLosses(gateway: Gateway, tenant: Tenant): Promise<string[]> {
  const losses: string[] = [];
  for (const [id, role] of [...tenant.stored].slice(-200)) {
    const { status } = await ask(gateway, tenant, { method: "GET", port: "data", path: `/v1/responses/${id}`, role });
    if (status !== 200) losses.push(`the response ${id} gave ${status}`);
  }
  for (const id of tenant.things.key) {
    const { text } = await ask(gateway, tenant, { port: "admin", path: "KeyService/GetKey", body: { id }, role: "ADMIN" });
    const { key } = readJson(text) as { key?: { revokeTime?: string; name?: string } };
    if (key === undefined || key.revokeTime !== undefined || key.name === "taken") losses.push(`the key ${id} is not as it was`);
  }
  for (const id of tenant.things.limit) {
    const { status } = await ask(gateway, tenant, { port: "admin", path: "LimitService/GetLimit", body: { id }, role: "ADMIN" });
    if (status !== 200) losses.push(`the limit ${id} is gone`);
  }
  return losses;
}

async function ask(gateway: Gateway, { keys }: Tenant, asking: Asking): Promise<{ status: number; headers: Headers; text: string }> {
  const { method = "POST", port, path, body, role, headers = {} } = asking;
  const key = keys.find((each) => each.role === role)?.secret ?? "";
  const url = port === "data" ? gateway.url + path : `${gateway.adminUrl}/dragoman.admin.v1.${path}`;
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
