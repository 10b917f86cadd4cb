/** The composition root: the only file that joins the layers. */
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { isIPv6 } from "node:net";
import { availableParallelism } from "node:os";
import type { Transport } from "@connectrpc/connect";
import { AgentService } from "../gen/dragoman/admin/v1/agent_service_pb.ts";
import { AuditService } from "../gen/dragoman/admin/v1/audit_service_pb.ts";
import { KeyService } from "../gen/dragoman/admin/v1/key_service_pb.ts";
import { LimitService } from "../gen/dragoman/admin/v1/limit_service_pb.ts";
import { PriceService } from "../gen/dragoman/admin/v1/price_service_pb.ts";
import { RequestLogService } from "../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { TenantService } from "../gen/dragoman/admin/v1/tenant_service_pb.ts";
import { UsageService } from "../gen/dragoman/admin/v1/usage_service_pb.ts";
import { readImportFile } from "./access/import-file.ts";
import { KeyAdministration } from "./access/key-administration.ts";
import { type OpenedAccess, openAccess } from "./access/open-access.ts";
import { openPepper } from "./access/pepper.ts";
import { checkBind } from "./config/check-bind.ts";
import type { KnownNames } from "./config/cross-check.ts";
import { isLoopback } from "./config/listen-address.ts";
import { readModelTraits } from "./config/model-traits.ts";
import { ConfigError, type Problem } from "./config/problem.ts";
import type { Config, ProviderConfig, ServerConfig } from "./config/schema.ts";
import { systemClock } from "./core/clock.ts";
import type { ConnectionSource } from "./core/connection-source.ts";
import { GatewayError } from "./core/error.ts";
import type { Exposition } from "./core/exposition.ts";
import type { LedgerTap } from "./core/ledger.ts";
import type { LimitDesk } from "./core/limits.ts";
import type { Logger } from "./core/log.ts";
import type { NodeHandler } from "./core/node-handler.ts";
import type { Provider } from "./core/provider.ts";
import type { Secret } from "./core/secret.ts";
import type { SignatureStore } from "./core/signature-store.ts";
import { StartError } from "./core/start-error.ts";
import type { Stores } from "./core/stores.ts";
import type { SharedService, WorkerLink } from "./core/worker-link.ts";
import { createHttpFacade } from "./facade/http-facade.ts";
import { AttemptLog } from "./ledger/attempt-log.ts";
import { keepFirstRows } from "./ledger/keep-first-rows.ts";
import { journalRoot, openLedger } from "./ledger/open-ledger.ts";
import { type LedgerReport, verifyLedger } from "./ledger/verify.ts";
import { MemoryLimitState } from "./limits/memory-state.ts";
import { openLimits } from "./limits/open-limits.ts";
import { serveLimitState } from "./limits/remote-state.ts";
import { createCallStarter, inboundHeaders } from "./pipeline/call-starter.ts";
import { HeldLeases } from "./pipeline/held-leases.ts";
import { createOperations } from "./pipeline/operations.ts";
import { targetsOf } from "./pipeline/price-models.ts";
import { unsharedIdempotency } from "./pipeline/unshared-idempotency.ts";
import { readConfiguredPrices } from "./prices/configured-prices.ts";
import { LayeredPriceBook } from "./prices/price-book.ts";
import { StoredPrices } from "./prices/stored-prices.ts";
import { createCatalog } from "./providers/catalog.ts";
import { type DiscoveredServer, discoverLocalServers, wellKnownServers } from "./providers/discovery.ts";
import { createFetchJson } from "./providers/fetch-json.ts";
import { createLocalEmbeddings, localEmbeddingsAvailable } from "./providers/local-embeddings.ts";
import { createMediaFetcher } from "./providers/media-fetcher.ts";
import { createOpenAiTokenizers } from "./providers/openai-tokenizer.ts";
import {
  createProvider,
  environmentOf,
  type ProviderDependencies,
  type ProviderSettings,
  providerTypes,
  settingsFromEnvironment,
} from "./providers/registry.ts";
import { createRedactor } from "./redaction/redactor.ts";
import { createRequestLog, type RunningRequestLog } from "./request-log/request-log.ts";
import { createRouter } from "./routing/router.ts";
import { type AdminService, adminService } from "./rpc/admin/admin-service.ts";
import { createAgentService } from "./rpc/admin/agent-service.ts";
import { createAuditService } from "./rpc/admin/audit-service.ts";
import { createKeyService } from "./rpc/admin/key-service.ts";
import { createLimitService } from "./rpc/admin/limit-service.ts";
import { createLocalTransport } from "./rpc/admin/local-transport.ts";
import { createPriceService } from "./rpc/admin/price-service.ts";
import { createRequestLogService } from "./rpc/admin/request-log-service.ts";
import { createTenantService } from "./rpc/admin/tenant-service.ts";
import { createUsageService } from "./rpc/admin/usage-service.ts";
import { HealthTable } from "./rpc/health-table.ts";
import { createRpcHandler } from "./rpc/rpc-handler.ts";
import type { RpcLimits } from "./rpc/rpc-limits.ts";
import { createAdminHandler } from "./server/admin-handler.ts";
import { createCors } from "./server/cors.ts";
import { createExchangeCount } from "./server/exchange-count.ts";
import { createHealthHandler } from "./server/health-handler.ts";
import type { ServerLimits } from "./server/limits.ts";
import { createServer, type StopOptions } from "./server/server.ts";
import { createTelemetryHandler } from "./server/telemetry-handler.ts";
import { createSimProvider } from "./sim/provider.ts";
import { chooseEngine, createStores } from "./stores/create-stores.ts";
import { createMemorySignatures } from "./stores/memory-signatures.ts";
import { type DatabasePlace, migrateDatabase, pendingMigrations } from "./stores/open-database.ts";
import { createSharedSignatures, serveSignatures } from "./stores/shared-signatures.ts";
import { StoreWatch } from "./stores/store-watch.ts";
import { createExposition } from "./telemetry/exposition.ts";
import { measureAccess } from "./telemetry/measured-access.ts";
import { CountedMetrics } from "./telemetry/metrics.ts";
import { openTraces } from "./telemetry/traces.ts";
import { version } from "./version.ts";

