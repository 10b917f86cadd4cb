/** What `dragoman doctor` looks at: all that a start needs, each by itself, so that one trouble hides no other. */
import { constants } from "node:fs";
import { access, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import { StartError } from "../core/start-error.ts";
import { examineJournal, type JournalFinding } from "../ledger/journal/examine-journal.ts";
import { listDamaged, listOwners } from "../ledger/journal/journal-owner.ts";
import { journalRoot } from "../ledger/open-ledger.ts";
import { RedisCounters } from "../limits/redis-state.ts";
import { databaseFile, describeAway, findDamage, pendingMigrations } from "../stores/open-database.ts";
import { redisPlace } from "./open-limiter.ts";
import { databasePlace } from "./open-stores.ts";

export interface Finding {
  /** `note`: nothing is to be done, or it was done. */
  readonly state: "ok" | "note" | "problem";
  readonly about: "data directory" | "database" | "journal" | "redis";
  /** What is so, where, and what to do. */
  readonly text: string;
}

export interface ExamineOptions {
  /** Whether torn ends of dead processes' journals are cut; nothing else is changed in any case. */
  readonly fix: boolean;
}

/** Never rejects: what cannot be looked at is a problem. Gateways may run meanwhile. */
export async function examineInstallation(config: Config, { fix }: ExamineOptions): Promise<readonly Finding[]> {
  const parts: readonly (readonly [Finding["about"], () => Promise<readonly Finding[]>])[] = [
    ["data directory", () => examineDataDir(config.data_dir)],
    ["database", () => examineDatabase(config)],
    ["journal", () => examineJournals(config.data_dir, fix)],
    ["redis", () => examineRedis(config)],
  ];
  const found: Finding[] = [];
  for (const [about, examine] of parts) {
    const findings = await examine().catch((thrown: unknown): Finding[] => [
      { state: "problem", about, text: thrown instanceof StartError ? thrown.message : describeAway(thrown) },
    ]);
    found.push(...findings);
  }
  return found;
}

/** Bits of a mode that let others than the owner in. */
const othersBits = 0o077;

async function examineDataDir(dataDir: string): Promise<Finding[]> {
  const about = "data directory";
  const names = await readdir(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (names === undefined) return [{ state: "ok", about, text: `${dataDir} is not there yet; it is made when it is needed` }];
  await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
  const found: Finding[] = [];
  for (const name of names.filter((name) => name.startsWith("dragoman.sqlite") || name.startsWith("pepper"))) {
    const path = join(dataDir, name);
    const { mode } = await stat(path);
    if ((mode & othersBits) !== 0)
      found.push({ state: "problem", about, text: `${path} is open to other users; run \`chmod 600 ${path}\`` });
    await access(path, constants.R_OK | constants.W_OK);
  }
  return found.length > 0 ? found : [{ state: "ok", about, text: `${dataDir} can be written, and holds nothing that others may read` }];
}

async function examineDatabase(config: Config): Promise<Finding[]> {
  const about = "database";
  const place = databasePlace(config);
  if (place.engine === "memory")
    return [{ state: "note", about, text: "records are kept in memory only; set DRAGOMAN_DATA_DIR or DATABASE_URL to keep them" }];
  const file = databaseFile(place.dataDir);
  const isFile = place.engine === "sqlite";
  const size = isFile ? await sizeOf(file) : undefined;
  if (isFile && size === undefined) return [{ state: "ok", about, text: `${file} is not there yet; the first start makes it` }];
  if (size === 0) return [{ state: "problem", about, text: `${file} is empty; restore a backup of it, or remove it to begin anew` }];
  const damage = isFile ? await findDamage(place) : [];
  if (damage.length > 0)
    return damage.map((text) => ({ state: "problem", about, text: `${file} is damaged: ${text}; restore a backup of it` }));
  const pending = await pendingMigrations(place);
  const name = isFile ? `${file} is whole, and` : "PostgreSQL answers, and";
  if (pending.length === 0) return [{ state: "ok", about, text: `${name} its schema is up to date` }];
  const missing = pending.join(", ");
  // SQLite's is brought up to date by the next start.
  const mends = isFile || config.stores.migrate_on_start;
  return [
    {
      state: mends ? "note" : "problem",
      about,
      text: `${name} its schema lacks ${missing}; ${mends ? "the next start adds it" : "run `dragoman migrate`"}`,
    },
  ];
}

async function examineJournals(dataDir: string, fix: boolean): Promise<Finding[]> {
  const about = "journal";
  const root = journalRoot(dataDir);
  const owners = await listOwners(root);
  const found: Finding[] = [];
  for (const owner of owners) {
    const findings = await examineJournal(owner, fix).catch((thrown: unknown): Finding[] => [
      { state: "problem", about, text: `${owner.directory}: ${thrown instanceof Error ? thrown.message : String(thrown)}` },
    ]);
    found.push(...findings.map((finding) => ("kind" in finding ? describeJournal(finding) : finding)));
  }
  for (const place of await listDamaged(root))
    found.push({
      state: "problem",
      about,
      text: `${place} holds damaged segments of a dead process; what could be read is settled. Remove it when you are done`,
    });
  if (found.length > 0) return found;
  const running = owners.filter(({ alive }) => alive).length;
  return [{ state: "ok", about, text: `${owners.length} of which ${running} of running processes, all whole` }];
}

function describeJournal({ kind, file, at }: JournalFinding): Finding {
  const about = "journal";
  if (kind === "cut") return { state: "note", about, text: `${file}: the torn end was cut at byte ${at}` };
  if (kind === "torn")
    return {
      state: "note",
      about,
      text: `${file}: is torn from byte ${at} on, as its process died; the next start leaves it out, --fix cuts it`,
    };
  return { state: "problem", about, text: `${file}: is damaged at byte ${at}; the next start reads the rest and keeps a copy` };
}

async function examineRedis(config: Config): Promise<Finding[]> {
  const about = "redis";
  const { url, ...place } = redisPlace(config);
  if (url === undefined) return [{ state: "ok", about, text: "none is configured" }];
  const redis = new RedisCounters({ ...place, url, clock: systemClock });
  try {
    if (await redis.connect()) return [{ state: "ok", about, text: "it answers, and runs the scripts of the limits" }];
    return [{ state: "problem", about, text: `it cannot be used: ${redis.trouble}; check REDIS_URL and that it runs` }];
  } finally {
    redis.close();
  }
}

async function sizeOf(file: string): Promise<number | undefined> {
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return found?.size;
}
