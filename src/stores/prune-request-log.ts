/** Old log records and contents go: by age, then by number and by size, the oldest first, in steps that block nobody for long. */
import type { PruneLimits } from "../core/request-log-store.ts";
import { allTenants, type Database, type SqlValue } from "./database.ts";
import { readSum } from "./read-value.ts";
import { Where } from "./where.ts";

/** Rows of one step. */
const stepRows = 500;

export async function pruneRequestLog(
  database: Database,
  tenant: string | undefined,
  { before, contentBefore, maxBytes, maxRecords }: PruneLimits,
): Promise<{ records: number; contents: number }> {
  const scope = tenant ?? allTenants;
  const removed = { records: 0, contents: 0 };

  if (contentBefore !== undefined) {
    while ((await removeStep("request_contents", whereOld(contentBefore), stepRows)).changed > 0);
  }
  if (before !== undefined) {
    while ((await removeStep("request_log", whereOld(before), stepRows)).changed > 0);
    const sessions = of(new Where().before("last_at", before));
    await database.write(scope, [{ sql: `DELETE FROM sessions${sessions.sql}`, values: sessions.values }]);
  }
  if (maxRecords !== undefined) {
    for (let over = (await total("count(*)", "request_log")) - BigInt(maxRecords); over > 0n; ) {
      const { changed } = await removeStep("request_log", of(new Where()), Math.min(stepRows, Number(over)));
      if (changed === 0) break;
      over -= BigInt(changed);
    }
  }
  if (maxBytes !== undefined) {
    let bytes = (await total("sum(bytes)", "request_log")) + (await total("sum(bytes)", "request_contents"));
    while (bytes > BigInt(maxBytes)) {
      const step = await removeStep("request_log", of(new Where()), sizedStepRows);
      if (step.changed === 0) break;
      bytes -= step.bytes;
    }
  }
  // Their ids are the clients' own words: there must not be more of them than records.
  if (removed.records > 0) {
    const oldest = `SELECT min(created_at) FROM request_log${of(new Where()).sql}`;
    const gone = of(new Where()).and(`last_at < (${oldest})`, ...of(new Where()).values);
    await database.write(scope, [{ sql: `DELETE FROM sessions${gone.sql}`, values: gone.values }]);
  }
  return removed;

  function of(where: Where): Where {
    return tenant === undefined ? where : where.equal("tenant", tenant);
  }

  function whereOld(time: number): Where {
    return of(new Where().before("created_at", time));
  }

  async function total(what: string, table: string): Promise<bigint> {
    const where = of(new Where());
    const [row] = await database.rows(scope, `SELECT ${what} AS total FROM ${table}${where.sql}`, where.values);
    return row === undefined ? 0n : readSum(row, "total");
  }

  /** Contents go with their records. */
  async function removeStep(
    table: "request_log" | "request_contents",
    where: Where,
    rows: number,
  ): Promise<{ changed: number; bytes: bigint }> {
    const oldest = `(tenant, request_id) IN (SELECT tenant, request_id FROM request_log${where.sql} ORDER BY created_at, tenant, request_id LIMIT ?)`;
    const values: SqlValue[] = [...where.values, rows];
    const removal = (from: string, which: string) => ({ sql: `DELETE FROM ${from} WHERE ${which} RETURNING bytes`, values });
    const contents = removal(
      "request_contents",
      table === "request_log" ? oldest : oldest.replace("FROM request_log", "FROM request_contents"),
    );
    const statements = table === "request_log" ? [contents, removal("request_log", oldest)] : [contents];
    const outcomes = await database.write(scope, statements);
    const [contentRows = [], recordRows = []] = outcomes.map((outcome) => outcome.rows);
    removed.contents += contentRows.length;
    removed.records += recordRows.length;
    const bytes = [...contentRows, ...recordRows].reduce((sum, row) => sum + readSum(row, "bytes"), 0n);
    return { changed: table === "request_log" ? recordRows.length : contentRows.length, bytes };
  }
}

/** By size in smaller steps: a record may hold megabytes, and no more than needed is to go. */
const sizedStepRows = 50;
