/**
 * The whole configuration: every limit and default of the program stands here and nowhere else (surfaces.md 2.10,
 * reliability.md 2.8 and 2.9). Keys are the file's own, in snake_case; units are in the names.
 */
import { z } from "zod";
import { minApiKeyLength } from "../core/access.ts";
import { limitFallbacks, limitSubjects, maxLimit } from "../core/limits.ts";
import { readDollars } from "../core/money.ts";
import { isRateName } from "../core/pricing.ts";
import { roles } from "../core/principal.ts";
import { retentions } from "../core/request-log-store.ts";
import { scopes } from "../core/scope.ts";
import { tokenAlgorithms } from "../core/token-algorithm.ts";
import {
  addressRange,
  baseUrl,
  count,
  duration,
  headerName,
  headerValue,
  hostAndPort,
  listenAddress,
  modelName,
  modelReference,
  pathText,
  providerName,
  seconds,
  secretText,
  tenantName,
  webOrigin,
  workerCount,
} from "./field.ts";

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

const tls = z.strictObject({
  /** PEM files: the certificate with its chain, and the private key. */
  cert_file: pathText,
  key_file: pathText,
  client_ca_file: pathText
    .optional()
    .describe("PEM file of the authorities whose client certificates are asked for; auth.mtls says who they are"),
});

const cors = z.strictObject({
  origins: z.array(webOrigin).default([]).describe("Exact origins of browser pages that may call the data port; never *"),
});

const server = z.strictObject({
  listen: listenAddress.prefault("127.0.0.1:8080").describe("Data port: RPC and every HTTP surface. Beyond loopback it needs auth"),
  listen_admin: listenAddress.prefault("127.0.0.1:9091").describe("Admin port. Beyond loopback it needs TLS or auth"),
  tls: tls.optional().describe("Certificate for both ports; without it they speak plaintext HTTP/1.1 and h2c"),
  cors: cors.prefault({}).describe("Which browser pages may call"),
  trusted_proxies: z
    .array(addressRange)
    .default([])
    .describe("Addresses and ranges of proxies whose X-Forwarded-For says who calls; nobody else's does"),
  host_names: z
    .array(z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, "is no host name; write it in lower case, without a port"))
    .default([])
    .describe(
      "Names besides localhost by which this machine is called where auth is off, as a proxy on it may do; web pages of other names are refused",
    ),
  workers: workerCount
    .prefault(1)
    .describe("Processes that serve, behind the same ports: a number, or auto for one per core. More than one share limits and records"),
  node: modelName.optional().describe("Name of this instance in headers; by default the target that answers is named"),
  max_body_bytes: count(1_024, 1_073_741_824).default(10_485_760).describe("Largest request body after decompression"),
  max_header_bytes: count(1_024, 1_048_576).default(16_384).describe("Largest sum of request header bytes"),
  max_headers: count(10, 10_000).default(100).describe("Most request header fields"),
  max_url_bytes: count(256, 65_536).default(8_192).describe("Longest request target"),
  headers_timeout_seconds: seconds(0.05, 600).default(10).describe("Until the request's headers are there"),
  body_timeout_seconds: seconds(0.05, 3_600).default(30).describe("Until the request's body is there"),
  idle_timeout_seconds: seconds(0.05, 86_400).default(120).describe("How long a connection without calls stays open"),
  write_stall_h1_seconds: seconds(0.05, 3_600).default(60).describe("How long an HTTP/1.1 client may read nothing before it is reset"),
  write_stall_h2_seconds: seconds(0.05, 3_600).default(30).describe("How long an HTTP/2 stream may take nothing before it is reset"),
  max_streams_per_connection: count(1, 100_000).default(1_000).describe("Most concurrent streams of one HTTP/2 connection"),
  h2_stream_window_bytes: count(16_384, 2_147_483_647).default(65_536).describe("HTTP/2 receive window of a stream"),
  h2_connection_window_bytes: count(65_535, 2_147_483_647).default(1_048_576).describe("HTTP/2 receive window of a connection"),
  max_h2_resets: count(1, 1_000_000)
    .default(100)
    .describe("Streams a client may reset within h2_reset_window_seconds before its connection ends"),
  h2_reset_window_seconds: seconds(0.05, 3_600).default(10).describe("Span over which resets are counted"),
  h2_ping_seconds: seconds(0.05, 3_600)
    .default(30)
    .describe("How often an HTTP/2 connection with running calls is asked whether it is there"),
  max_connection_age_seconds: seconds(1, 604_800).default(3_600).describe("After this a connection is asked to end, give or take 10 %"),
  max_control_message_bytes: count(1_024, 1_073_741_824).default(4_194_304).describe("Largest message of health and reflection"),
  max_answer_message_bytes: count(1_024, 2_147_483_647).default(67_108_864).describe("Largest message that an RPC answers"),
  max_connections: count(1, 1_000_000).default(10_000).describe("Most open client connections"),
  drain_seconds: seconds(0, 86_400).default(600).describe("How long running calls may finish after SIGTERM"),
  drain_notice_seconds: seconds(0, 600).default(5).describe("How long the port stays open after readiness went off"),
  max_timeout_seconds: seconds(0.05, 86_400).default(600).describe("Longest deadline of a call; also the one of calls that name none"),
  allow_vulnerable_runtime: z
    .boolean()
    .default(false)
    .describe("Listen beyond loopback on a Node version with known security holes (below 22.22.2 or 24.14.1)"),
});

