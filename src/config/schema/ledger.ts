/** What was spent. */
import { z } from "zod";
import { count, seconds } from "../field.ts";

const drain = z.strictObject({
  max_streams: count(1, 10_000).default(50).describe("Most streams that are read on at once; others are closed and estimated"),
  seconds: seconds(0.05, 3_600).default(60).describe("Longest time after the client has left"),
  max_tokens: count(1, 10_000_000).default(16_384).describe("Most output tokens after the client has left"),
});

export const ledger = z.strictObject({
  journal: z
    .enum(["memory", "os", "fsync"])
    .optional()
    .describe(
      "What calls outlive. os: the death of the process; fsync: a loss of power; memory: neither, and no files. By default os where records are stored, else memory",
    ),
  charge_policy: z
    .enum(["success_only", "all_attempts"])
    .default("success_only")
    .describe("Whether a tenant is charged for attempts that failed; what the provider takes is kept in either case"),
  segment_bytes: count(65_536, 1_073_741_824).default(67_108_864).describe("Size of one file of the journal"),
  max_journal_bytes: count(1_048_576, 1_099_511_627_776)
    .default(1_610_612_736)
    .describe("Most bytes of the journal while the store is away; then new calls are refused"),
  reserve_bytes: count(0, 1_073_741_824).default(67_108_864).describe("Kept free for running calls when the disk fills up"),
  max_queued_rows: count(1, 10_000_000).default(50_000).describe("Most rows in memory while the store is away; others wait in the journal"),
  memory_rows: count(0, 10_000_000).default(10_000).describe("Most rows that are kept where nothing is stored"),
  drain: drain.prefault({}).describe("Bounds of streams that are read on without a client"),
});
