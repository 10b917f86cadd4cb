/** dragoman.admin.v1.AuditService. */
import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { type AuditEntry, AuditEntrySchema, AuditOutcome, type AuditService } from "../../../gen/dragoman/admin/v1/audit_service_pb.ts";
import type { AuditRecord, AuditStore } from "../../core/audit-store.ts";
import { adminCallOf } from "./admin-call.ts";
import { readPage } from "./page.ts";
import { readTime, writeTime } from "./timestamp.ts";

const outcomes: Readonly<Record<AuditRecord["outcome"], AuditOutcome>> = {
  success: AuditOutcome.SUCCESS,
  refused: AuditOutcome.REFUSED,
  failed: AuditOutcome.FAILED,
};

export function createAuditService(audit: Pick<AuditStore, "list" | "verify">): ServiceImpl<typeof AuditService> {
  return {
    async listAuditEntries({ tenant: named, actor, action, subjectKind, subjectId, fromTime, untilTime, ...page }, context) {
      const tenant = adminCallOf(context).tenant(named);
      const filter = {
        actor: actor || undefined,
        action: action || undefined,
        subjectKind: subjectKind || undefined,
        subjectId: subjectId || undefined,
        from: readTime(fromTime),
        until: readTime(untilTime),
      };
      const { items, next = "" } = await audit.list(tenant, filter, readPage(page));
      return { entries: items.map(writeEntry), nextPageToken: next };
    },

    async verifyAuditLog({ tenant }, context) {
      const { entries, brokenAt } = await audit.verify(adminCallOf(context).tenant(tenant));
      return { entries: BigInt(entries), ...(brokenAt === undefined ? {} : { brokenAt: BigInt(brokenAt) }) };
    },
  };
}

function writeEntry({ at, sequence, prevHash, outcome, tenant, actor, action, subjectKind, subjectId, ...rest }: AuditRecord): AuditEntry {
  const { detailsJson, requestId, hash } = rest;
  return create(AuditEntrySchema, {
    ...{ tenant, actor, action, subjectKind, subjectId, detailsJson, requestId, hash },
    sequence: BigInt(sequence),
    time: writeTime(at),
    outcome: outcomes[outcome],
    previousHash: prevHash,
  });
}