const role = z.enum(roles);
const scope = z.enum(scopes);
const textList = z
  .union([z.string().min(1), z.array(z.string().min(1))])
  .transform((value) => (typeof value === "string" ? [value] : value));

const certificateGrant = z.strictObject({
  tenant: tenantName.optional().describe("Its tenant; default by default"),
  project: tenantName.optional().describe("Its project; default by default"),
  roles: z.array(role).default([]).describe("What it may do; member by default"),
  scopes: z.array(scope).default([]).describe("What it may be used for; by default what its roles imply"),
  models: z.array(z.string().min(1)).default([]).describe("Models that it may name; all by default"),
  endpoints: z.array(z.string().min(1)).default([]).describe("METHOD /path that it may call; all by default"),
});

const auth = z
  .strictObject({
    enabled: z.boolean().optional().describe("Whether callers need a key; by default exactly when a way to get in is configured here"),
    api_keys_file: pathText.optional().describe("File with one `<sha256-hex or key> <scope,scope>` per line; re-read when it changes"),
    api_key: secretText
      .refine((secret) => secret.reveal().length >= minApiKeyLength, `is too short; use at least ${minApiKeyLength} characters`)
      .optional()
      .describe("One key with every scope; also DRAGOMAN_API_KEY"),
    pepper: secretText
      .refine((secret) => secret.reveal().length >= 32, "is too short; use at least 32 characters")
      .optional()
      .describe("Secret that stored keys are hashed with; the same on every replica. By default a file in data_dir, made once"),
    oidc_issuer: baseUrl.optional().describe("Whose tokens are taken, exactly as their iss claim says"),
    oidc_audience: textList.default([]).describe("What a token's aud claim must name: one of these"),
    oidc_jwks_url: baseUrl.optional().describe("Where the issuer's keys are; by default its discovery document says"),
    oidc_jwks_ttl: duration.prefault("10m").describe("How long the issuer's keys are used before they are fetched again"),
    oidc_algorithms: z
      .array(z.enum(tokenAlgorithms))
      .min(1)
      .default(["RS256", "ES256", "EdDSA"])
      .describe("Signature algorithms of tokens; others are refused"),
    oidc_roles_claim: z.string().min(1).default("roles").describe("Claim that lists roles; dots lead into objects"),
    oidc_roles: z.record(z.string().min(1), role).default({}).describe("Which value of that claim is which role"),
    oidc_default_role: role.default("member").describe("Role of whoever has none of them"),
    oidc_groups_claim: z.string().min(1).default("groups").describe("Claim that lists groups"),
    oidc_groups: z.record(z.string().min(1), z.array(scope)).default({}).describe("Scopes by group, beside those of scope and scp"),
    oidc_tenant_claim: z.string().default("").describe("Claim that names the tenant; without it everybody is of the tenant default"),
    oidc_project_claim: z.string().default("").describe("Claim that names the project"),
    mtls: z
      .record(z.string().regex(/^[\x21-\x7e]{1,2048}$/), certificateGrant)
      .default({})
      .describe("Services by the SPIFFE id or DNS name of their client certificate"),
  })
  .superRefine(({ oidc_issuer: issuer, oidc_audience: audience }, context) => {
    if (issuer === undefined || audience.length > 0) return;
    const message = "is missing; name what the issuer's tokens for this gateway say, or it would take those for others";
    context.addIssue({ code: "custom", path: ["oidc_audience"], message });
  })
  .transform((fields) => ({ ...fields, enabled: fields.enabled ?? hasWayIn(fields) }));

