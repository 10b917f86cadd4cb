/**
 * The composition root, as a table of contents: every part is opened in the order of this list, by the file of its name in
 * this folder, and closed in the other order. Nothing outside this folder joins the layers.
 */
import { checkBind } from "../config/check-bind.ts";
import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { ConnectionSource } from "../core/connection-source.ts";
import type { Logger } from "../core/log.ts";
import type { Secret } from "../core/secret.ts";
import type { WorkerLink } from "../core/worker-link.ts";
import { AttemptLog } from "../ledger/attempt-log.ts";
import type { OpenLedger } from "../ledger/open-ledger.ts";
import { createCallStarter } from "../pipeline/call-starter.ts";
import type { ReadinessFacts } from "../server/health-handler.ts";
import type { StopOptions } from "../server/server.ts";
import { StoreWatch } from "../stores/store-watch.ts";
import { createExposition } from "../telemetry/exposition.ts";
import { measureAccess } from "../telemetry/measured-access.ts";
import { openTraces } from "../telemetry/traces.ts";
import { version } from "../version.ts";
import { Closers } from "./closers.ts";
import { createAdminServices } from "./create-admin-services.ts";
import { type CallParts, createMetrics } from "./create-metrics.ts";
import { createModels } from "./create-models.ts";
import { keepListingModels } from "./keep-listing-models.ts";
import { openBooks } from "./open-books.ts";
import { openLimiter } from "./open-limiter.ts";
import { openOverload } from "./open-overload.ts";
import { openPeople } from "./open-people.ts";
import { openPipeline } from "./open-pipeline.ts";
import { openPrices } from "./open-prices.ts";
import { openProviders } from "./open-providers.ts";
import { openRequestLog } from "./open-request-log.ts";
import { openServer } from "./open-server.ts";
import { openStores } from "./open-stores.ts";
import { readProviderSettings } from "./read-provider-settings.ts";

export interface AppOptions {
  readonly config: Config;
  readonly env: NodeJS.ProcessEnv;
  readonly log: Logger;
  /** Where this process is one of several workers: what they share, and where its connections come from. */
  readonly workers?: WorkerSeat | undefined;
  /** The process cannot go on for long: its memory is used up. It is to be stopped, and started again. */
  readonly onFull?: (() => void) | undefined;
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

/** How long the stop waits for the store to take the last rows; the journal keeps the others. */
const lastRowsMs = 5_000;

/** Throws ConfigError and StartError for what must not start, and Node's error where an address cannot be had; nothing is left open then. */
export async function startApp(options: AppOptions): Promise<RunningApp> {
  checkBind(options.config);
  return Closers.closeOnFailure(options.log, (closers) => open(options, closers));
}

async function open({ config, env, log, workers, onFull }: AppOptions, closers: Closers): Promise<RunningApp> {
  const link = workers?.link;
  const overload = closers.keep(await openOverload(config, { link, log, onFull }), (it) => it.close());

  // Where records are kept, and who writes them: closed last, as everything else still has something to say.
  const stores = closers.keep(await openStores(config, log), (it) => it.close());
  const known = readProviderSettings(config, env);
  const requestLog = closers.keep(openRequestLog(config, stores, known.secrets, log), (it) => it?.close());
  let calls: CallParts | undefined;
  let ledgerState: OpenLedger["state"] | undefined;
  const metrics = createMetrics(config, {
    calls: () => calls,
    captureDropped: () => requestLog?.dropped ?? 0,
    ledger: () => ledgerState?.(),
    stalls: () => overload.watch.stalls,
    overloaded: () => overload.watch.refused,
  });
  const exposition = closers.keep(metrics === undefined ? undefined : createExposition(metrics, link), (it) => it?.close());
  const prices = closers.keep(await openPrices(config, stores, known.types, log), (it) => it.close());
  const taps = [new AttemptLog({ log }), ...(metrics === undefined ? [] : [metrics])];
  const books = closers.keep(await openBooks(config, { stores, prices: prices.book, taps, log }), (it, graceMs) => it.close(graceMs));
  ledgerState = books.state;
  const storeWatch = closers.keep(new StoreWatch(stores), (it) => it.close());

  // What a call needs.
  const limits = closers.keep(await openLimiter(config, { stores, books, link, log }), (it) => it.close());
  const { limiter, quotas, pace } = limits;
  const traces = closers.keep(
    await openTraces({
      ...config.telemetry.traces,
      typeOf: (provider) => known.types.get(provider),
      originOf: (provider) => providers.byName.get(provider)?.origin,
      env,
      version,
      log,
    }),
    (it) => it?.close(),
  );
  const providers = closers.keep(await openProviders(config, known), (it) => it.close());
  const { catalog, router } = createModels(config, providers, log);
  const people = closers.keep(await openPeople(config, stores, log), (it) => it.close());
  const access = metrics === undefined ? people.access : measureAccess(people.access, metrics);
  const shutdown = closers.keep(new AbortController(), (it) => it.abort());
  const pipeline = closers.keep(
    openPipeline(config, {
      stores,
      router,
      ledger: books.ledger,
      limiter,
      quotas,
      prices: prices.book,
      requestLog,
      metrics,
      link,
      log,
    }),
    (it) => it.close(),
  );
  const { operations } = pipeline;
  const starter = createCallStarter({ clock: systemClock, tracing: traces, maxTimeoutMs: config.server.max_timeout_seconds * 1_000 });
  calls = { catalog, operations, starter };

  // The ports, once everything behind them is there.
  const watches = new AbortController();
  const adminServices = createAdminServices({ stores, people, limits: limiter, prices, router, requestLog, stopping: watches.signal });
  const readiness = (): ReadinessFacts => {
    const { away, unenforceable } = limits.readiness();
    const targets = router.models().length === 0 ? ["targets"] : [];
    const journal = books.state().trouble === "none" ? [] : ["journal"];
    const busy = overload.watch.reason === undefined ? [] : [overload.watch.reason];
    return { away: [...targets, ...journal, ...storeWatch.away, ...away, ...busy], unenforceable };
  };
  const server = await openServer(config, {
    operations,
    starter,
    access,
    pace,
    stores,
    adminServices,
    readiness,
    requestLog,
    metrics,
    exposition,
    overload: overload.watch,
    link,
    log,
    sources: workers?.sources,
    shutdown: shutdown.signal,
  });
  const stopServer = (options?: StopOptions): Promise<void> => {
    watches.abort();
    return server.stop(options);
  };
  closers.keep(server, () => stopServer());

  let stopping = false;
  const localServers = await providers.discover(env, server.ports);
  closers.keep(await keepListingModels(config, catalog, shutdown.signal), (end) => end());
  return {
    dataUrl: server.dataUrl,
    adminUrl: server.adminUrl,
    providers: providers.list.map(({ name }) => ({ name, note: providers.noteOf(name), models: countModels(catalog.list(), name) })),
    localServers,
    authEnabled: access.enabled,
    firstKey: people.firstKey,
    async stop(options) {
      if (stopping) pipeline.hurry();
      stopping = true;
      await stopServer(options);
      await closers.close(lastRowsMs);
    },
  };
}

function countModels(models: readonly { readonly providers: readonly string[] }[], provider: string): number {
  return models.filter(({ providers }) => providers.includes(provider)).length;
}
