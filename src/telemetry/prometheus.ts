/**
 * The metrics of /metrics (surfaces.md 8): names, types and labels stand here and nowhere else. Labels are an endpoint's
 * template, a model that served, a configured name or a word of ours: never a key, a user or what a client wrote.
 */
import {
  type Aggregator,
  AggregatorRegistry,
  Counter,
  collectDefaultMetrics,
  Gauge,
  Histogram,
  type MetricObject,
  Registry,
} from "prom-client";

/** Seconds: from an answer of the cache to the longest generation. */
const durationBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600];

/** Calls that hold a place of admission now. */
export interface AdmittedCount {
  readonly model: string;
  readonly role: string;
  readonly count: number;
}

/** How the ledger stands. */
export interface LedgerCounts {
  /** Attempts under way. */
  readonly open: number;
  /** Rows in memory that wait for the store. */
  readonly queued: number;
  readonly journalBytes: number;
  /** Rows that had room nowhere, that the store refused, and that were settled twice: 0, or something is wrong. */
  readonly lost: number;
  readonly refused: number;
  readonly repeated: number;
}

/** What is not counted as it happens but looked at when somebody asks. */
export interface GaugeSources {
  /** Calls that run. */
  readonly inflight: () => number;
  /** By model and role, models as labels. */
  readonly admitted: () => Iterable<AdmittedCount>;
  /** Records of the request log that were thrown away since the start. */
  readonly captureDropped: () => number;
  /** Undefined while the start has not come so far. */
  readonly ledger: () => LedgerCounts | undefined;
  /** How often the event loop stood still since the start. */
  readonly stalls: () => number;
  /** Calls that were refused since the start because the process was overloaded, by what it lacked. */
  readonly overloaded: () => Readonly<Record<string, number>>;
  readonly uptimeSeconds: () => number;
  readonly build: Readonly<Record<"version" | "node_version", string>>;
}

/** One process's metrics as they travel to another. */
export type MetricsSnapshot = readonly MetricObject[];

export type PrometheusMetrics = ReturnType<typeof createPrometheusMetrics>;