/** Whether anybody can get in without a key of the store. */
export function hasWayIn(auth: { api_keys_file?: unknown; api_key?: unknown; oidc_issuer?: unknown; mtls: object }): boolean {
  const { api_keys_file: file, api_key: key, oidc_issuer: issuer, mtls } = auth;
  return file !== undefined || key !== undefined || issuer !== undefined || Object.keys(mtls).length > 0;
}

const provider = z.strictObject({
  type: z.string().min(1).optional().describe("What kind of vendor it is; by default its name"),
  enabled: z.boolean().default(true).describe("Whether it is used at all"),
  api_key: secretText
    .optional()
    .describe("The credential: a reference to a variable or file:/path; by default from the vendor's usual variable"),
  access_key_id: secretText.optional().describe("For AWS: id of the access key that signs requests; by default AWS_ACCESS_KEY_ID"),
  secret_access_key: secretText.optional().describe("For AWS: the access key itself; by default AWS_SECRET_ACCESS_KEY"),
  session_token: secretText.optional().describe("For AWS: token of a temporary access key; by default AWS_SESSION_TOKEN"),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,63}$/, "is no region; write it as in eu-central-1")
    .optional()
    .describe("For AWS: where the models run; by default AWS_REGION or AWS_DEFAULT_REGION"),
  base_url: baseUrl.optional().describe("Where its API is, with the version's path, as in http://10.0.0.5:8000/v1"),
  headers: z.record(headerName, headerValue).default({}).describe("Further headers of every request; their values are treated as secrets"),
  api_version: z.string().min(1).optional().describe("Version that the vendor wants named"),
  models: z.array(z.string().min(1)).optional().describe("Model ids it serves; by default it is asked"),
  connect_timeout_seconds: seconds(0.01, 600).default(3).describe("Until a connection stands"),
  first_byte_timeout_seconds: seconds(0.01, 3_600).default(120).describe("Until the first byte of the answer"),
  idle_timeout_seconds: seconds(0.01, 3_600).default(60).describe("Longest silence within an answer"),
  total_timeout_seconds: seconds(0.01, 86_400).default(600).describe("Longest answer"),
  pool_size: count(1, 65_535).default(256).describe("Most connections to it"),
  on_disconnect: z
    .enum(["estimate", "drain", "no_bill"])
    .default("estimate")
    .describe(
      "When a client leaves its stream. estimate: close it and bill what came; drain: read on for the exact counts; no_bill: close it and bill nothing, for providers that do so",
    ),
});

const routeTarget = z.strictObject({
  provider: providerName.describe("A configured provider's name"),
  model: z.string().min(1).describe("The model's name there"),
});

const route = z.strictObject({
  strategy: z
    .enum(["fallback", "round-robin"])
    .default("round-robin")
    .describe("fallback: always the first that works; round-robin: begin with the next one every time"),
  targets: z.array(routeTarget).min(1, "is empty; name at least one target").describe("In order"),
  max_attempts: count(1, 100).default(3).describe("Most tries of one call"),
});

const modelOverride = z.strictObject({
  context_window: count(1, 4_294_967_295).optional().describe("Tokens of input and output together"),
  max_output_tokens: count(1, 4_294_967_295).optional().describe("Most output tokens"),
  embedding_dimensions: count(1, 1_000_000).optional().describe("Length of the vectors of an embedding model"),
  sampling: z.boolean().optional().describe("Takes temperature, top_p and top_k"),
  mid_system: z.boolean().optional().describe("Takes system messages after the first user message"),
  prefill: z.boolean().optional().describe("Continues a final assistant message"),
  structured_output: z.boolean().optional().describe("Follows a JSON schema by itself"),
  tools: z.boolean().optional().describe("Calls tools"),
  vision: z.boolean().optional().describe("Takes images"),
  reasoning: z.enum(["none", "effort", "budget", "both", "adaptive"]).optional().describe("How it is told to think"),
  image_urls: z.boolean().optional().describe("Takes images by URL"),
  tool_result_images: z.boolean().optional().describe("Takes images inside tool results"),
});

const discoveredServer = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether it is looked for"),
  base_url: baseUrl.optional().describe("Where it is looked for instead of its default port"),
});

const discovery = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether local OpenAI-compatible servers are looked for at start"),
  timeout_ms: count(10, 60_000).default(500).describe("How long one of them may take to answer"),
  refresh_seconds: seconds(1, 86_400).default(300).describe("How often providers are asked for their models"),
  servers: z.record(providerName, discoveredServer).default({}).describe("What differs, by the server's name"),
});