export interface AppOptions {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
  /** Where this process is one of several workers: what they share, and where its connections come from. */
  readonly workers?: WorkerSeat | undefined;
}

export interface WorkerSeat {
  readonly link: WorkerLink;
  readonly sources: Readonly<Record<"data" | "admin", ConnectionSource>>;
}

export interface FoundProvider {
  readonly name: string;
  /** Where it comes from, for people. */
  readonly note: string;
  readonly models: number;
}

export interface RunningApp {
  readonly dataUrl: string;
  readonly adminUrl: string;
  readonly providers: readonly FoundProvider[];
  readonly localServers: readonly string[];
  readonly authEnabled: boolean;
  /** The first administrator's key, where this start made one: shown once, never logged. */
  readonly firstKey: Secret | undefined;
  /** Drains and closes everything; a second call hurries the first. */
  stop(options?: StopOptions): Promise<void>;
}

/** What configuration may name without configuring it: the vendors' table, and what the environment enables. */
export function knownNames(env: NodeJS.ProcessEnv): KnownNames {
  return {
    providerTypes: providerTypes(),
    providers: ["sim", "local", ...wellKnownServers(env).map(({ type }) => type), ...settingsFromEnvironment(env).map(({ name }) => name)],
  };
}

/** Throws ConfigError for what must not start, and Node's error where an address cannot be had. */
export async function startApp({ config, env, log, workers }: AppOptions): Promise<RunningApp> {
  checkBind(config);
  const { server: serverConfig } = config;
  const clock = systemClock;
  const stores = await openStores(config, log);
  const people = await openAccess({
    auth: config.auth,
    trustedProxies: serverConfig.trusted_proxies,
    hostNames: serverConfig.host_names,
    dataDir: config.data_dir,
    stores,
    fetchJson: createFetchJson({ configuredOrigins: issuerOrigins(config), userAgent: `dragoman/${version}` }),
    clock,
    log,
  }).catch(async (thrown: unknown) => {
    await stores.close();
    throw thrown;
  });
  const limits = await openLimits(limitsPlace(config, stores, workers?.link, log)).catch(async (thrown: unknown) => {
    await people.close();
    await stores.close();
    throw thrown;
  });
  const leases = new HeldLeases();
  const { providers, notes, types, secrets } = await openProviders(config, env);
  const byName = new Map(providers.map((provider) => [provider.name, provider]));
  const catalog = createCatalog(providers, {
    configured: configuredModels(config),
    clock,
    onFailure: (provider, error) => log.warn("a provider does not list its models", { provider, error }),
  });
  const router = createRouter({
    providers: byName,
    routes: mapValues(config.routes, ({ strategy, targets, max_attempts: maxAttempts }) => ({ strategy, targets, maxAttempts })),
    aliases: config.aliases,
    models: mapValues(config.models, readModelTraits),
    catalog,
    maxAttempts: config.max_attempts,
  });
  const traces = await openTraces({
    ...config.telemetry.traces,
    typeOf: (provider) => types.get(provider),
    originOf: (provider) => byName.get(provider)?.origin,
    env,
    version,
    log,
  });
  const metrics = config.telemetry.metrics.enabled
    ? new CountedMetrics({
        clock,
        version,
        maxModels: config.telemetry.metrics.max_models,
        inflight: () => starter.running(),
        admitted: () => operations.admission.places(),
        captureDropped: () => requestLog?.dropped ?? 0,
        isListed: (model, provider) => catalog.list().some(({ id }) => id === model || id === `${provider}/${model}`),
        hasList: (provider) => catalog.list().some(({ providers }) => providers.includes(provider)),
      })
    : undefined;
  const access = metrics === undefined ? people.access : measureAccess(people.access, metrics);
  const exposition = metrics === undefined ? undefined : createExposition(metrics, workers?.link);
  const prices = new LayeredPriceBook({
    typeOf: (provider) => types.get(provider),
    configured: readConfiguredPrices(config.prices),
    usePackage: config.price_data.enabled,
  });
  const storedPrices = new StoredPrices({ store: stores.prices, book: prices, log, pollMs: config.price_data.refresh_seconds * 1_000 });
  await storedPrices.refresh();
  const pruning = setInterval(() => {
    stores.idempotency.prune(clock.wall()).catch((error: unknown) => log.warn("old idempotency keys could not be removed", { error }));
  }, idempotencyPruneMs);
  pruning.unref();
  const taps: LedgerTap[] = [leases, new AttemptLog({ log }), ...(metrics === undefined ? [] : [metrics])];
  const books = await openLedger({ ...ledgerPlace(config, stores), prices, taps, clock, log });
  const requestLog = config.request_log.enabled ? openRequestLog(config, stores, secrets, log) : undefined;
  const operations = createOperations({
    router,
    requestLog,
    ledger: books.ledger,
    metrics,
    prices,
    limits: { limiter: limits.limiter, outputEstimate: config.limits.output_estimate_tokens, leases },
    idempotency: {
      store: workers !== undefined && stores.engine === "memory" ? unsharedIdempotency : stores.idempotency,
      clock,
      log,
      keepMs: config.idempotency.keep_seconds * 1_000,
      maxAnswerBytes: config.idempotency.max_answer_bytes,
    },
    chargePolicy: config.ledger.charge_policy,
    onDisconnect: (provider) => config.providers[provider]?.on_disconnect ?? "estimate",
    drain: drainBounds(config),
    clock,
    retryableStatusCodes: new Set(config.retryable_status_codes),
    maxQueue: config.admission.max_queue,
    node: serverConfig.node ?? "",
    tokenizers: createOpenAiTokenizers(),
    relay: config.facade.relay,
    signatures: workers === undefined ? openSignatures(config) : createSharedSignatures(workers.link),
  });
  const starter = createCallStarter({ clock, tracing: traces, maxTimeoutMs: serverConfig.max_timeout_seconds * 1_000 });
  const health = new HealthTable();
  const json = { maxDepth: config.json.max_depth, maxNodes: config.json.max_nodes };
  const shutdown = new AbortController();
  const rpcOptions = {
    health,
    reflection: config.rpc.reflection,
    limits: rpcLimits(serverConfig, json),
    shutdownSignal: shutdown.signal,
    log,
  };
  const facade = createHttpFacade({
    operations,
    access,
    starter,
    responses: stores.responses,
    link: workers?.link,
    clock,
    log,
    body: { maxBytes: serverConfig.max_body_bytes, json },
    defaultStream: config.facade.default_stream,
    metrics,
    requestLog,
  });
  const rpc = createRpcHandler({ ...rpcOptions, operations, starter, access, metrics, requestLog, fallback: facade });
  const storeWatch = new StoreWatch(stores);
  const readiness = () => {
    const { away, unenforceable } = limits.readiness();
    const journal = books.state().trouble === "none" ? [] : ["journal"];
    return { away: [...(router.models().length === 0 ? ["targets"] : []), ...journal, ...storeWatch.away, ...away], unenforceable };
  };
  const tls = readTls(serverConfig);
  const watches = new AbortController();
  const adminServices = [
    ...createAdminServices(stores, people, limits.limiter, requestLog, watches.signal),
    adminService(
      PriceService,
      createPriceService({
        ...stores,
        book: prices,
        clock,
        targets: () => router.models().flatMap(targetsOf),
        onChange: () => storedPrices.refresh(),
      }),
    ),
  ];
  const server = createServer({
    data: {
      handler: createDataHandler(serverConfig, health, showsTelemetry(config) ? exposition : undefined, rpc, log),
      ...serverConfig.listen,
      tls,
      count: metrics === undefined ? undefined : createExchangeCount(metrics, clock),
      source: workers?.sources.data,
    },
    admin: {
      handler: createAdminHandler({
        ...rpcOptions,
        readiness,
        exposition,
        admin: { services: adminServices, access, audit: stores.audit, clock },
      }),
      ...serverConfig.listen_admin,
      tls,
      source: workers?.sources.admin,
    },
    limits: serverLimits(serverConfig),
    inboundHeaders,
    drain: { noticeMs: serverConfig.drain_notice_seconds * 1_000, graceMs: serverConfig.drain_seconds * 1_000 },
    health,
    abortCalls() {
      starter.stopAll(() => new GatewayError("no_target", "the gateway is shutting down; repeat the call", { retryAfterMs: 1_000 }));
    },
    log,
  });
  const addresses = await server.listen().catch(async (thrown: unknown) => {
    await closeAll(providers);
    await people.close();
    clearInterval(pruning);
    storedPrices.close();
    limits.close();
    storeWatch.close();
    await books.close(0);
    await requestLog?.close();
    await stores.close();
    throw thrown;
  });

  const ownPorts = [addresses.data.port, addresses.admin?.port ?? addresses.data.port];
  const found = await discover(config, env, ownPorts);
  for (const { name, type, baseUrl, models } of found) {
    if (byName.has(name)) continue;
    const provider = createProvider({ name, type, baseUrl, models }, dependenciesOf(config));
    providers.push(provider);
    byName.set(name, provider);
    notes.set(name, `local server at ${baseUrl}`);
  }
  // Built-in models and local servers list at once; vendors may take their time, and the banner does not wait for them.
  const refreshed = catalog.refresh(shutdown.signal);
  await Promise.race([refreshed, new Promise((resolve) => setTimeout(resolve, firstListMs).unref())]);
  const refreshing = setInterval(() => void catalog.refresh(shutdown.signal), config.discovery.refresh_seconds * 1_000);
  refreshing.unref();

  const scheme = tls === undefined ? "http" : "https";
  return {
    dataUrl: urlOf(scheme, addresses.data),
    adminUrl: urlOf(scheme, addresses.admin ?? addresses.data),
    providers: providers.map(({ name }) => ({ name, note: notes.get(name) ?? "", models: countModels(catalog.list(), name) })),
    localServers: found.map(({ name }) => name),
    authEnabled: access.enabled,
    firstKey: people.firstKey,
    async stop(options) {
      watches.abort();
      await server.stop(options);
      await operations.drains?.close(Math.min(drainBounds(config).maxMs, serverConfig.drain_seconds * 1_000));
      shutdown.abort();
      clearInterval(refreshing);
      await closeAll(providers);
      await traces?.close();
      await people.close();
      clearInterval(pruning);
      storedPrices.close();
      limits.close();
      storeWatch.close();
      await books.close(lastRowsMs);
      await requestLog?.close();
      await stores.close();
    },
  };
}

