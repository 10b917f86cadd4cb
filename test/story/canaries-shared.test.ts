/** X17 and X18 where records are shared: nothing planted is in a dump of PostgreSQL or Redis, nor in what commands print of them. */
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { run } from "../../src/cli/run.ts";
import { hasRedisServer, type RedisServer, startRedis } from "../limits/redis-server.ts";
import { type PostgresServer, startPostgresServer, whyNoPostgres } from "../stores/postgres-server.ts";
import { findCanaries, type Place } from "./canaries.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const missing = hasRedisServer ? whyNoPostgres() : "no redis-server";
if (missing !== undefined) process.stdout.write(`skipped: secrets in PostgreSQL and Redis: ${missing}\n`);

const secret = {
  upstreamKey: "Tm5Yc8Kq2Vb7Xw4Jd1Hn9Rz6",
  upstreamHeader: "Fa3Gs6Lp9Ze2Ub5Mo8Cx1Wt4",
  clientKey: "Qk7Nv1Sd4Ht6Py9Ej3Bw5Lr8",
  pepper: "Zx4Wm8Rb2Kt6Vq1Nc5Jh9Gd3Lf7Py0Ts",
};
const content = { prompt: "promptHj8Wq3Zr6", toolArgument: "argumentLm2Tx9Vb5" };
const canaries = Object.entries({ ...secret, ...content }).map(([name, value]) => ({ name, value }));

describe.skipIf(missing !== undefined)("X17, X18: shared records", () => {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-canaries-shared-"));
  const configFile = join(directory, "dragoman.json");
  let postgres: PostgresServer;
  let redis: RedisServer;
  let databaseUrl: string;
  let gateway: Gateway;

  beforeAll(async () => {
    [postgres, redis] = await Promise.all([startPostgresServer(), startRedis()]);
    databaseUrl = await postgres.createDatabase();
    const keyFile = join(directory, "keys");
    writeFileSync(keyFile, `${createHash("sha256").update(secret.clientKey).digest("hex")} *\n`);
    const config = {
      data_dir: join(directory, "data"),
      auth: { enabled: true, api_keys_file: keyFile, pepper: secret.pepper },
      stores: { engine: "postgres", database_url: databaseUrl, migrate_on_start: true },
      redis: { url: redis.url.reveal() },
      limits: {
        rules: [
          { subject: "key", requests_per_minute: 100_000, tokens_per_minute: 100_000_000, shared_state_gone: "open" },
          { subject: "end_user", concurrency: 1_000, shared_state_gone: "open" },
        ],
      },
      request_log: { queue: { flush_ms: 10 } },
    };
    writeFileSync(configFile, JSON.stringify({ ...config, discovery: { enabled: false } }));
    gateway = await startGateway({
      configure: (sim) => ({
        ...config,
        providers: {
          planted: {
            type: "openai",
            base_url: `${sim.url}/v1`,
            api_key: secret.upstreamKey,
            headers: { "x-upstream-auth": secret.upstreamHeader },
          },
        },
      }),
    });
  }, 60_000);

  afterAll(async () => {
    await gateway?.close();
    await redis?.close();
    await postgres?.remove();
    rmSync(directory, { recursive: true, force: true });
  });

  const ask = async (path: string, body: object, headers: Record<string, string> = {}): Promise<number> => {
    const response = await fetch(gateway.url + path, {
      method: "POST",
      headers: { authorization: `Bearer ${secret.clientKey}`, "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
    await response.text();
    return response.status;
  };

  const dump = async (): Promise<Place[]> => {
    const tables = await postgres.administer(databaseUrl, async (sql) => {
      const names = await sql<{ name: string }[]>`SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'`;
      return Promise.all(
        names.map(async ({ name }) => {
          const rows = await sql`SELECT to_jsonb(one)::text AS row FROM ${sql(name)} AS one`;
          return { name: `the table ${name}`, text: rows.map(({ row }) => String(row)).join("\n") };
        }),
      );
    });
    const keys = (await redis.run("KEYS", "*")) as string[];
    const values = await Promise.all(keys.map(async (key) => `${key} ${String(await redis.run("DUMP", key))}`));
    return [...tables, { name: "Redis", text: values.join("\n") }];
  };

  test("hold nothing of what was planted, after calls that succeed, fail and are repeated", async () => {
    const chat = (more: object = {}) => ({
      model: "planted/sim-echo",
      messages: [
        { role: "user", content: content.prompt },
        {
          role: "assistant",
          tool_calls: [
            { id: "call_1", type: "function", function: { name: "look", arguments: JSON.stringify({ at: content.toolArgument }) } },
          ],
        },
        { role: "tool", tool_call_id: "call_1", content: content.prompt },
      ],
      user: "somebody",
      ...more,
    });
    for (const stream of [false, true]) expect(await ask("/v1/chat/completions", chat({ stream }))).toBe(200);
    expect(
      await ask(`/v1beta/models/planted/sim-echo:generateContent?key=${secret.clientKey}`, {
        contents: [{ parts: [{ text: content.prompt }] }],
      }),
    ).toBe(200);
    expect(await ask("/v1/chat/completions", chat({ temperature: content.prompt }))).toBe(400);
    expect(await ask("/v1/chat/completions", chat({ model: "nobody/no-such-model" }))).toBe(404);
    // Clients put keys where they do not belong.
    const wrong = { "x-dragoman-session-id": `Bearer ${secret.clientKey}` };
    expect(await ask("/v1/chat/completions", chat(), wrong)).toBe(200);

    const tables = await vi.waitFor(async () => {
      const found = await dump();
      const count = (name: string) => found.find((place) => place.name === `the table ${name}`)?.text.split("\n").length ?? 0;
      expect(count("request_log")).toBeGreaterThanOrEqual(5);
      expect(count("ledger")).toBeGreaterThanOrEqual(4);
      return found;
    }, 10_000);
    expect(tables.find(({ name }) => name === "Redis")?.text.length).toBeGreaterThan(100);
    expect(findCanaries(tables, canaries)).toEqual([]);
  }, 30_000);

  test.each(["requests", "requests --json", "usage --by model", "usage --json", "limits list", "ledger verify", "keys list"])(
    "are shown without them by dragoman %s",
    async (words) => {
      let text = "";
      const write = (piece: string) => void (text += piece);
      const code = await run([...words.split(" "), "--config", configFile], {
        write,
        writeError: write,
        color: false,
        env: {},
        cwd: directory,
      });
      expect(code, text).toBe(0);
      expect(text).not.toBe("");
      expect(findCanaries([{ name: words, text }], canaries)).toEqual([]);
    },
  );
});