const admission = z.strictObject({
  max_queue: count(0, 1_000_000).default(4_096).describe("Most calls of one model in flight"),
});

const responsesStore = z.strictObject({
  max_bytes: count(0, 1_099_511_627_776).default(67_108_864).describe("Most bytes of stored answers; the oldest go first. 0 keeps none"),
  ttl_seconds: seconds(1, 2_592_000).default(2_592_000).describe("How long an answer can be retrieved and continued"),
});

const retention = z.enum(retentions);

const requestLogQueue = z.strictObject({
  max_records: count(1, 10_000_000)
    .default(10_000)
    .describe("Most records that wait to be written; beyond it new ones are dropped and counted"),
  max_bytes: count(65_536, 17_179_869_184).default(67_108_864).describe("Most memory of what waits"),
  flush_ms: count(1, 60_000).default(200).describe("How long a record waits for others to be written with"),
});

const requestLog = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether calls leave a record"),
  retention_default: retention
    .default("none")
    .describe("What is kept of a call's content where the call does not say: none, metadata, full"),
  retention_max: retention
    .default("metadata")
    .describe("The most that a call may ask for; full keeps whole requests and answers, redacted"),
  max_age_days: seconds(0.01, 36_500).default(30).describe("How long records are kept"),
  max_content_age_days: seconds(0.01, 36_500).default(30).describe("How long contents are kept"),
  max_bytes: count(65_536, 1_099_511_627_776).default(1_073_741_824).describe("Most bytes of records and contents; the oldest go first"),
  max_memory_records: count(1, 10_000_000).default(10_000).describe("Most records where they are kept in memory only"),
  max_body_characters: count(256, 16_777_216)
    .default(262_144)
    .describe("Most characters of a request or an answer that retention full keeps"),
  max_agents: count(0, 1_000_000).default(200).describe("Most caller agents of a tenant that are made by their first call"),
  prune_seconds: seconds(0.1, 86_400).default(60).describe("How often what is too old or too much is thrown away"),
  queue: requestLogQueue.prefault({}).describe("What waits to be written"),
});

const rates = z
  .record(
    z.string().refine(isRateName, "is no rate; see docs/prices.md for their names"),
    z
      .union([z.string(), z.number()])
      .transform(String)
      .refine((text) => readDollars(text) !== undefined, 'is no amount; write decimal dollars, as in "0.075"'),
  )
  .refine((named) => Object.keys(named).length > 0, "is empty; name at least one rate");

const instant = z.iso.datetime({ offset: true }).or(z.iso.date());

const price = z.strictObject({
  provider: providerName.describe("A configured provider's name"),
  model: z
    .string()
    .regex(/^[^*]*(?:\*[^*]*){0,4}$/, "has more than four *")
    .min(1)
    .max(256)
    .describe("The model's name there, or a pattern with *"),
  rates: rates.describe(
    "Dollars for 1 000 000 units, by what is counted: input, output, cache_read, requests, tool.<name>, batch.output ...",
  ),
  tiers: z
    .array(
      z.strictObject({
        above_input_tokens: count(1, 4_294_967_295).describe("The rates count for calls with more input than this"),
        rates: rates.describe("The rates that are other there"),
      }),
    )
    .default([])
    .describe("Other rates for large inputs"),
  effective_from: instant.optional().describe("It holds for attempts that begin then or later"),
  effective_until: instant.optional().describe("And before this"),
  source: z.string().max(500).optional().describe("Where the price was read, for people"),
});

const priceData = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether vendors' list prices are taken from the data that comes with the program"),
  refresh_seconds: seconds(0.1, 3_600).default(5).describe("How often the store is asked for changed prices"),
});

const idempotency = z.strictObject({
  keep_seconds: seconds(1, 2_592_000).default(86_400).describe("How long a call with an idempotency key can be repeated"),
  max_bytes: count(65_536, 1_099_511_627_776)
    .default(268_435_456)
    .describe("Most bytes of kept answers together; of the oldest beyond it only the key stays, so that a repeat is refused"),
  max_answer_bytes: count(0, 67_108_864).default(1_048_576).describe("Largest answer that is kept; a longer one cannot be repeated"),
});

