import type { Migration } from "./migration.ts";

/** PostgreSQL's TRUNCATE goes past triggers of rows; SQLite has none. */
export const auditNeverEmptied: Migration = {
  version: 2,
  name: "the audit log is never emptied",
  statements: [],
  postgres: ["CREATE TRIGGER audit_never_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"],
};