export interface KeyTools {
  readonly stores: Stores;
  readonly administration: KeyAdministration;
  /** Keys of a file that another gateway wrote, or of a key file. Throws KeyFileError. */
  readonly readImportFile: typeof readImportFile;
  close(): Promise<void>;
}

/**
 * Keys without the gateway: for the command line, beside a gateway that runs or before the first one does. Records go where
 * the configuration says, and into a file where it says nothing: what is in the memory of a command is gone with it.
 */
export async function openKeyTools(config: Config, log: Logger): Promise<KeyTools> {
  const place = databasePlace(config);
  const durable = place.engine === "memory" ? { ...config, stores: { ...config.stores, engine: "sqlite" as const } } : config;
  const stores = await openStores(durable, log);
  const pepper = () => openPepper(config.auth.pepper, config.data_dir);
  const administration = new KeyAdministration({ keys: stores.keys, pepper, clock: systemClock });
  return { stores, administration, readImportFile, close: () => stores.close() };
}

export interface RecordTools {
  /** To UsageService, RequestLogService and LimitService over the configured store. */
  readonly transport: Transport;
  close(): Promise<void>;
}

/** Whether a configuration keeps records where other processes find them: a gateway's memory is its own. */
export function sharesRecords(config: Config): boolean {
  return databasePlace(config).engine !== "memory";
}

