import type { Clock } from "../core/clock.ts";
import type { LimitRuleRecord, LimitRuleStore } from "../core/limit-rule-store.ts";
import { type Database, flag, onlyRow, type Row } from "./database.ts";
import { readPage } from "./read-page.ts";
import { readBoolean, readNumber, readText } from "./read-value.ts";
import { creating, etagOf, nextVersion, updateRow } from "./revision.ts";
import { changeOf, versionedRows } from "./versioned-rows.ts";
import { Where } from "./where.ts";

const table = "limit_rules";
const what = "limit rule";

export function createLimitRuleStore(database: Database, clock: Clock): LimitRuleStore {
  return {
    ...versionedRows(database, { table, what, all: "all limit rules", read: readRule }),

    create(tenant, { id, subjectKind, subjectId, settingsJson, enabled }) {
      return creating(what, () =>
        database.transaction(tenant, async (transaction) => {
          const now = clock.wall();
          await nextVersion(transaction, table);
          const sql = `INSERT INTO limit_rules (tenant, id, subject_kind, subject_id, settings, enabled, created_at, updated_at, revision)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1) RETURNING *`;
          const values = [tenant, id, subjectKind, subjectId, settingsJson, flag(enabled), now, now];
          return readRule(onlyRow([await transaction.run(sql, values)]));
        }),
      );
    },

    list(tenant, { subjectKind, subjectId }, page) {
      const where = Where.ofTenant(tenant).equal("subject_kind", subjectKind).equal("subject_id", subjectId);
      const order = [{ column: "id", kind: "text" }] as const;
      return readPage(database, tenant, { name: "limit rules", from: table, where, order, descending: false, read: readRule }, page);
    },

    update(tenant, id, { settingsJson, enabled }, etag) {
      return database.transaction(tenant, async (transaction) => {
        await nextVersion(transaction, table);
        const columns = { settings: settingsJson, enabled: flag(enabled) };
        return readRule(await updateRow(transaction, changeOf(table, what, tenant, id, etag), columns, clock.wall()));
      });
    },
  };
}

function readRule(row: Row): LimitRuleRecord {
  return {
    tenant: readText(row, "tenant"),
    id: readText(row, "id"),
    subjectKind: readText(row, "subject_kind"),
    subjectId: readText(row, "subject_id"),
    settingsJson: readText(row, "settings"),
    enabled: readBoolean(row, "enabled"),
    createdAt: readNumber(row, "created_at"),
    updatedAt: readNumber(row, "updated_at"),
    etag: etagOf(row),
  };
}
