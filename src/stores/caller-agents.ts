import type { CallerAgentRecord, CallerAgentStore } from "../core/caller-agent-store.ts";
import type { Clock } from "../core/clock.ts";
import { ulid } from "../core/id.ts";
import { allTenants, type Database, flag, type Row } from "./database.ts";
import { readPage } from "./read-page.ts";
import { readBoolean, readNumber, readOptionalNumber, readText } from "./read-value.ts";
import { deleteRow, etagOf, nextVersion, updateRow } from "./revision.ts";
import { Where } from "./where.ts";

const table = "caller_agents";

export function createCallerAgentStore(database: Database, clock: Clock): CallerAgentStore {
  return {
    register(tenant, { key, description, model, environment, discovered }, max) {
      return database.transaction(tenant, async (transaction) => {
        const byKey = "SELECT * FROM caller_agents WHERE tenant = ? AND agent_key = ?";
        const [known] = (await transaction.run(byKey, [tenant, key])).rows;
        if (known !== undefined) return readAgent(known);
        // Registrations of a tenant wait for each other: counted and inserted by two at once there would be one too many.
        await nextVersion(transaction, `${table}/${tenant}`);
        const now = clock.wall();
        const sql = `INSERT INTO caller_agents
          (tenant, id, agent_key, description, model, environment, discovered, created_at, updated_at, revision)
          SELECT ?, ?, ?, ?, ?, ?, CAST(? AS SMALLINT), CAST(? AS BIGINT), CAST(? AS BIGINT), 1
          WHERE (SELECT count(*) FROM caller_agents WHERE tenant = ?) < CAST(? AS BIGINT)
          ON CONFLICT (tenant, agent_key) DO NOTHING RETURNING *`;
        const values = [tenant, ulid(now), key, description, model, environment, flag(discovered), now, now, tenant, max];
        const [inserted] = (await transaction.run(sql, values)).rows;
        const row = inserted ?? (await transaction.run(byKey, [tenant, key])).rows[0];
        return row === undefined ? undefined : readAgent(row);
      });
    },

    get: (tenant, id) => find(tenant, Where.ofTenant(tenant).equal("id", id)),
    getByKey: (tenant, key) => find(tenant, Where.ofTenant(tenant).equal("agent_key", key)),

    list(tenant, page) {
      const order = [{ column: "agent_key", kind: "text" }] as const;
      const list = { name: "caller agents", from: table, where: Where.ofTenant(tenant), order, descending: false, read: readAgent };
      return readPage(database, tenant, list, page);
    },

    update(tenant, id, { description, model, environment }, etag) {
      const columns = { description, model, environment };
      return database.transaction(tenant, async (transaction) =>
        readAgent(await updateRow(transaction, changeOf(tenant, id, etag), columns, clock.wall())),
      );
    },

    delete: (tenant, id, etag) => database.transaction(tenant, (transaction) => deleteRow(transaction, changeOf(tenant, id, etag))),

    async touch(calls) {
      const sql =
        "UPDATE caller_agents SET last_seen_at = ? WHERE tenant = ? AND agent_key = ? AND (last_seen_at IS NULL OR last_seen_at < ?)";
      await database.write(
        allTenants,
        calls.map(({ tenant, key, at }) => ({ sql, values: [Math.round(at), tenant, key, Math.round(at)] })),
      );
    },
  };

  async function find(tenant: string, where: Where): Promise<CallerAgentRecord | undefined> {
    const [row] = await database.rows(tenant, `SELECT * FROM caller_agents${where.sql}`, where.values);
    return row === undefined ? undefined : readAgent(row);
  }
}

function changeOf(tenant: string, id: string, etag: string | undefined) {
  return { table, what: "caller agent", key: Where.ofTenant(tenant).equal("id", id), etag };
}

function readAgent(row: Row): CallerAgentRecord {
  return {
    tenant: readText(row, "tenant"),
    id: readText(row, "id"),
    key: readText(row, "agent_key"),
    description: readText(row, "description"),
    model: readText(row, "model"),
    environment: readText(row, "environment"),
    discovered: readBoolean(row, "discovered"),
    createdAt: readNumber(row, "created_at"),
    updatedAt: readNumber(row, "updated_at"),
    lastSeenAt: readOptionalNumber(row, "last_seen_at"),
    etag: etagOf(row),
  };
}
