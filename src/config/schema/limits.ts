/** Limits and budgets, and what machines share to keep them. */
import { z } from "zod";
import { hasBudgets, limitFallbacks, limitSubjects, maxLimit } from "../../core/limits.ts";
import { readDollars } from "../../core/money.ts";
import { Secret } from "../../core/secret.ts";
import { count, seconds, secretText } from "../field.ts";

const limitCount = count(1, maxLimit).optional();

const money = z
  .union([z.string(), z.number()])
  .transform(String)
  .refine((text) => {
    const nano = readDollars(text);
    return nano !== undefined && nano > 0n && nano <= BigInt(maxLimit);
  }, 'is no amount; write decimal dollars above 0 and up to 9000000, as in "25.00"')
  .optional();

const dollars = z
  .union([z.string(), z.number()])
  .transform(String)
  .refine((text) => readDollars(text) !== undefined, 'is no amount; write decimal dollars, as in "15.00"');

/** A ceiling in dollars for 1 000 000 tokens. */
export const unknownPrice = z.strictObject({
  input: dollars.describe("Dollars for 1 000 000 input tokens"),
  output: dollars.describe("Dollars for 1 000 000 output tokens"),
});

const limitRule = z
  .strictObject({
    tenant: z.string().min(1).default("*").describe("Whose calls; * means every tenant, each by itself"),
    subject: z.enum(limitSubjects).describe("What is counted"),
    id: z.string().min(1).max(256).default("*").describe("Which one; * means every one of the kind, each by itself"),
    requests_per_second: limitCount.describe("Most calls within any second"),
    requests_per_minute: limitCount.describe("Most calls within any minute"),
    input_tokens_per_minute: limitCount.describe("Most input tokens within any minute"),
    output_tokens_per_minute: limitCount.describe("Most output tokens within any minute"),
    tokens_per_minute: limitCount.describe("Most input and output tokens together within any minute"),
    bytes_per_minute: limitCount.describe("Most bytes of requests within any minute, in the encoding of the contract"),
    concurrency: limitCount.describe("Most calls at once"),
    usd_per_day: money.describe("Most dollars in a day of the tenant's time zone"),
    usd_per_month: money.describe("Most dollars in a month of the tenant's time zone"),
    shared_state_gone: z
      .enum(limitFallbacks)
      .optional()
      .describe(
        "While Redis is away: closed refuses, local-share admits this process's part, open admits all. By default closed for money, else local-share",
      ),
  })
  .refine(
    ({ subject, usd_per_day: perDay, usd_per_month: perMonth }) => hasBudgets(subject) || (perDay ?? perMonth) === undefined,
    "sets a budget for owners, whom the ledger does not name; set it for each key, or for the project",
  )
  .refine(
    ({ tenant: _tenant, subject: _subject, id: _id, shared_state_gone: _gone, ...limits }) =>
      Object.values(limits).some((limit) => limit !== undefined),
    "sets no limit; add one, as requests_per_minute",
  );

const callerPace = z.strictObject({
  enabled: z.boolean().default(false).describe("Whether callers are held to a pace at all"),
  requests_per_second: count(1, 1_000_000).default(50).describe("Requests that one caller may go on sending"),
  burst: count(1, 10_000_000)
    .default(100)
    .describe("Requests that a caller may send at once; as many are let in within the time in which so many are due"),
});

export const limits = z.strictObject({
  caller_pace: callerPace
    .prefault({})
    .describe("How many requests one key may send, or without one a client's address, whatever they ask for; asked before a body is read"),
  unknown_price: unknownPrice
    .optional()
    .describe("What a model without a price is taken to cost while its calls run; by default nothing is reserved of budgets for them"),
  rules: z.array(limitRule).default([]).describe("Limits and budgets, beside those that administrators set"),
  machines: count(1, 10_000).default(1).describe("On how many machines the gateway runs; limits are theirs together"),
  output_estimate_tokens: count(1, 10_000_000)
    .default(1_024)
    .describe("Output tokens that a token limit reserves for a call without a cap; the truth is settled afterwards"),
  max_counters: count(1_000, 100_000_000).default(100_000).describe("Most counters in memory; those that were used longest ago go first"),
  refresh_seconds: seconds(0.1, 3_600).default(2).describe("How often the store is asked for changed limits"),
});

function areRedisUrls(text: string): boolean {
  return text.split(",").every((address) => /^\s*rediss?:\/\/./.test(address) && URL.canParse(address));
}

/** What was refused on its own is still the text that somebody wrote. */
function urlOf(url: unknown): string {
  return url instanceof Secret ? url.reveal() : "";
}

export const redis = z
  .strictObject({
    url: secretText
      .refine(
        (secret) => secret.reveal().startsWith("/") || areRedisUrls(secret.reveal()),
        "is no address of Redis; write redis://host:6379 or rediss://user:password@host:6379, several of a cluster with commas between",
      )
      .optional()
      .describe("Redis that all machines share, as redis://host:6379; several with commas between are nodes of a cluster. Also REDIS_URL"),
    cluster: z.boolean().optional().describe("Whether url names nodes of a Redis Cluster; by default where it names several"),
    sentinel: z.string().min(1).max(256).optional().describe("Name of the primary, where url names sentinels that know which server it is"),
    command_timeout_ms: count(1, 60_000).default(50).describe("Longest wait for an answer of Redis"),
  })
  .refine(({ cluster, sentinel }) => cluster !== true || sentinel === undefined, "names a cluster and sentinels; leave one of them out")
  .refine(
    ({ url, cluster, sentinel }) => !(urlOf(url).startsWith("/") && (cluster === true || sentinel !== undefined)),
    "names a socket, which is one server; write redis://host:port for nodes of a cluster and for sentinels",
  )
  .refine(
    ({ url, cluster, sentinel }) => cluster !== false || sentinel !== undefined || !urlOf(url).includes(","),
    "names several servers that are no cluster; leave cluster out, or name one",
  );