/** What gateways recorded, for commands beside them. Throws StartError where the store cannot be used. */
export async function openRecordTools(config: Config, log: Logger): Promise<RecordTools> {
  const stores = await openStores(config, log);
  const limits = await openLimits(limitsPlace(config, stores, undefined, log)).catch(async (thrown: unknown) => {
    await stores.close();
    throw thrown;
  });
  const closing = new AbortController();
  const stopping = closing.signal;
  const transport = createLocalTransport([
    adminService(LimitService, createLimitService({ ...stores, desk: limits.limiter })),
    // Other processes write the log: who watches it looks again and again.
    adminService(RequestLogService, createRequestLogService({ ...stores, clock: systemClock, stopping, onWritten: () => () => {} })),
    adminService(UsageService, createUsageService({ ...stores, stopping })),
  ]);
  return {
    transport,
    async close() {
      closing.abort();
      limits.close();
      await stores.close();
    },
  };
}

export { lockKeyFile } from "./access/key-file.ts";

/** Every service of the admin port, a line each; src/rpc/admin/admin-service.ts tells how to add one. */
function createAdminServices(
  stores: Stores,
  { administration, forgetTenant }: OpenedAccess,
  limits: LimitDesk,
  requestLog: RunningRequestLog | undefined,
  stopping: AbortSignal,
): readonly AdminService[] {
  const onWritten = (listener: () => void) => requestLog?.onWritten(listener) ?? (() => {});
  return [
    adminService(KeyService, createKeyService({ ...stores, administration })),
    adminService(TenantService, createTenantService({ ...stores, onChange: forgetTenant })),
    adminService(AuditService, createAuditService(stores.audit)),
    adminService(LimitService, createLimitService({ ...stores, desk: limits })),
    adminService(RequestLogService, createRequestLogService({ ...stores, clock: systemClock, stopping, onWritten })),
    adminService(UsageService, createUsageService({ ...stores, stopping })),
    adminService(AgentService, createAgentService({ ...stores, clock: systemClock })),
  ];
}

