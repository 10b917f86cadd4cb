import { randomUUID } from "node:crypto";
import type { IdempotencyAttempt, IdempotencyId, IdempotencyState, IdempotencyStore } from "../core/idempotency-store.ts";
import { allTenants, type Database, type SqlValue, type Statement, storeAway } from "./database.ts";
import { IdempotencyRoom } from "./idempotency-room.ts";
import { readBytes, readNumber, readSum, readText } from "./read-value.ts";

/** The record may go between two looks at it; then the key is free. */
const maxLooks = 3;

const noBody = new Uint8Array(0);

/** Part of the bound that may be written before the store is looked over. */
const slack = 16;
/** Rows of one step. */
const stepRows = 100;

export interface IdempotencyBounds {
  /** Of the bodies together, to within a sixteenth: the oldest give theirs up and keep their key. */
  readonly maxBytes: number;
  /** Of each tenant: others are refused until some of them end. */
  readonly maxKeys: number;
}

const unbounded = { maxBytes: Number.POSITIVE_INFINITY, maxKeys: Number.MAX_SAFE_INTEGER };

export function createIdempotencyStore(database: Database, { maxBytes, maxKeys }: IdempotencyBounds = unbounded): IdempotencyStore {
  const room = new IdempotencyRoom(database, maxKeys);
  let written = 0;

  return {
    async begin(tenant, id, attempt) {
      // A key that is known is answered even where there is no room for another.
      if (!(await room.take(tenant, attempt.now))) return (await readState(tenant, id, attempt, true)) ?? { state: "full", maxKeys };
      for (let look = 0; look < maxLooks; look++) {
        const token = randomUUID();
        const [taken] = await database.write(tenant, [takeStatement(tenant, id, attempt, token)]);
        if (taken?.rows.length === 1) return { state: "new", token };
        const state = await readState(tenant, id, attempt);
        if (state !== undefined) return state;
      }
      throw storeAway(new Error("an idempotency record came and went"));
    },

    async finish(tenant, id, token, { httpStatus, metaJson, body }) {
      const change = "UPDATE idempotency SET state = 'finished', http_status = ?, meta = ?, body = ?";
      const isOwn = await changeOwn(tenant, id, token, change, [httpStatus, metaJson, body]);
      written += body.length;
      if (written > maxBytes / slack) {
        written = 0;
        // Where that fails it is tried again with the answers to come; this one is kept.
        await giveUpOldest().catch(() => {});
      }
      return isOwn;
    },

    release: (tenant, id, token) => changeOwn(tenant, id, token, "DELETE FROM idempotency", []),

    async prune(now) {
      const sql = "DELETE FROM idempotency WHERE kept_until <= ?";
      const [outcome] = await database.write(allTenants, [{ sql, values: [Math.round(now)] }]);
      return outcome?.changed ?? 0;
    },
  };

  async function giveUpOldest(): Promise<void> {
    const [sum] = await database.rows(allTenants, "SELECT sum(octet_length(body)) AS bytes FROM idempotency");
    let bytes = sum === undefined ? 0n : readSum(sum, "bytes");
    while (bytes > BigInt(maxBytes)) {
      const sql = `SELECT tenant, scope, client_key, octet_length(body) AS bytes FROM idempotency
        WHERE octet_length(body) > 0 ORDER BY kept_until, tenant, scope, client_key LIMIT ?`;
      const oldest = await database.rows(allTenants, sql, [stepRows]);
      const gone: Statement[] = [];
      for (const row of oldest) {
        if (bytes <= BigInt(maxBytes)) break;
        bytes -= readSum(row, "bytes");
        gone.push({
          sql: "UPDATE idempotency SET meta = '', body = ? WHERE tenant = ? AND scope = ? AND client_key = ? AND state = 'finished'",
          values: [noBody, readText(row, "tenant"), readText(row, "scope"), readText(row, "client_key")],
        });
      }
      if (gone.length === 0) return;
      await database.write(allTenants, gone);
    }
  }

  async function readState(
    tenant: string,
    { scope, key }: IdempotencyId,
    { bodyHash, now }: IdempotencyAttempt,
    keptOnly = false,
  ): Promise<IdempotencyState | undefined> {
    const sql = "SELECT * FROM idempotency WHERE tenant = ? AND scope = ? AND client_key = ?";
    const [row] = await database.rows(tenant, sql, [tenant, scope, key]);
    if (row === undefined || (keptOnly && readNumber(row, "kept_until") <= now)) return undefined;
    if (readText(row, "body_hash") !== bodyHash) return { state: "other_body" };
    if (readText(row, "state") === "running") return { state: "in_flight", startedAt: readNumber(row, "started_at") };
    return {
      state: "finished",
      reply: { httpStatus: readNumber(row, "http_status"), metaJson: readText(row, "meta"), body: readBytes(row, "body") },
    };
  }

  /** Only what still runs under this token: a call that overran its time may have lost the key to another. */
  async function changeOwn(tenant: string, { scope, key }: IdempotencyId, token: string, change: string, values: readonly SqlValue[]) {
    const sql = `${change} WHERE tenant = ? AND scope = ? AND client_key = ? AND token = ? AND state = 'running'`;
    const [outcome] = await database.write(tenant, [{ sql, values: [...values, tenant, scope, key, token] }]);
    return outcome?.changed === 1;
  }
}

/** One statement, so that of two at once one takes the key. Free is also what is no longer kept, or whose process died. */
function takeStatement(tenant: string, { scope, key }: IdempotencyId, attempt: IdempotencyAttempt, token: string) {
  const { bodyHash, now, runsUntil, keptUntil } = attempt;
  const columns = ["body_hash", "token", "state", "started_at", "runs_until", "kept_until", "http_status", "meta", "body"];
  const sql = `INSERT INTO idempotency (tenant, scope, client_key, ${columns.join(", ")}) VALUES (?, ?, ?, ?, ?, 'running', ?, ?, ?, 0, '', ?)
    ON CONFLICT (tenant, scope, client_key) DO UPDATE SET ${columns.map((column) => `${column} = excluded.${column}`).join(", ")}
    WHERE idempotency.kept_until <= excluded.started_at
      OR (idempotency.state = 'running' AND idempotency.runs_until <= excluded.started_at)
    RETURNING token`;
  const times = [now, runsUntil, keptUntil].map(Math.round);
  return { sql, values: [tenant, scope, key, bodyHash, token, ...times, noBody] };
}
