import { create } from "@bufbuild/protobuf";
import { afterEach, describe, expect, test } from "vitest";
import { AttemptSchema, AttemptStatus, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../../src/core/call.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { AttemptEnding } from "../../src/core/ledger.ts";
import { createPrincipal } from "../../src/core/principal.ts";
import type { LinkHandler, WorkerLink } from "../../src/core/worker-link.ts";
import { createExposition, type RunningExposition } from "../../src/telemetry/exposition.ts";
import { CountedMetrics } from "../../src/telemetry/metrics.ts";
import { renderMetrics } from "../../src/telemetry/prometheus.ts";
import { serveWorkerCounts } from "../../src/telemetry/worker-counts.ts";
import { Scrape } from "./prometheus-text.ts";

interface Setting {
  readonly maxModels?: number;
  readonly listed?: readonly string[];
  readonly withList?: readonly string[];
  readonly dropped?: () => number;
}

function createMetrics({ maxModels = 200, listed = [], withList = [], dropped = () => 0 }: Setting = {}): CountedMetrics {
  let now = 1_000;
  return new CountedMetrics({
    clock: { now: () => (now += 500), wall: () => 0 },
    version: "1.2.3",
    maxModels,
    inflight: () => 2,
    admitted: () => [
      { model: "m", role: "generate", count: 1 },
      { model: "unheard-of", role: "generate", count: 1 },
      { model: "unheard-of-too", role: "generate", count: 3 },
    ],
    captureDropped: dropped,
    ledger: () => ({ open: 3, queued: 4, journalBytes: 5_000, lost: 0, refused: 1, repeated: 2 }),
    stalls: () => 1,
    overloaded: () => ({ loop: 2, heap: 0 }),
    isListed: (model) => listed.includes(model),
    hasList: (provider) => withList.includes(provider),
  });
}

const scrapeOf = async (metrics: CountedMetrics) => new Scrape(await renderMetrics([await metrics.snapshot()]));

interface Told {
  readonly model?: string;
  readonly provider?: string;
  readonly route?: string;
  readonly error?: GatewayError;
  readonly stopped?: boolean;
  readonly durationMs?: number;
}

/** One call with one attempt, as the ledger's taps see them. */
function tell(
  metrics: CountedMetrics,
  { model = "m", provider = "p", route = "", error, stopped = false, durationMs = 100 }: Told = {},
): void {
  const attempt = create(AttemptSchema, {
    number: 1,
    provider,
    upstreamModel: model,
    durationMs,
    httpStatus: 200,
    status: error === undefined ? AttemptStatus.SUCCESS : AttemptStatus.ERROR,
    usage: create(UsageSchema, { inputTokens: 10, outputTokens: 5, cacheReadTokens: 4, reasoningTokens: 2, cacheWriteTokens: 1 }),
  });
  const call: Call = {
    requestId: "r",
    clientRequestId: "r",
    operation: "generate",
    surface: "v1",
    dialect: "openai-chat",
    principal: createPrincipal({ id: "key:canary", scopes: new Set(["*"]) }),
    signal: stopped ? AbortSignal.abort(new GatewayError("timeout", "late")) : new AbortController().signal,
    startedAt: 0,
    deadline: 1_000,
    traceparent: "",
    attribution: undefined,
    options: undefined,
    attempts: [attempt],
    translation: [],
    resolved: { model, route },
    targets: [],
    maxAttempts: 1,
    route,
  };
  const settlement = { state: "settled" } as AttemptEnding["settlement"];
  metrics.attemptEnded({ call, attempt, settlement, error });
  metrics.callEnded({ call, requestedModel: "asked", error, durationMs });
}

function committed(reason: "timeout" | "provider_error" | "cancelled" | "guardrail_blocked"): GatewayError {
  const error = new GatewayError(reason, "broke off");
  error.committed = true;
  return error;
}

describe("streams that end badly", () => {
  test.each([
    ["a silent provider", committed("timeout"), false, { stalled: 1, interrupts: 1, blocked: 0 }],
    ["the call's own deadline", committed("timeout"), true, { stalled: 0, interrupts: 1, blocked: 0 }],
    ["a cut", committed("provider_error"), false, { stalled: 0, interrupts: 1, blocked: 0 }],
    ["a guard", committed("guardrail_blocked"), false, { stalled: 0, interrupts: 0, blocked: 1 }],
    ["a client that leaves", committed("cancelled"), true, { stalled: 0, interrupts: 0, blocked: 0 }],
    ["a failure before the first content", new GatewayError("provider_error", "no"), false, { stalled: 0, interrupts: 0, blocked: 0 }],
  ])("%s", async (_, error, stopped, wanted) => {
    const metrics = createMetrics();
    tell(metrics, { error, stopped });
    const found = await scrapeOf(metrics);
    expect({
      stalled: found.sum("dragoman_stream_stalled_total"),
      interrupts: found.sum("dragoman_stream_interrupts_total"),
      blocked: found.sum("dragoman_stream_blocked_total"),
    }).toEqual(wanted);
  });
});

describe("labels of models", () => {
  const modelsOf = (found: Scrape) =>
    new Set(found.samples.filter(({ name }) => name === "dragoman_requests_total").map(({ labels }) => labels.model));

  test("of names that providers answer to, only those on their list are shown", async () => {
    const metrics = createMetrics({ listed: ["real"], withList: ["p"] });
    for (const model of ["real", "made-up"]) tell(metrics, { model });
    tell(metrics, { model: "unlisted", provider: "without-list" });
    tell(metrics, { model: "failing", provider: "without-list", error: new GatewayError("provider_error", "no") });
    tell(metrics, { model: "of-a-route", route: "front", error: new GatewayError("provider_error", "no") });
    expect(modelsOf(await scrapeOf(metrics))).toEqual(new Set(["real", "unlisted", "of-a-route", "other"]));
  });

  test("there are never more than the limit, and nothing is lost", async () => {
    const metrics = createMetrics({ maxModels: 3 });
    for (let index = 0; index < 50; index++)
      tell(metrics, { model: `model-${index}`, provider: `provider-${index}`, route: `route-${index}` });
    const found = await scrapeOf(metrics);
    expect(modelsOf(found).size).toBe(4);
    expect(found.sum("dragoman_requests_total")).toBe(50);
    expect(found.sum("dragoman_tokens_total", { direction: "input" })).toBe(500);
    expect(found.samples.filter(({ name }) => name === "dragoman_tokens_total").length).toBeLessThanOrEqual(2 * 4);
  });

  test("methods that clients make up are other", async () => {
    const metrics = createMetrics();
    metrics.exchangeEnded("CANARY", "other", 404, 1);
    expect((await scrapeOf(metrics)).sum("dragoman_http_requests_total", { method: "other", status: "404" })).toBe(1);
  });
});

test("a provider that cannot be reached has failed, and what the gateway refused itself was not sent", async () => {
  const metrics = createMetrics();
  const end = (error: GatewayError) => {
    const attempt = create(AttemptSchema, { provider: "p", upstreamModel: "m" });
    const call = { route: "" } as Call;
    metrics.attemptEnded({ call, attempt, settlement: { state: "released" } as AttemptEnding["settlement"], error });
  };
  end(new GatewayError("provider_error", "refused the connection", { undispatched: true }));
  end(new GatewayError("untranslatable", "no such field"));
  end(new GatewayError("ledger_unavailable", "no journal"));
  const found = await scrapeOf(metrics);
  expect(found.sum("dragoman_upstream_requests_total")).toBe(1);
  expect(found.sum("dragoman_upstream_errors_total", { status: "none" })).toBe(1);
});

test("gauges are looked at when somebody asks", async () => {
  let dropped = 0;
  const metrics = createMetrics({ dropped: () => dropped, listed: ["m"] });
  tell(metrics);
  const first = await scrapeOf(metrics);
  dropped = 7;
  const second = await scrapeOf(metrics);
  expect([first, second].map((found) => found.sum("dragoman_capture_dropped_total"))).toEqual([0, 7]);
  expect(second.sum("dragoman_admission_inflight", { model: "m", role: "generate" })).toBe(1);
  expect(second.sum("dragoman_admission_inflight", { model: "other", role: "generate" })).toBe(4);
  expect(second.sum("dragoman_uptime_seconds")).toBeGreaterThan(0);
  expect(second.sum("dragoman_event_loop_stalls_total")).toBe(1);
  expect(second.sum("dragoman_overload_refused_total", { reason: "loop" })).toBe(2);
});

const shown: RunningExposition[] = [];

afterEach(async () => {
  for (const exposition of shown.splice(0)) await exposition.close();
});

function show(metrics: CountedMetrics, link: WorkerLink): RunningExposition {
  const exposition = createExposition(metrics, link);
  shown.push(exposition);
  return exposition;
}

interface Worker {
  readonly link: WorkerLink;
  /** It ends without a last word. */
  die(): void;
  /** It lives and says nothing. */
  hang(): void;
}

/** Several workers and their primary in one process. */
function startWorkers(count: number): Worker[] {
  const { handlers: shared, gone } = serveWorkerCounts();
  const handlers = new Map<string, Map<string, LinkHandler>>();
  const hung = new Set<string>();
  return Array.from({ length: count }, (_, index) => {
    const id = `${index + 1}.${index + 1}`;
    const own = new Map<string, LinkHandler>();
    handlers.set(id, own);
    const toPrimary = (topic: string, body: unknown) => structuredClone(shared[topic]?.(structuredClone(body), id));
    return {
      link: {
        worker: index + 1,
        ask: async (topic, body) => toPrimary(topic, body),
        tell: toPrimary,
        async askAll(topic, body) {
          const serving = [...handlers].filter(([each]) => !hung.has(each));
          return Promise.all(serving.map(async ([, each]) => structuredClone(await each.get(topic)?.(structuredClone(body)))));
        },
        serve: (topic, handler) => void own.set(topic, handler),
      },
      die() {
        handlers.delete(id);
        gone?.(id);
      },
      hang: () => void hung.add(id),
    };
  });
}

test("whichever worker is asked, the numbers are those of all", async () => {
  const workers = startWorkers(3).map(({ link }, index) => {
    const metrics = createMetrics({ dropped: () => index, listed: ["m"] });
    for (let call = 0; call <= index; call++) tell(metrics, { durationMs: 100 * (index + 1) });
    return show(metrics, link);
  });
  for (const worker of workers) {
    const found = new Scrape(await worker.metrics());
    expect(found.sum("dragoman_requests_total", { model: "m", outcome: "ok" })).toBe(6);
    expect(found.sum("dragoman_tokens_total", { direction: "output" })).toBe(30);
    expect(found.sum("dragoman_inflight_requests")).toBe(6);
    expect(found.sum("dragoman_build_info", { version: "1.2.3" })).toBe(1);
    expect(found.sum("dragoman_capture_dropped_total")).toBe(3);
    expect([found.sum("dragoman_ledger_open_attempts"), found.sum("dragoman_ledger_faults_total")]).toEqual([9, 9]);
    expect(found.sum("dragoman_upstream_request_duration_seconds_count")).toBe(6);
    const stats = (await worker.stats()) as {
      models: Record<string, object>;
      latency: Record<string, { count: number; p50_ms: number; p99_ms: number }>;
    };
    expect(stats.models.m).toEqual({
      requests: 6,
      input_tokens: 60,
      output_tokens: 30,
      reasoning_tokens: 12,
      cache_hit_tokens: 24,
      cache_miss_tokens: 36,
      cache_creation_tokens: 6,
      errors: 0,
    });
    expect(stats.latency.m?.count).toBe(6);
    expect(stats.latency.m?.p50_ms).toBeCloseTo(200, -1);
    expect(stats.latency.m?.p99_ms).toBeCloseTo(300, -1);
  }
});

describe("counters never fall", () => {
  const openAll = (count: number) =>
    startWorkers(count).map((worker) => {
      const metrics = createMetrics({ listed: ["m"] });
      return { ...worker, metrics, shown: show(metrics, worker.link) };
    });
  type Opened = ReturnType<typeof openAll>[number];
  const look = async ({ shown }: Opened) => {
    const found = new Scrape(await shown.metrics());
    const stats = (await shown.stats()) as { models: Record<string, { requests: number }>; billing: object };
    return {
      calls: found.sum("dragoman_requests_total"),
      durations: found.sum("dragoman_upstream_request_duration_seconds_count"),
      inflight: found.sum("dragoman_inflight_requests"),
      stats: stats.models.m?.requests,
    };
  };

  test("when a worker dies, and another one after it", async () => {
    const [first, second, third] = openAll(3) as [Opened, Opened, Opened];
    for (const { metrics } of [first, second, second]) tell(metrics);
    expect(await look(third)).toEqual({ calls: 3, durations: 3, inflight: 6, stats: 3 });
    first.die();
    expect(await look(third)).toEqual({ calls: 3, durations: 3, inflight: 4, stats: 3 });
    second.die();
    tell(third.metrics);
    expect(await look(third)).toEqual({ calls: 4, durations: 4, inflight: 2, stats: 4 });
  });

  test("when a worker hangs: it keeps what it said last", async () => {
    const [first, second] = openAll(2) as [Opened, Opened];
    tell(first.metrics);
    expect((await look(second)).calls).toBe(1);
    first.hang();
    tell(second.metrics);
    expect((await look(second)).calls).toBe(2);
  });

  test("when a worker ends in order, with all that it counted", async () => {
    const [first, second] = openAll(2) as [Opened, Opened];
    tell(first.metrics);
    await first.shown.close();
    first.die();
    expect((await look(second)).calls).toBe(1);
  });

  test("a last word that comes after the end is not counted again", async () => {
    const [first, second] = openAll(2) as [Opened, Opened];
    tell(first.metrics);
    await look(second);
    first.die();
    await first.shown.close();
    expect((await look(second)).calls).toBe(1);
  });
});
