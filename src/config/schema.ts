/**
 * The whole configuration: every limit and default of the program stands here and in the folder beside, and nowhere else
 * (surfaces.md 2.10, reliability.md 2.8 and 2.9). Keys are the file's own, in snake_case; units are in the names.
 */
import { z } from "zod";
import { count, modelName, modelReference, pathText, providerName } from "./field.ts";
import { admission, json } from "./schema/admission.ts";
import { auth } from "./schema/auth.ts";
import { ledger } from "./schema/ledger.ts";
import { limits, redis } from "./schema/limits.ts";
import { media } from "./schema/media.ts";
import { discovery, modelOverride, route } from "./schema/models.ts";
import { price, priceData } from "./schema/prices.ts";
import { provider } from "./schema/provider.ts";
import { requestLog } from "./schema/request-log.ts";
import { server } from "./schema/server.ts";
import { idempotency, responsesStore, signatures, stores } from "./schema/stores.ts";
import { telemetry } from "./schema/telemetry.ts";

const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

function toggle(what: string) {
  return z.strictObject({ enabled: z.boolean().default(true).describe(what) });
}

export const configSchema = z.strictObject({
  server: server.prefault({}).describe("Ports and what clients may do on them"),
  auth: auth.prefault({}).describe("Who may call"),
  providers: z
    .record(providerName, provider)
    .default({})
    .describe("Upstream vendors by name, beside those that the environment's keys enable"),
  routes: z.record(modelName, route).default({}).describe("Names that resolve to several targets"),
  aliases: z.record(modelName, modelName).default({}).describe("Names for `provider/model` or for a route"),
  models: z.record(modelReference, modelOverride).default({}).describe("What is known of models, by `provider/model`"),
  discovery: discovery.prefault({}).describe("Local servers that are found at start"),
  limits: limits.prefault({}).describe("Limits and budgets"),
  redis: redis.prefault({}).describe("What machines share"),
  admission: admission.prefault({}).describe("How many calls are taken at once"),
  request_log: requestLog.prefault({}).describe("A record of every call"),
  responses_store: responsesStore.prefault({}).describe("Answers of /v1/responses that clients ask to be stored"),
  media: media.prefault({}).describe("Fetching what clients name by URL"),
  prices: z.array(price).default([]).describe("What models cost, before the price data of the program"),
  price_data: priceData.prefault({}).describe("Prices that are not configured"),
  idempotency: idempotency.prefault({}).describe("Calls with an idempotency key"),
  stores: stores.prefault({}).describe("Where records are kept"),
  telemetry: telemetry.prefault({}).describe("What the gateway tells about itself"),
  ledger: ledger.prefault({}).describe("What was spent: one row an attempt"),
  signatures: signatures.prefault({}).describe("Who signed reasoning and tool calls, remembered for clients that cannot say it"),
  facade: z
    .strictObject({
      default_stream: z.boolean().default(false).describe("Whether /v1/chat/completions streams where the request does not say"),
      relay: z
        .boolean()
        .default(true)
        .describe("Whether clients that speak an upstream's own format get its bytes, where nothing in them must differ"),
    })
    .prefault({})
    .describe("HTTP surfaces"),
  rpc: z
    .strictObject({ reflection: z.boolean().default(true).describe("Whether server reflection is served") })
    .prefault({})
    .describe("gRPC, gRPC-Web and Connect"),
  sim: toggle("Whether the simulated provider `sim` is there").prefault({}).describe("The simulated upstream"),
  local_embeddings: toggle("Whether `local/use-lite` is offered where its packages are installed")
    .prefault({})
    .describe("The built-in embedding model"),
  max_attempts: count(1, 100).default(3).describe("Most tries of a call whose model is no route"),
  retryable_status_codes: z
    .array(count(400, 599))
    .default([429, 500, 502, 503, 504, 529])
    .describe("Upstream statuses after which another target is tried; replaces the default list"),
  json: json.prefault({}).describe("Limits of JSON in requests"),
  log_level: z.enum(logLevels).default("info").describe("Least level that is logged"),
  data_dir: pathText.default(".dragoman").describe("Where the program keeps files. Where it is set, records are kept there in SQLite"),
});

/** The effective configuration: every default filled in, secrets as Secret, frozen. */
export type Config = z.output<typeof configSchema>;
export type ServerConfig = Config["server"];
export type ProviderConfig = Config["providers"][string];
export type ModelOverride = Config["models"][string];
