/** What is kept where, how much of it and for how long. */
import { z } from "zod";
import { count, seconds, secretText } from "../field.ts";

export const stores = z.strictObject({
  engine: z
    .enum(["auto", "memory", "sqlite", "postgres"])
    .default("auto")
    .describe(
      "Where keys, limits, prices, ledger and log are kept. auto: PostgreSQL where it has an address; SQLite where data_dir is set or holds its file; else memory",
    ),
  database_url: secretText
    .refine(
      (secret) => /^postgres(?:ql)?:\/\/./.test(secret.reveal()),
      "is no address of PostgreSQL; write postgres://user:password@host/database",
    )
    .optional()
    .describe("PostgreSQL, as postgres://user:password@host/database; also DATABASE_URL"),
  pool_size: count(1, 1_000).default(10).describe("Most connections to PostgreSQL of one process"),
  migrate_on_start: z.boolean().default(false).describe("Bring PostgreSQL's schema up to date at start, as `dragoman migrate` does"),
});

export const responsesStore = z.strictObject({
  max_bytes: count(0, 1_099_511_627_776).default(67_108_864).describe("Most bytes of stored answers; the oldest go first. 0 keeps none"),
  ttl_seconds: seconds(1, 2_592_000).default(2_592_000).describe("How long an answer can be retrieved and continued"),
  upstream_ids: z
    .boolean()
    .default(false)
    .describe(
      "Whether callers with keys may name answers, items and conversations that a provider keeps. Providers know the gateway's account alone: whoever knows an id can go on with it, whichever tenant it is of",
    ),
});

export const idempotency = z.strictObject({
  keep_seconds: seconds(1, 2_592_000).default(86_400).describe("How long a call with an idempotency key can be repeated"),
  max_keys: count(1, 1_000_000_000)
    .default(100_000)
    .describe("Most keys of one tenant at once; a call with a further one is refused until some of them end"),
  max_bytes: count(65_536, 1_099_511_627_776)
    .default(268_435_456)
    .describe("Most bytes of kept answers together; of the oldest beyond it only the key stays, so that a repeat is refused"),
  max_answer_bytes: count(0, 67_108_864).default(1_048_576).describe("Largest answer that is kept; a longer one cannot be repeated"),
});

export const signatures = z.strictObject({
  max_bytes: count(0, 4_294_967_296).default(33_554_432).describe("Most memory of all that is remembered"),
  max_call_bytes: count(0, 16_777_216).default(262_144).describe("Largest reasoning that is kept for one tool call"),
  ttl_seconds: seconds(1, 31_536_000).default(86_400).describe("How long it is kept since it was last used"),
});
