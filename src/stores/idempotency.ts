import { randomUUID } from "node:crypto";
import type { IdempotencyAttempt, IdempotencyId, IdempotencyState, IdempotencyStore } from "../core/idempotency-store.ts";
import { allTenants, type Database, type SqlValue, storeAway } from "./database.ts";
import { readBytes, readNumber, readText } from "./read-value.ts";

/** The record may go between two looks at it; then the key is free. */
const maxLooks = 3;

const noBody = new Uint8Array(0);

export function createIdempotencyStore(database: Database): IdempotencyStore {
  return {
    async begin(tenant, id, attempt) {
      for (let look = 0; look < maxLooks; look++) {
        const token = randomUUID();
        const [taken] = await database.write(tenant, [takeStatement(tenant, id, attempt, token)]);
        if (taken?.rows.length === 1) return { state: "new", token };
        const state = await readState(tenant, id, attempt);
        if (state !== undefined) return state;
      }
      throw storeAway(new Error("an idempotency record came and went"));
    },

    finish: (tenant, id, token, { httpStatus, metaJson, body }) =>
      changeOwn(tenant, id, token, "UPDATE idempotency SET state = 'finished', http_status = ?, meta = ?, body = ?", [
        httpStatus,
        metaJson,
        body,
      ]),

    renew: (tenant, id, token, runsUntil) => changeOwn(tenant, id, token, "UPDATE idempotency SET runs_until = ?", [Math.round(runsUntil)]),

    release: (tenant, id, token) => changeOwn(tenant, id, token, "DELETE FROM idempotency", []),

    async prune(now) {
      const sql = "DELETE FROM idempotency WHERE kept_until <= ?";
      const [outcome] = await database.write(allTenants, [{ sql, values: [Math.round(now)] }]);
      return outcome?.changed ?? 0;
    },
  };

  async function readState(
    tenant: string,
    { scope, key }: IdempotencyId,
    { bodyHash }: IdempotencyAttempt,
  ): Promise<IdempotencyState | undefined> {
    const sql = "SELECT * FROM idempotency WHERE tenant = ? AND scope = ? AND client_key = ?";
    const [row] = await database.rows(tenant, sql, [tenant, scope, key]);
    if (row === undefined) return undefined;
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
