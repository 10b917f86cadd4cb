/** What is counted, put under its names: the metrics of Prometheus and the numbers of /statsz. */
import type { Call } from "../core/call.ts";
import type { Clock } from "../core/clock.ts";
import type { GatewayError } from "../core/error.ts";
import type { AttemptEnding, CallOutcome, LedgerTap } from "../core/ledger.ts";
import type { Metrics } from "../core/metrics.ts";
import { BoundedLabels, otherLabel } from "./bounded-labels.ts";
import { admissionReason, isRateLimit, kindLabel, outcomeOf } from "./call-outcome.ts";
import { createPrometheusMetrics, type LedgerCounts, type MetricsSnapshot, type PrometheusMetrics, processMetrics } from "./prometheus.ts";
import { Stats, type StatsSnapshot } from "./stats.ts";

export interface MetricsOptions {
  readonly clock: Clock;
  readonly version: string;
  /** Most names of models, routes and providers that are series of their own; all others are `other`. */
  readonly maxModels: number;
  /** Calls that run. */
  readonly inflight: () => number;
  /** Calls inside admission, by the model's name at its provider. */
  readonly admitted: () => Iterable<{ readonly model: string; readonly role: string; readonly count: number }>;
  /** Records of the request log that were thrown away since the start. */
  readonly captureDropped: () => number;
  /** How the ledger stands; undefined while there is none. */
  readonly ledger: () => LedgerCounts | undefined;
  /** How often the event loop stood still since the start. */
  readonly stalls: () => number;
  /** Calls that were refused since the start because the process was overloaded, by what it lacked. */
  readonly overloaded: () => Readonly<Record<string, number>>;
  /** Whether a model stands in a provider's list; `provider` is empty where it is not known. */
  readonly isListed: (model: string, provider: string) => boolean;
  /** Whether a provider says which models it has. */
  readonly hasList: (provider: string) => boolean;
}

/** Any other is a word that a client made up. */
const methods: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);

export class CountedMetrics implements Metrics, LedgerTap {
  readonly #options: MetricsOptions;
  readonly #prometheus: PrometheusMetrics;
  readonly #stats = new Stats();
  readonly #startedAt: number;
  readonly #models: BoundedLabels;
  /** Routes, aliases and providers: configured, so only their number is in question. */
  readonly #names: BoundedLabels;