/** The issuer's hosts stand in the configuration in so many words; where else it keeps its keys must be public. */
function issuerOrigins({ auth: { oidc_issuer: issuer, oidc_jwks_url: keys } }: Config): ReadonlySet<string> {
  return new Set([issuer, keys].flatMap((url) => (url === undefined ? [] : [new URL(url).origin])));
}

/** What workers share in the memory of their primary process. */
export function createSharedServices(config: Config): readonly SharedService[] {
  return [
    serveSignatures(openSignatures(config)),
    serveLimitState(new MemoryLimitState({ clock: systemClock, maxCounters: config.limits.max_counters })),
  ];
}

function openSignatures({ signatures }: Config): SignatureStore {
  return createMemorySignatures({
    maxBytes: signatures.max_bytes,
    maxCallBytes: signatures.max_call_bytes,
    ttlMs: signatures.ttl_seconds * 1_000,
    clock: systemClock,
  });
}

/** The stores that configuration asks for: of the gateway, and of commands that change records without it. */
export function openStores(config: Config, log: Logger): Promise<Stores> {
  return createStores({
    ...databasePlace(config),
    migrateOnStart: config.stores.migrate_on_start,
    responses: { maxBytes: config.responses_store.max_bytes, ttlMs: config.responses_store.ttl_seconds * 1_000 },
    idempotency: { maxBytes: config.idempotency.max_bytes },
    clock: systemClock,
    log,
  });
}