export function createPrometheusMetrics(sources: GaugeSources) {
  const { inflight, admitted, captureDropped, ledger, stalls, overloaded, uptimeSeconds, build } = sources;
  const registry = new Registry();

  function counter<Label extends string>(name: string, help: string, labelNames: readonly Label[] = []): Counter<Label> {
    return new Counter({ name: `dragoman_${name}_total`, help, labelNames, registers: [registry] });
  }

  function histogram<Label extends string>(name: string, help: string, labelNames: readonly Label[] = []): Histogram<Label> {
    return new Histogram({ name: `dragoman_${name}_seconds`, help, labelNames, buckets: durationBuckets, registers: [registry] });
  }

  function gauge<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    aggregator: Aggregator,
    look: (gauge: Gauge<Label>) => void,
  ): void {
    new Gauge<Label>({
      name: `dragoman_${name}`,
      help,
      labelNames,
      aggregator,
      registers: [registry],
      collect() {
        look(this);
      },
    });
  }

  /** Of what others count: looked at when somebody asks. */
  function counted<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    look: (counter: Counter<Label>) => void,
  ): void {
    new Counter<Label>({
      name: `dragoman_${name}_total`,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        look(this);
      },
    });
  }

  gauge("inflight_requests", "Calls that run now", [], "sum", (self) => self.set(inflight()));
  gauge("admission_inflight", "Calls that hold a place of admission now", ["model", "role"], "sum", (self) => {
    self.reset();
    for (const { model, role, count } of admitted()) self.inc({ model, role }, count);
  });
  gauge("build_info", "Which build this is; always 1", ["version", "node_version"], "first", (self) => self.set(build, 1));
  gauge("uptime_seconds", "Seconds since the start", [], "max", (self) => self.set(uptimeSeconds()));

  counted("capture_dropped", "Records of the request log that were thrown away", [], (self) => self.inc(captureDropped()));
  gauge("ledger_open_attempts", "Attempts that are under way", [], "sum", (self) => self.set(ledger()?.open ?? 0));
  gauge("ledger_queued_rows", "Ledger rows in memory that wait for the store", [], "sum", (self) => self.set(ledger()?.queued ?? 0));
  gauge("ledger_journal_bytes", "Bytes of the ledger's journal", [], "sum", (self) => self.set(ledger()?.journalBytes ?? 0));
  counted("ledger_faults", "Ledger rows that were lost, that the store refuses, or that were settled twice", ["kind"], (self) => {
    const { lost = 0, refused = 0, repeated = 0 } = ledger() ?? {};
    for (const [kind, count] of Object.entries({ lost, refused, repeated })) self.inc({ kind }, count);
  });
  counted("event_loop_stalls", "Times that the event loop stood still for a second or longer", [], (self) => self.inc(stalls()));
  counted("overload_refused", "Calls that were refused because the process was overloaded", ["reason"], (self) => {
    for (const [reason, count] of Object.entries(overloaded())) self.inc({ reason }, count);
  });

  return {
    registry,
    httpRequests: counter("http_requests", "HTTP exchanges of the data port", ["method", "path", "status"]),
    httpRequestDuration: histogram("http_request_duration", "Seconds from the request's head to the end of its answer"),
    requests: counter("requests", "Calls that are over", ["model", "outcome"]),
    upstreamRequests: counter("upstream_requests", "Attempts that were sent to a provider"),
    upstreamRequestDuration: histogram("upstream_request_duration", "Seconds that an attempt took"),
    upstreamErrors: counter("upstream_errors", "Attempts that failed, by the provider's status; none where it did not answer", ["status"]),
    tokens: counter("tokens", "Tokens of attempts", ["direction", "model", "route", "provider"]),
    ratelimitRejected: counter("ratelimit_rejected", "Calls that a limit of the gateway refused"),
    routeTargetsExhausted: counter("route_targets_exhausted", "Calls of a route of which every target failed"),
    streamBlocked: counter("stream_blocked", "Streams that a guard ended"),
    streamStalled: counter("stream_stalled", "Streams that ended because the provider fell silent"),
    streamInterrupts: counter("stream_interrupts", "Streams that failed after their first content"),
    emptyStream: counter("empty_stream", "Answers of a provider without any content"),
    authSuccess: counter("auth_success", "Credentials that were accepted"),
    authFailure: counter("auth_failure", "Credentials that were missing or wrong"),
    authDenials: counter("auth_denials", "Callers who are known and may not do what they asked"),
    errorKind: counter("error_kind", "Failures by their kind", ["kind"]),
    retries: counter("retries", "Attempts after a call's first"),
    admissionRejected: counter("admission_rejected", "Calls that found no place or nobody to serve them", ["reason"]),
  };
}

let processRegistry: Registry | undefined;

/** Node's and the process's own metrics by their usual names; they are watched once, however many gateways run in the process. */
export function processMetrics(): Registry {
  if (processRegistry !== undefined) return processRegistry;
  processRegistry = new Registry();
  collectDefaultMetrics({ register: processRegistry });
  return processRegistry;
}

/** The text of what several processes counted together. */
export function renderMetrics(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate(snapshots.map((snapshot) => [...snapshot])).metrics();
}

/** Counters and histograms of processes that ended, added up; what is only so while a process lives is left out. */
export function foldCounters(snapshots: readonly MetricsSnapshot[]): MetricsSnapshot {
  const together = AggregatorRegistry.aggregate(snapshots.map((snapshot) => snapshot.filter(isCounted)));
  // Functions do not travel from process to process.
  return together
    .getMetricsAsArray()
    .map((metric) => Object.fromEntries(Object.entries(metric).filter(isPlain)) as unknown as MetricObject);
}

function isCounted({ type }: MetricObject): boolean {
  return String(type) === "counter" || String(type) === "histogram";
}

function isPlain([, value]: [string, unknown]): boolean {
  return typeof value !== "function";
}