  constructor(options: MetricsOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    // The event loop's delay is measured from now on, not from the first look.
    processMetrics();
    this.#models = new BoundedLabels(options.maxModels);
    this.#names = new BoundedLabels(options.maxModels);
    this.#prometheus = createPrometheusMetrics({
      inflight: options.inflight,
      admitted: () => this.#admitted(),
      captureDropped: options.captureDropped,
      ledger: options.ledger,
      stalls: options.stalls,
      overloaded: options.overloaded,
      uptimeSeconds: () => this.#uptimeSeconds(),
      build: { version: options.version, node_version: process.versions.node },
    });
  }

  exchangeEnded(method: string, path: string, status: number, durationMs: number): void {
    const { httpRequests, httpRequestDuration } = this.#prometheus;
    httpRequests.inc({ method: methods.has(method) ? method : otherLabel, path, status });
    httpRequestDuration.observe(durationMs / 1_000);
  }

  authenticated(): void {
    this.#prometheus.authSuccess.inc();
  }

  notAuthenticated(): void {
    this.#prometheus.authFailure.inc();
  }

  refused(error: GatewayError): void {
    const { authDenials, errorKind, ratelimitRejected } = this.#prometheus;
    errorKind.inc({ kind: kindLabel(error) });
    if (error.reason === "forbidden") authDenials.inc();
    if (isRateLimit(error)) ratelimitRejected.inc();
  }

  attemptEnded({ call, attempt, settlement, error }: AttemptEnding): void {
    // Nothing was sent: a plan, or a refusal of our own. A provider that cannot be reached has failed all the same.
    if (settlement.state === "released" && error?.reason !== "provider_error" && error?.reason !== "timeout") return;
    const { upstreamRequests, upstreamRequestDuration, upstreamErrors, tokens } = this.#prometheus;
    const model = this.#labelOf(attempt.upstreamModel, call.route, attempt.provider, error === undefined);
    const provider = this.#names.admit(attempt.provider);
    upstreamRequests.inc();
    upstreamRequestDuration.observe(attempt.durationMs / 1_000);
    // Who leaves says nothing about the provider.
    if (error?.reason !== "cancelled") {
      this.#stats.providerAnswered(provider, error === undefined);
      if (error !== undefined) upstreamErrors.inc({ status: attempt.httpStatus === 0 ? "none" : String(attempt.httpStatus) });
    }
    const { usage } = attempt;
    if (usage === undefined) return;
    const route = call.route === "" ? "" : this.#names.admit(call.route);
    tokens.inc({ direction: "input", model, route, provider }, usage.inputTokens ?? 0);
    tokens.inc({ direction: "output", model, route, provider }, usage.outputTokens ?? 0);
    this.#stats.used(model, usage, attempt.costNanoUsd);
  }

  callEnded({ call, error, durationMs }: CallOutcome): void {
    const { requests, retries, admissionRejected, streamBlocked, streamStalled, streamInterrupts } = this.#prometheus;
    const last = call.attempts.at(-1);
    const { model: resolvedModel, route } = call.resolved ?? { model: "", route: "" };
    const model = this.#labelOf(last?.upstreamModel ?? resolvedModel, route, last?.provider, error === undefined);
    requests.inc({ model, outcome: outcomeOf(error) });
    if (call.operation !== "count_tokens") {
      const firstContentMs = last?.firstContentMs === undefined ? undefined : last.startedAfterMs + last.firstContentMs;
      this.#stats.callEnded(model, error === undefined, durationMs, firstContentMs);
    }
    if (call.attempts.length > 1) retries.inc(call.attempts.length - 1);
    if (error === undefined) return;
    this.refused(error);
    const reason = admissionReason(error);
    if (reason !== undefined && call.attempts.length === 0) admissionRejected.inc({ reason });
    if (call.operation !== "generate" || !error.committed || error.reason === "cancelled") return;
    if (error.reason === "guardrail_blocked" || error.reason === "policy_blocked") streamBlocked.inc();
    else streamInterrupts.inc();
    // The call's own deadline is not the provider's silence.
    if (error.reason === "timeout" && !call.signal.aborted) streamStalled.inc();
  }

  targetsExhausted({ route }: Call): void {
    if (route !== "") this.#prometheus.routeTargetsExhausted.inc();
  }

  emptyStream(): void {
    this.#prometheus.emptyStream.inc();
  }

  /** With Node's and the process's own. */
  async snapshot(): Promise<MetricsSnapshot> {
    const [own, ofProcess] = await Promise.all([this.#prometheus.registry.getMetricsAsJSON(), processMetrics().getMetricsAsJSON()]);
    return [...own, ...ofProcess];
  }

  stats(): StatsSnapshot {
    return this.#stats.snapshot(this.#uptimeSeconds());
  }

  #uptimeSeconds(): number {
    return (this.#options.clock.now() - this.#startedAt) / 1_000;
  }

  /** Calls of names that are no labels add up under `other`. */
  *#admitted() {
    for (const { model, role, count } of this.#options.admitted()) yield { model: this.#labelOf(model, ""), role, count };
  }

  /**
   * Clients can make names up, and some providers answer to any. A name counts once it stands in a route or a list; that of
   * a provider without a list when it has served.
   */
  #labelOf(model: string, route: string, provider = "", hasServed = false): string {
    const known = this.#models.find(model);
    if (known !== otherLabel) return known;
    const { isListed, hasList } = this.#options;
    const isName = route !== "" || isListed(model, provider) || (hasServed && !hasList(provider));
    return isName ? this.#models.admit(model) : otherLabel;
  }
}