export interface SchemaSteps {
  /** The database's, for people: `memory`, `sqlite` or `postgres`. */
  readonly engine: string;
  /** Steps that were applied, or with `check` those that are missing. */
  readonly steps: readonly string[];
}

/** Brings the database's schema up to date, or with `check` only looks. Throws StartError for a schema that is not ours. */
export async function migrateStores(config: Config, check: boolean): Promise<SchemaSteps> {
  const place = databasePlace(config);
  if (place.engine === "memory") throw new StartError("there is no database to migrate; set DRAGOMAN_DATA_DIR or DATABASE_URL");
  const steps = check ? await pendingMigrations(place) : await migrateDatabase(place, () => systemClock.wall());
  return { engine: place.engine, steps };
}

function databasePlace({ stores, data_dir: dataDir }: Config): DatabasePlace {
  const { database_url: databaseUrl, pool_size: poolSize } = stores;
  return { engine: chooseEngine({ configured: stores.engine, databaseUrl, dataDir }), dataDir, databaseUrl, poolSize };
}

function limitsPlace({ limits, redis, server }: Config, stores: Stores, link: WorkerLink | undefined, log: Logger) {
  return {
    configured: limits.rules,
    store: stores.limitRules,
    ledger: stores.ledger,
    tenants: stores.tenants,
    machines: limits.machines,
    workers: link === undefined ? 1 : server.workers === "auto" ? availableParallelism() : server.workers,
    redis: { url: redis.url, commandTimeoutMs: redis.command_timeout_ms },
    link,
    maxCounters: limits.max_counters,
    pollMs: limits.refresh_seconds * 1_000,
    clock: systemClock,
    log,
  };
}

/** Reads journals and rows, and says what is wrong with them; for commands. */
export async function verifyBooks(config: Config, log: Logger): Promise<LedgerReport> {
  const stores = await openStores(config, log);
  try {
    return await verifyLedger({ journalRoot: journalRoot(config.data_dir), ledger: stores.ledger, tenants: stores.tenants });
  } finally {
    await stores.close();
  }
}

function ledgerPlace({ ledger, data_dir: dataDir }: Config, stores: Stores) {
  return {
    mode: ledger.journal ?? (stores.engine === "memory" ? "memory" : "os"),
    journalRoot: journalRoot(dataDir),
    segmentBytes: ledger.segment_bytes,
    maxJournalBytes: ledger.max_journal_bytes,
    reserveBytes: ledger.reserve_bytes,
    maxQueuedRows: ledger.max_queued_rows,
    store: stores.engine === "memory" ? keepFirstRows(stores.ledger, ledger.memory_rows) : stores.ledger,
    chargesFailures: ledger.charge_policy === "all_attempts",
  } as const;
}

function drainBounds({ ledger: { drain } }: Config) {
  return { maxStreams: drain.max_streams, maxMs: drain.seconds * 1_000, maxTokens: drain.max_tokens };
}

/** How long the stop waits for the store to take the last rows; the journal keeps the others. */
const lastRowsMs = 5_000;

/** How often idempotency keys that are over are removed. */
const idempotencyPruneMs = 600_000;

/** How long the start waits for lists of models. */
const firstListMs = 500;

interface OpenedProviders {
  readonly providers: Provider[];
  /** Where each comes from, for people. */
  readonly notes: Map<string, string>;
  /** What kind of vendor each is. */
  readonly types: ReadonlyMap<string, string>;
  /** What must stand in no record. */
  readonly secrets: readonly Secret[];
}

