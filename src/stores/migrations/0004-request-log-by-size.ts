import type { Migration } from "./migration.ts";

/** Every minute somebody asks how large the log is: the sizes alone are to be read for that, not the records. */
export const requestLogBySize: Migration = {
  version: 4,
  name: "the request log by size",
  statements: [
    "CREATE INDEX request_log_by_size ON request_log (tenant, bytes)",
    "CREATE INDEX request_contents_by_size ON request_contents (tenant, bytes)",
  ],
};
