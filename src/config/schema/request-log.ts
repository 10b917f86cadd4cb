/** A record of every call. */
import { z } from "zod";
import { retentions } from "../../core/request-log-store.ts";
import { count, seconds, tenantName } from "../field.ts";

const retention = z.enum(retentions);

const ageDays = seconds(0.01, 36_500);
/** Words of people are not kept longer, whatever is configured (reliability.md 2.7). */
const contentAgeDays = seconds(0.01, 30);
const logBytes = count(65_536, 1_099_511_627_776);

const requestLogQueue = z.strictObject({
  max_records: count(1, 10_000_000)
    .default(10_000)
    .describe("Most records that wait to be written; beyond it new ones are dropped and counted"),
  max_bytes: count(65_536, 17_179_869_184).default(67_108_864).describe("Most memory of what waits"),
  flush_ms: count(1, 60_000).default(200).describe("How long a record waits for others to be written with"),
});

/** What holds for one tenant instead, and bounds beside those of the whole log. */
const tenantLog = z.strictObject({
  retention_default: retention.optional().describe("What is kept of its calls' content where they do not say"),
  retention_max: retention.optional().describe("The most that its calls may ask for"),
  max_age_days: ageDays.optional().describe("How long its records are kept, where that is shorter"),
  max_content_age_days: contentAgeDays.optional().describe("How long its contents are kept, where that is shorter"),
  max_bytes: logBytes.optional().describe("Most bytes of its records and contents; its oldest go first"),
});

export const requestLog = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether calls leave a record"),
  retention_default: retention
    .default("none")
    .describe("What is kept of a call's content where the call does not say: none, metadata, full"),
  retention_max: retention
    .default("metadata")
    .describe("The most that a call may ask for; full keeps whole requests and answers, redacted"),
  max_age_days: ageDays.default(30).describe("How long records are kept"),
  max_content_age_days: contentAgeDays.default(30).describe("How long contents are kept"),
  max_bytes: logBytes.default(1_073_741_824).describe("Most bytes of records and contents; the oldest go first"),
  max_memory_records: count(1, 10_000_000).default(10_000).describe("Most records where they are kept in memory only"),
  max_body_characters: count(256, 16_777_216)
    .default(262_144)
    .describe("Most characters of a request or an answer that retention full keeps"),
  max_agents: count(0, 1_000_000).default(200).describe("Most caller agents of a tenant that are made by their first call"),
  prune_seconds: seconds(0.1, 86_400).default(60).describe("How often what is too old or too much is thrown away"),
  tenants: z.record(tenantName, tenantLog).default({}).describe("What is else for some tenants, by their ids"),
  queue: requestLogQueue.prefault({}).describe("What waits to be written"),
});