async function openProviders(config: Config, env: NodeJS.ProcessEnv): Promise<OpenedProviders> {
  const notes = new Map<string, string>();
  const settings = new Map<string, ProviderSettings>();
  for (const found of settingsFromEnvironment(env)) {
    settings.set(found.name, found);
    notes.set(found.name, "key in the environment");
  }
  for (const [name, entry] of Object.entries(config.providers)) {
    const inherited = settings.get(name) ?? ((entry.type ?? name) === name ? environmentOf(name, env) : undefined);
    settings.delete(name);
    if (!entry.enabled) continue;
    settings.set(name, settingsOf(name, entry, inherited));
    notes.set(name, "configured");
  }
  const providers = createAll([...settings.values()], dependenciesOf(config));
  if (config.local_embeddings.enabled && !settings.has("local") && (await localEmbeddingsAvailable())) {
    providers.push(createLocalEmbeddings());
    notes.set("local", "built in: sentence embeddings");
  }
  if (config.sim.enabled && !settings.has("sim")) {
    providers.push(createSimProvider());
    notes.set("sim", "built in: simulated models");
  }
  const secrets = [...settings.values()].flatMap(({ apiKey, secretAccessKey, sessionToken }) => [apiKey, secretAccessKey, sessionToken]);
  return {
    providers,
    notes,
    types: new Map([...settings].map(([name, { type }]) => [name, type ?? name])),
    secrets: secrets.filter((secret) => secret !== undefined),
  };
}

function openRequestLog(config: Config, stores: Stores, secrets: readonly Secret[], log: Logger): RunningRequestLog {
  const { request_log: settings, auth, providers } = config;
  const headers = Object.values(providers).flatMap((provider) => Object.values(provider.headers));
  const known = [...secrets, ...headers, auth.api_key].flatMap((secret) => (secret === undefined ? [] : [secret.reveal()]));
  return createRequestLog({
    store: stores.requestLog,
    callerAgents: stores.callerAgents,
    redactor: createRedactor({ secrets: known }),
    retention: { byDefault: settings.retention_default, max: settings.retention_max },
    queue: { maxRecords: settings.queue.max_records, maxBytes: settings.queue.max_bytes, flushMs: settings.queue.flush_ms },
    prune: {
      everyMs: settings.prune_seconds * 1_000,
      maxAgeMs: settings.max_age_days * dayMs,
      maxContentAgeMs: settings.max_content_age_days * dayMs,
      maxBytes: settings.max_bytes,
      maxRecords: stores.engine === "memory" ? settings.max_memory_records : undefined,
    },
    maxBodyLength: settings.max_body_characters,
    maxAgentsPerTenant: settings.max_agents,
    clock: systemClock,
    log,
  });
}

const dayMs = 24 * 3_600_000;

function dependenciesOf({ media }: Config): ProviderDependencies {
  if (!media.fetch) return { version };
  const fetcher = createMediaFetcher({
    maxBytes: media.max_bytes,
    timeoutMs: media.timeout_seconds * 1_000,
    privateHosts: media.private_hosts,
    userAgent: `dragoman/${version}`,
  });
  return { version, media: { fetcher, maxPerRequest: media.max_per_request } };
}

/** Throws ConfigError with what is wrong with any of them. */
function createAll(settings: readonly ProviderSettings[], dependencies: ProviderDependencies): Provider[] {
  const problems: Problem[] = [];
  const providers = settings.flatMap((entry) => {
    try {
      return [createProvider(entry, dependencies)];
    } catch (thrown) {
      problems.push({ path: ["providers", entry.name], message: thrown instanceof Error ? thrown.message : String(thrown) });
      return [];
    }
  });
  if (problems.length > 0) throw new ConfigError(problems);
  return providers;
}

/** What configuration says over what the environment says. */
function settingsOf(name: string, entry: ProviderConfig, inherited: ProviderSettings | undefined): ProviderSettings {
  return {
    name,
    type: entry.type ?? inherited?.type,
    // An access key that was configured is not to lose against a key that happens to be in the environment.
    apiKey: entry.api_key ?? (entry.access_key_id === undefined ? inherited?.apiKey : undefined),
    ...accessKeyOf(entry, inherited),
    region: entry.region ?? inherited?.region,
    baseUrl: entry.base_url ?? inherited?.baseUrl,
    apiVersion: entry.api_version ?? inherited?.apiVersion,
    headers: mapValues(entry.headers, (value) => value.reveal()),
    models: entry.models,
    timeouts: {
      connectMs: entry.connect_timeout_seconds * 1_000,
      firstByteMs: entry.first_byte_timeout_seconds * 1_000,
      idleMs: entry.idle_timeout_seconds * 1_000,
      totalMs: entry.total_timeout_seconds * 1_000,
    },
    poolSize: entry.pool_size,
  };
}

