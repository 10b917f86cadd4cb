/** What stores share whose tables each process keeps in memory: every change of a row gives its table a new version. */
import type { Page, PageRequest } from "../core/page.ts";
import { allTenants, type Database, type Row } from "./database.ts";
import { readPage } from "./read-page.ts";
import { deleteRow, nextVersion, readVersion } from "./revision.ts";
import { Where } from "./where.ts";

export interface VersionedTable<Kept> {
  readonly table: string;
  /** What one row is, in errors: `limit rule`. */
  readonly what: string;
  /** What lists of all tenants hold: `all limit rules`. */
  readonly all: string;
  read(row: Row): Kept;
}

export interface VersionedRows<Kept> {
  get(tenant: string, id: string): Promise<Kept | undefined>;
  delete(tenant: string, id: string, etag?: string): Promise<void>;
  version(): Promise<number>;
  listAll(page: PageRequest): Promise<Page<Kept>>;
}

export function versionedRows<Kept>(database: Database, { table, what, all, read }: VersionedTable<Kept>): VersionedRows<Kept> {
  return {
    async get(tenant, id) {
      const [row] = await database.rows(tenant, `SELECT * FROM ${table} WHERE tenant = ? AND id = ?`, [tenant, id]);
      return row === undefined ? undefined : read(row);
    },

    delete(tenant, id, etag) {
      return database.transaction(tenant, async (transaction) => {
        await nextVersion(transaction, table);
        await deleteRow(transaction, changeOf(table, what, tenant, id, etag));
      });
    },

    version: () => readVersion(database, table),

    listAll(page) {
      const order = [
        { column: "tenant", kind: "text" },
        { column: "id", kind: "text" },
      ] as const;
      return readPage(database, allTenants, { name: all, from: table, where: new Where(), order, descending: false, read }, page);
    },
  };
}

/** The change of one row of a tenant. */
export function changeOf(table: string, what: string, tenant: string, id: string, etag: string | undefined) {
  return { table, what, key: Where.ofTenant(tenant).equal("id", id), etag };
}