const stores = z.strictObject({
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

const limitCount = count(1, maxLimit).optional();

const money = z
  .union([z.string(), z.number()])
  .transform(String)
  .refine((text) => {
    const nano = readDollars(text);
    return nano !== undefined && nano > 0n && nano <= BigInt(maxLimit);
  }, 'is no amount; write decimal dollars above 0 and up to 9000000, as in "25.00"')
  .optional();

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
    ({ tenant: _tenant, subject: _subject, id: _id, shared_state_gone: _gone, ...limits }) =>
      Object.values(limits).some((limit) => limit !== undefined),
    "sets no limit; add one, as requests_per_minute",
  );

const limits = z.strictObject({
  rules: z.array(limitRule).default([]).describe("Limits and budgets, beside those that administrators set"),
  machines: count(1, 10_000).default(1).describe("On how many machines the gateway runs; limits are theirs together"),
  output_estimate_tokens: count(1, 10_000_000)
    .default(1_024)
    .describe("Output tokens that a token limit reserves for a call without a cap; the truth is settled afterwards"),
  max_counters: count(1_000, 100_000_000).default(100_000).describe("Most counters in memory; those that were used longest ago go first"),
  refresh_seconds: seconds(0.1, 3_600).default(2).describe("How often the store is asked for changed limits"),
});

const redis = z.strictObject({
  url: secretText
    .refine(
      (secret) => /^rediss?:\/\/.|^\//.test(secret.reveal()),
      "is no address of Redis; write redis://host:6379 or rediss://user:password@host:6379",
    )
    .optional()
    .describe("Redis that all machines share, as redis://host:6379; also REDIS_URL"),
  command_timeout_ms: count(1, 60_000).default(50).describe("Longest wait for an answer of Redis"),
});

const drain = z.strictObject({
  max_streams: count(1, 10_000).default(50).describe("Most streams that are read on at once; others are closed and estimated"),
  seconds: seconds(0.05, 3_600).default(60).describe("Longest time after the client has left"),
  max_tokens: count(1, 10_000_000).default(16_384).describe("Most output tokens after the client has left"),
});

const ledger = z.strictObject({
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

const json = z.strictObject({
  max_depth: count(1, 10_000).default(64).describe("Deepest nesting of a request's JSON"),
  max_nodes: count(10, 100_000_000).default(200_000).describe("Most values in a request's JSON"),
});

const media = z.strictObject({
  fetch: z.boolean().default(false).describe("Whether media that clients name by URL is fetched for providers that take only data"),
  max_bytes: count(1_024, 1_073_741_824).default(10_485_760).describe("Largest file that is fetched"),
  timeout_seconds: seconds(0.05, 600).default(10).describe("Longest fetch of one file"),
  max_per_request: count(1, 1_000).default(10).describe("Most addresses of one request"),
  private_hosts: z
    .array(hostAndPort)
    .default([])
    .describe("Hosts with ports, as in images.local:8000, that are asked although they are inside; all others must be public"),
});

const signatures = z.strictObject({
  max_bytes: count(0, 4_294_967_296).default(33_554_432).describe("Most memory of all that is remembered"),
  max_call_bytes: count(0, 16_777_216).default(262_144).describe("Largest reasoning that is kept for one tool call"),
  ttl_seconds: seconds(1, 31_536_000).default(86_400).describe("How long it is kept since it was last used"),
});

const telemetry = z.strictObject({
  public: z.boolean().default(false).describe("Whether /metrics and /statsz also answer on a data port that other machines can reach"),
  metrics: z
    .strictObject({
      enabled: z.boolean().default(true).describe("Whether anything is counted; without it there is no /metrics and no /statsz"),
      max_models: count(1, 10_000).default(200).describe("Most models that have series of their own; the others are counted as `other`"),
    })
    .prefault({})
    .describe("Counts and latencies"),
  traces: z
    .strictObject({
      enabled: z
        .boolean()
        .optional()
        .describe("Whether calls are traced; by default exactly when OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER asks for it"),
      endpoint: baseUrl
        .optional()
        .describe("Where spans are sent by OTLP over HTTP, as in http://localhost:4318; by default as OTEL_* says"),
      content: z
        .boolean()
        .default(false)
        .describe("Whether spans hold what clients and models said, credentials taken out; never without asking them"),
    })
    .prefault({})
    .describe("OpenTelemetry spans; their packages are optional"),
});

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
export type AuthConfig = Config["auth"];
export type ServerConfig = Config["server"];
export type ProviderConfig = Config["providers"][string];
export type RouteConfig = Config["routes"][string];
export type ModelOverride = Config["models"][string];

/** A provider about which nothing was configured: the one that a key in the environment enables. */
export function defaultProvider(): ProviderConfig {
  return provider.parse({});
}
