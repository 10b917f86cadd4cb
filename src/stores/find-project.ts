import type { ProjectRecord } from "../core/tenant-store.ts";
import type { Database, Row } from "./database.ts";
import { readBoolean, readNumber, readText } from "./read-value.ts";
import { etagOf } from "./revision.ts";

/** Also in the middle of a transaction. */
export async function findProject(source: Pick<Database, "rows">, tenant: string, id: string): Promise<ProjectRecord | undefined> {
  const [row] = await source.rows(tenant, "SELECT * FROM projects WHERE tenant = ? AND id = ?", [tenant, id]);
  return row === undefined ? undefined : readProject(row);
}

export function readProject(row: Row): ProjectRecord {
  return {
    tenant: readText(row, "tenant"),
    id: readText(row, "id"),
    name: readText(row, "name"),
    enabled: readBoolean(row, "enabled"),
    settingsJson: readText(row, "settings"),
    createdAt: readNumber(row, "created_at"),
    updatedAt: readNumber(row, "updated_at"),
    etag: etagOf(row),
  };
}