/** From one place: halves of two keys are no key. */
function accessKeyOf(entry: ProviderConfig, inherited: ProviderSettings | undefined): Partial<ProviderSettings> {
  const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = entry;
  if (accessKeyId !== undefined || secretAccessKey !== undefined) return { accessKeyId, secretAccessKey, sessionToken };
  return {
    accessKeyId: inherited?.accessKeyId,
    secretAccessKey: inherited?.secretAccessKey,
    sessionToken: sessionToken ?? inherited?.sessionToken,
  };
}

function configuredModels(config: Config): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(config.providers).flatMap(([name, { models }]) => (models === undefined ? [] : [[name, models] as const])),
  );
}

async function discover({ discovery }: Config, env: NodeJS.ProcessEnv, ownPorts: readonly number[]): Promise<DiscoveredServer[]> {
  if (!discovery.enabled) return [];
  const servers = wellKnownServers(env).flatMap((server) => {
    const change = discovery.servers[server.type];
    return change?.enabled === false ? [] : [{ ...server, baseUrl: change?.base_url ?? server.baseUrl }];
  });
  return discoverLocalServers({ env, ownPorts, timeoutMs: discovery.timeout_ms, servers });
}

/** The data port: preflights, health, what the gateway shows of itself, then the RPCs, and the HTTP surfaces for the rest. */
function createDataHandler(
  { cors: { origins } }: ServerConfig,
  health: HealthTable,
  exposition: Exposition | undefined,
  rpc: NodeHandler,
  log: Logger,
): NodeHandler {
  const cors = createCors({ origins, inboundHeaders });
  const answerHealth = createHealthHandler({ health });
  const answerTelemetry = exposition === undefined ? undefined : createTelemetryHandler(exposition, log);
  return (request, response) => {
    if (!cors(request, response) && !answerHealth(request, response) && !answerTelemetry?.(request, response)) rpc(request, response);
  };
}

/** Whether the data port shows /metrics and /statsz: to this machine, and to others where the operator wants it (surfaces.md 8). */
function showsTelemetry({ server, telemetry }: Config): boolean {
  return telemetry.public || isLoopback(server.listen.host);
}

function serverLimits(server: ServerConfig): ServerLimits {
  return {
    headerBytes: server.max_header_bytes,
    headerFields: server.max_headers,
    urlBytes: server.max_url_bytes,
    headerTimeoutMs: server.headers_timeout_seconds * 1_000,
    bodyTimeoutMs: server.body_timeout_seconds * 1_000,
    idleTimeoutMs: server.idle_timeout_seconds * 1_000,
    http1WriteStallMs: server.write_stall_h1_seconds * 1_000,
    http2WriteStallMs: server.write_stall_h2_seconds * 1_000,
    h2Streams: server.max_streams_per_connection,
    connections: server.max_connections,
    h2StreamWindowBytes: server.h2_stream_window_bytes,
    h2ConnectionWindowBytes: server.h2_connection_window_bytes,
    h2Resets: server.max_h2_resets,
    h2ResetWindowMs: server.h2_reset_window_seconds * 1_000,
    pingIntervalMs: server.h2_ping_seconds * 1_000,
    connectionAgeMs: server.max_connection_age_seconds * 1_000,
  };
}

function rpcLimits(server: ServerConfig, json: RpcLimits["json"]): RpcLimits {
  return {
    inferenceMessageBytes: server.max_body_bytes,
    controlMessageBytes: server.max_control_message_bytes,
    answerMessageBytes: server.max_answer_message_bytes,
    maxTimeoutMs: server.max_timeout_seconds * 1_000,
    json,
  };
}

function readTls({ tls }: ServerConfig) {
  if (tls === undefined) return undefined;
  const { cert_file: cert, key_file: key, client_ca_file: clientCa } = tls;
  return {
    cert: readFileSync(cert),
    key: readFileSync(key),
    clientCa: clientCa === undefined ? undefined : readFileSync(clientCa),
  };
}

function countModels(models: readonly { readonly providers: readonly string[] }[], provider: string): number {
  return models.filter(({ providers }) => providers.includes(provider)).length;
}

function urlOf(scheme: string, { address, port }: AddressInfo): string {
  return `${scheme}://${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

async function closeAll(providers: readonly Provider[]): Promise<void> {
  await Promise.allSettled(providers.map((provider) => provider.close()));
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, convert: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, convert(value)]));
}
