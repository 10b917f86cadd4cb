import { createHash } from "node:crypto";
import type { AuditRecord, AuditStore, NewAuditEntry } from "../core/audit-store.ts";
import { maxPageSize } from "../core/page.ts";
import type { Database, Row } from "./database.ts";
import { readPage } from "./read-page.ts";
import { readNumber, readText } from "./read-value.ts";
import { Where } from "./where.ts";

/** What stands before the first entry. */
const noHash = "0".repeat(64);

export function createAuditStore(database: Database): AuditStore {
  return {
    append(tenant, entry) {
      return database.transaction(tenant, async (transaction) => {
        // Moves the head on and locks it: of two that append at once, the second waits and sees the first's.
        const move = `INSERT INTO audit_heads (tenant, sequence, hash) VALUES (?, 1, ?)
          ON CONFLICT (tenant) DO UPDATE SET sequence = audit_heads.sequence + 1 RETURNING sequence, hash`;
        const [head] = (await transaction.run(move, [tenant, noHash])).rows;
        if (head === undefined) throw new Error("the database did not move the head of the audit log");
        const linked = {
          ...entry,
          at: Math.round(entry.at),
          tenant,
          sequence: readNumber(head, "sequence"),
          prevHash: readText(head, "hash"),
        };
        const record = { ...linked, hash: hashOf(linked) };
        const sql = `INSERT INTO audit
          (tenant, sequence, happened_at, actor, action, subject_kind, subject_id, outcome, details, request_id, prev_hash, hash)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
        await transaction.run(sql, valuesOf(record));
        await transaction.run("UPDATE audit_heads SET hash = ? WHERE tenant = ?", [record.hash, tenant]);
        return record;
      });
    },

    list(tenant, { actor, action, subjectKind, subjectId, from, until }, page) {
      const where = Where.ofTenant(tenant)
        .equal("actor", actor)
        .equal("subject_kind", subjectKind)
        .equal("subject_id", subjectId)
        .from("happened_at", from)
        .before("happened_at", until);
      if (action?.endsWith(".")) where.startsWith("action", action);
      else where.equal("action", action);
      const order = [{ column: "sequence", kind: "number" }] as const;
      return readPage(database, tenant, { name: "audit", from: "audit", where, order, descending: true, read: readEntry }, page);
    },

    async verify(tenant) {
      const [head] = await database.rows(tenant, "SELECT sequence, hash FROM audit_heads WHERE tenant = ?", [tenant]);
      const sql = "SELECT * FROM audit WHERE tenant = ? AND sequence > ? ORDER BY sequence LIMIT ?";
      let sequence = 0;
      let hash = noHash;
      while (true) {
        const rows = await database.rows(tenant, sql, [tenant, sequence, maxPageSize]);
        for (const entry of rows.map(readEntry)) {
          const follows = entry.sequence === sequence + 1 && entry.prevHash === hash && entry.hash === hashOf(entry);
          if (!follows) return { entries: sequence, brokenAt: sequence + 1 };
          ({ sequence, hash } = entry);
        }
        if (rows.length < maxPageSize) break;
      }
      // Entries that came while the chain was read are past the head that was read before it.
      const end = head === undefined ? 0 : readNumber(head, "sequence");
      const whole = sequence > end || (sequence === end && hash === (head === undefined ? noHash : readText(head, "hash")));
      return { entries: sequence, brokenAt: whole ? undefined : sequence + 1 };
    },
  };
}

/** Over the fields in a fixed order, as JSON: no two entries have the same text. */
function hashOf(entry: Omit<AuditRecord, "hash">): string {
  const fields = [entry.prevHash, entry.tenant, entry.sequence, entry.at, entry.actor, entry.action, entry.subjectKind, entry.subjectId];
  return createHash("sha256")
    .update(JSON.stringify([...fields, entry.outcome, entry.detailsJson, entry.requestId]))
    .digest("hex");
}

function valuesOf(record: AuditRecord) {
  const { tenant, sequence, at, actor, action, subjectKind, subjectId, outcome, detailsJson, requestId, prevHash, hash } = record;
  return [tenant, sequence, at, actor, action, subjectKind, subjectId, outcome, detailsJson, requestId, prevHash, hash];
}

function readEntry(row: Row): AuditRecord {
  return {
    tenant: readText(row, "tenant"),
    sequence: readNumber(row, "sequence"),
    at: readNumber(row, "happened_at"),
    actor: readText(row, "actor"),
    action: readText(row, "action"),
    subjectKind: readText(row, "subject_kind"),
    subjectId: readText(row, "subject_id"),
    outcome: readText(row, "outcome") as NewAuditEntry["outcome"],
    detailsJson: readText(row, "details"),
    requestId: readText(row, "request_id"),
    prevHash: readText(row, "prev_hash"),
    hash: readText(row, "hash"),
  };
}
