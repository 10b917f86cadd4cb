import type { Clock } from "../core/clock.ts";
import type { ProjectStore, TenantRecord, TenantStore } from "../core/tenant-store.ts";
import { allTenants, type Database, flag, onlyRow, type Row } from "./database.ts";
import { findProject, readProject } from "./find-project.ts";
import { changingKeys, countedKeys } from "./keys.ts";
import { readPage } from "./read-page.ts";
import { readBoolean, readNumber, readText } from "./read-value.ts";
import { creating, etagOf, holdVersion, updateRow } from "./revision.ts";
import { Where } from "./where.ts";

export function createTenantStore(database: Database, clock: Clock): TenantStore {
  return {
    create(tenant, { name, timeZone, enabled, settingsJson }) {
      const now = clock.wall();
      const sql = `INSERT INTO tenants (tenant, name, time_zone, enabled, settings, created_at, updated_at, revision)
        VALUES (?, ?, ?, ?, ?, ?, ?, 1) RETURNING *`;
      const values = [tenant, name, timeZone, flag(enabled), settingsJson, now, now];
      return creating("tenant", async () => readTenant(onlyRow(await database.write(tenant, [{ sql, values }]))));
    },

    async get(tenant) {
      const [row] = await database.rows(tenant, "SELECT * FROM tenants WHERE tenant = ?", [tenant]);
      return row === undefined ? undefined : readTenant(row);
    },

    list: (page) =>
      readPage(
        database,
        allTenants,
        {
          name: "tenants",
          from: "tenants",
          where: new Where(),
          order: [{ column: "tenant", kind: "text" }],
          descending: false,
          read: readTenant,
        },
        page,
      ),

    update(tenant, { name, timeZone, enabled, settingsJson }, etag) {
      const change = { table: "tenants", what: "tenant", key: Where.ofTenant(tenant), etag };
      const columns = { name, time_zone: timeZone, enabled: flag(enabled), settings: settingsJson };
      return database.transaction(tenant, async (transaction) => readTenant(await updateRow(transaction, change, columns, clock.wall())));
    },
  };
}

export function createProjectStore(database: Database, clock: Clock): ProjectStore {
  return {
    create(tenant, id, { name, enabled, settingsJson }) {
      const now = clock.wall();
      const sql = `INSERT INTO projects (tenant, id, name, enabled, settings, created_at, updated_at, revision)
        VALUES (?, ?, ?, ?, ?, ?, ?, 1) RETURNING *`;
      const values = [tenant, id, name, flag(enabled), settingsJson, now, now];
      return creating("project", async () => readProject(onlyRow(await database.write(tenant, [{ sql, values }]))));
    },

    get: (tenant, id) => findProject(database, tenant, id),

    list: (tenant, page) =>
      readPage(
        database,
        tenant,
        {
          name: "projects",
          from: "projects",
          where: Where.ofTenant(tenant),
          order: [{ column: "id", kind: "text" }],
          descending: false,
          read: readProject,
        },
        page,
      ),

    update(tenant, id, { name, enabled, settingsJson }, etag, check) {
      const change = { table: "projects", what: "project", key: Where.ofTenant(tenant).equal("id", id), etag };
      const columns = { name, enabled: flag(enabled), settings: settingsJson };
      return database.transaction(tenant, async (transaction) => {
        if (check !== undefined) await holdVersion(transaction, countedKeys);
        const record = readProject(await updateRow(transaction, change, columns, clock.wall()));
        await check?.(changingKeys(transaction));
        return record;
      });
    },
  };
}

function readTenant(row: Row): TenantRecord {
  return {
    id: readText(row, "tenant"),
    name: readText(row, "name"),
    timeZone: readText(row, "time_zone"),
    enabled: readBoolean(row, "enabled"),
    settingsJson: readText(row, "settings"),
    createdAt: readNumber(row, "created_at"),
    updatedAt: readNumber(row, "updated_at"),
    etag: etagOf(row),
  };
}
