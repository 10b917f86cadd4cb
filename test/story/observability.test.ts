/** OPS-1 and OPS-2: what the gateway tells about itself agrees with what was asked of it, and holds nobody's words. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "../telemetry/otlp-receiver.ts";
import { Scrape } from "../telemetry/prometheus-text.ts";
import { type Gateway, type GatewayOptions, startGateway } from "./gateway.ts";

/** Secrets and words that must be found nowhere but where they were meant to go. */
const canaries = {
  key: "canary-key-7Hq2mZ4xW9sT1vB6",
  wrongKey: "canary-wrong-5Tn8pL3cR0kJ7dF2",
  prompt: "canaryprompt-the-quick-brown",
  user: "canaryuser-42",
  session: "canarysession-77",
  model: "canarymodel-ignore-previous",
};

const directory = mkdtempSync(join(tmpdir(), "dragoman-observability-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const keyFile = join(directory, "keys");
writeFileSync(keyFile, `${canaries.key} chat,embed,models\ncanary-models-only-key models\n`);

interface Asking {
  readonly path?: string;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

function post(
  url: string,
  body: object,
  { path = "/v1/chat/completions", key = canaries.key, headers, signal }: Asking = {},
): Promise<Response> {
  return fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}`, ...headers },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}

const messages = [{ role: "user", content: canaries.prompt }];
const script = (...steps: object[]) => [{ role: "user", content: JSON.stringify({ sim_script: { steps } }) }];

async function scrape(url: string): Promise<Scrape> {
  const response = await fetch(`${url}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  return new Scrape(await response.text());
}

/** A client may have its answer a moment before the counters move. */
async function eventually(url: string, look: (found: Scrape) => void): Promise<Scrape> {
  let found: Scrape | undefined;
  await vi.waitFor(
    async () => {
      found = await scrape(url);
      look(found);
    },
    { timeout: 5_000, interval: 20 },
  );
  return found as Scrape;
}

describe("N21: metrics", () => {
  let gateway: Gateway;
  let url: string;
  beforeEach(async () => {
    gateway = await startGateway({
      config: {
        auth: { api_keys_file: keyFile },
        admission: { max_queue: 1 },
        routes: {
          front: {
            strategy: "fallback",
            targets: [
              { provider: "chat", model: "sim-fault-status_500" },
              { provider: "claude", model: "sim-echo" },
            ],
          },
        },
      },
    });
    url = gateway.url;
  });
  afterEach(() => gateway?.close());

  test("counters agree with what was asked", async () => {
    const ok = await post(url, { model: "chat/sim-echo", messages, user: canaries.user });
    expect(ok.headers.get("server-timing")).toMatch(/^total;dur=[\d.]+, provider;dur=[\d.]+, gateway;dur=[\d.]+$/);
    const { usage } = (await ok.json()) as { usage: { prompt_tokens: number; completion_tokens: number } };
    await (await post(url, { model: "chat/sim-echo", messages, stream: true })).text();
    expect((await post(url, { model: "gem/sim-embed", input: "words" }, { path: "/v1/embeddings" })).status).toBe(200);
    expect((await post(url, { model: "front", messages })).status).toBe(200);
    expect((await post(url, { model: canaries.model, messages })).status).toBe(404);
    expect((await post(url, { model: `chat/sim-fault-status_500`, messages })).status).toBe(502);
    expect((await post(url, { model: "chat/sim-echo", messages }, { key: canaries.wrongKey })).status).toBe(401);
    expect((await post(url, { model: "chat/sim-echo", messages }, { key: "canary-models-only-key" })).status).toBe(403);
    expect((await post(url, {}, { path: `/v1/${canaries.model}` })).status).toBe(404);

    const found = await eventually(url, (now) => expect(now.sum("dragoman_http_requests_total")).toBe(9));
    const requests = (labels: Record<string, string>) => found.sum("dragoman_requests_total", labels);
    expect(requests({ outcome: "ok" })).toBe(4);
    expect(requests({ model: "sim-echo", outcome: "ok" })).toBe(3);
    expect(requests({ model: "other", outcome: "error" })).toBeGreaterThanOrEqual(1);
    expect(requests({ outcome: "error" })).toBe(2);
    const http = (labels: Record<string, string>) => found.sum("dragoman_http_requests_total", labels);
    expect(http({ path: "/v1/chat/completions", method: "POST", status: "200" })).toBe(3);
    expect(http({ path: "/v1/embeddings", status: "200" })).toBe(1);
    expect(http({ path: "other", status: "404" })).toBe(1);
    expect(found.sum("dragoman_http_request_duration_seconds_count")).toBe(9);
    // Two of chat, one embedding, two of the route, one failure.
    expect(found.sum("dragoman_upstream_requests_total")).toBe(6);
    expect(found.sum("dragoman_upstream_errors_total", { status: "500" })).toBe(2);
    expect(found.sum("dragoman_retries_total")).toBe(1);
    expect(found.sum("dragoman_auth_success_total")).toBe(7);
    expect(found.sum("dragoman_auth_failure_total")).toBe(1);
    expect(found.sum("dragoman_auth_denials_total")).toBe(1);
    expect(found.sum("dragoman_error_kind_total", { kind: "auth_failed" })).toBe(2);
    expect(found.sum("dragoman_error_kind_total", { kind: "model_not_found" })).toBe(1);
    const tokens = (direction: string) => found.sum("dragoman_tokens_total", { direction, model: "sim-echo", provider: "chat", route: "" });
    expect(tokens("input")).toBe(2 * usage.prompt_tokens);
    expect(tokens("output")).toBe(2 * usage.completion_tokens);
    expect(found.sum("dragoman_tokens_total", { provider: "claude", route: "front", direction: "output" })).toBeGreaterThan(0);
    const bill = gateway.sim.bill();
    expect(found.sum("dragoman_tokens_total")).toBe(bill.reduce((sum, row) => sum + row.inputTokens + row.outputTokens, 0));
    expect(found.types.get("dragoman_requests_total")).toBe("counter");
    expect(found.types.get("nodejs_eventloop_lag_p99_seconds")).toBe("gauge");
    expect(found.sum("dragoman_build_info")).toBe(1);
  });

  test("a call that runs is in flight, the next finds no place, and one whose client leaves frees it", async () => {
    const stop = new AbortController();
    const held = post(
      url,
      { model: "chat/sim-script", stream: true, messages: script({ text: "some words " }, { delay_ms: 20_000 }) },
      { signal: stop.signal },
    );
    const reader = (await held).body?.getReader();
    await reader?.read();
    const during = await scrape(url);
    expect(during.sum("dragoman_inflight_requests")).toBe(1);
    expect(during.sum("dragoman_admission_inflight", { role: "generate" })).toBe(1);
    expect((await post(url, { model: "chat/sim-script", messages: script({ text: "x" }) })).status).toBe(429);
    stop.abort();
    const after = await eventually(url, (now) => expect(now.sum("dragoman_requests_total")).toBe(2));
    expect(after.sum("dragoman_inflight_requests")).toBe(0);
    expect(after.sum("dragoman_admission_inflight")).toBe(0);
    expect(after.sum("dragoman_requests_total", { outcome: "admission_rejected" })).toBe(1);
    expect(after.sum("dragoman_admission_rejected_total", { reason: "queue_full" })).toBe(1);
    expect(after.sum("dragoman_error_kind_total", { kind: "cancelled" })).toBe(1);
    // Who leaves says nothing about the provider.
    expect(after.sum("dragoman_upstream_errors_total")).toBe(0);
    expect(after.sum("dragoman_stream_interrupts_total")).toBe(0);
  });

  test("a stream that breaks off is an interrupt, and an answer without content an empty one", async () => {
    await (
      await post(url, { model: "chat/sim-script", stream: true, messages: script({ text: "some words " }, { fault: "reset" }) })
    ).text();
    await (await post(url, { model: "chat/sim-fault-empty_stream", stream: true, messages })).text();
    await eventually(url, (now) => {
      expect(now.sum("dragoman_stream_interrupts_total")).toBe(1);
      expect(now.sum("dragoman_empty_stream_total")).toBe(1);
    });
  });

  test("what a limit refuses is counted as that", async () => {
    const limited = await startGateway({ config: { limits: { rules: [{ subject: "tenant", requests_per_minute: 1 }] } } });
    try {
      const asked = [];
      for (let index = 0; index < 3; index++) asked.push((await post(limited.url, { model: "chat/sim-echo", messages })).status);
      expect(asked).toEqual([200, 429, 429]);
      const found = await eventually(limited.url, (now) => expect(now.sum("dragoman_requests_total")).toBe(3));
      expect(found.sum("dragoman_requests_total", { model: "sim-echo", outcome: "rate_limited" })).toBe(2);
      expect(found.sum("dragoman_ratelimit_rejected_total")).toBe(2);
      expect(found.sum("dragoman_error_kind_total", { kind: "rate_limited" })).toBe(2);
      expect(found.sum("dragoman_upstream_requests_total")).toBe(1);
    } finally {
      await limited.close();
    }
  });

  test("no label holds a key, a prompt, a user or what a client made up", async () => {
    const headers = { "x-dragoman-user-id": canaries.user, "x-dragoman-session-id": canaries.session, "x-request-id": "canary-request" };
    for (const model of ["chat/sim-echo", canaries.model, `chat/${canaries.model}`, `sim/${canaries.model}`]) {
      await (await post(url, { model, messages, user: canaries.user }, { headers })).text();
    }
    await (await post(url, { model: "chat/sim-echo", messages }, { key: canaries.wrongKey })).text();
    await (await fetch(`${url}/v1/responses/${canaries.prompt}?key=${canaries.key}`)).text();
    await (await fetch(`${url}/${canaries.prompt}`, { method: "REPORT" })).text();
    await eventually(url, (now) => expect(now.sum("dragoman_http_requests_total")).toBe(7));
    for (const path of ["/metrics", "/statsz"]) expect(await (await fetch(url + path)).text()).not.toMatch(/canary/i);
  });

  test("the gateway's own models are called by their names", async () => {
    expect((await post(url, { model: "sim/echo", messages })).status).toBe(200);
    const found = await eventually(url, (now) => expect(now.sum("dragoman_requests_total")).toBe(1));
    expect(found.sum("dragoman_tokens_total", { model: "echo", provider: "sim", direction: "input" })).toBeGreaterThan(0);
  });

  test("N20: statsz tells counts and latencies by model", async () => {
    for (let asked = 0; asked < 4; asked++) await (await post(url, { model: "chat/sim-echo", messages })).text();
    await (await post(url, { model: "chat/sim-fault-status_500", messages })).text();
    await eventually(url, (now) => expect(now.sum("dragoman_requests_total")).toBe(5));
    const stats = (await (await fetch(`${gateway.adminUrl}/statsz`)).json()) as Record<string, Record<string, Record<string, number>>>;
    expect(Object.keys(stats)).toEqual(
      expect.arrayContaining([
        "uptime_seconds",
        "models",
        "latency",
        "circuit_breakers",
        "mcp",
        "provider_health",
        "stream_buffer_pool",
        "billing",
      ]),
    );
    const bill = gateway.sim.bill();
    expect(stats.models?.["sim-echo"]).toEqual({
      requests: 4,
      input_tokens: bill.reduce((sum, { inputTokens }) => sum + inputTokens, 0),
      output_tokens: bill.reduce((sum, { outputTokens }) => sum + outputTokens, 0),
      reasoning_tokens: 0,
      cache_hit_tokens: 0,
      cache_miss_tokens: bill.reduce((sum, { inputTokens }) => sum + inputTokens, 0),
      cache_creation_tokens: 0,
      errors: 0,
    });
    const { count, p50_ms: p50 = 0, p90_ms: p90 = 0, p99_ms: p99 = 0, ttft_p50_ms: first = 0 } = stats.latency?.["sim-echo"] ?? {};
    expect(count).toBe(4);
    expect(p50).toBeGreaterThan(0);
    expect(p90).toBeGreaterThanOrEqual(p50);
    expect(p99).toBeGreaterThanOrEqual(p90);
    expect(first).toBeLessThanOrEqual(p99);
    expect(stats.provider_health?.chat).toEqual({ status: "ok", requests: 5, errors: 1, consecutive_errors: 1 });
  });

  test("only GET reads them", async () => {
    const refused = await fetch(`${gateway.adminUrl}/metrics`, { method: "POST" });
    expect(refused.status).toBe(405);
    expect(refused.headers.get("allow")).toBe("GET, HEAD");
    const head = await fetch(`${gateway.adminUrl}/statsz`, { method: "HEAD" });
    expect([head.status, await head.text()]).toEqual([200, ""]);
  });
});

describe("where metrics are shown", () => {
  async function statuses(config: object, server: object = {}): Promise<number[]> {
    const gateway = await startGateway({ config: { auth: { api_keys_file: keyFile }, server, ...config } });
    try {
      const dataUrl = gateway.url.replace("0.0.0.0", "127.0.0.1");
      const urls = [`${dataUrl}/metrics`, `${dataUrl}/statsz`, `${gateway.adminUrl}/metrics`, `${gateway.adminUrl}/statsz`];
      return await Promise.all(urls.map(async (url) => (await fetch(url)).status));
    } finally {
      await gateway.close();
    }
  }

  const open = { listen: "0.0.0.0:0", allow_vulnerable_runtime: true };

  test("on the data port of this machine, not on one that others reach, but where that is wanted", async () => {
    expect(await statuses({})).toEqual([200, 200, 200, 200]);
    expect((await statuses({}, open)).slice(2)).toEqual([200, 200]);
    expect((await statuses({}, open)).slice(0, 2).every((status) => status === 401 || status === 404)).toBe(true);
    expect(await statuses({ telemetry: { public: true } }, open)).toEqual([200, 200, 200, 200]);
  });

  test("nowhere where nothing is counted", async () => {
    expect(await statuses({ telemetry: { metrics: { enabled: false } } })).toEqual([404, 404, 404, 404]);
  });
});

describe("health (OPS-1)", () => {
  test("with all upstreams dead the process is healthy and ready, degraded", async () => {
    const gateway = await startGateway({
      config: { sim: { enabled: false }, local_embeddings: { enabled: false } },
      upstream: { base_url: "http://127.0.0.1:9" },
    });
    try {
      expect((await fetch(`${gateway.adminUrl}/healthz`)).status).toBe(200);
      const ready = await fetch(`${gateway.adminUrl}/readyz`);
      expect([ready.status, await ready.json()]).toEqual([200, { status: "degraded", away: ["targets"] }]);
    } finally {
      await gateway.close();
    }
  });
});

describe("traces", () => {
  let receiver: OtlpReceiver;
  let gateway: Gateway | undefined;
  beforeAll(async () => {
    receiver = await startOtlpReceiver();
  });
  afterAll(() => receiver?.close());

  async function start(options: GatewayOptions = {}, env: NodeJS.ProcessEnv = {}): Promise<Gateway> {
    gateway = await startGateway({ ...options, env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_SERVICE_NAME: "story", ...env } });
    return gateway;
  }

  /** Closing sends what is left. */
  async function close(): Promise<ReceivedSpan[]> {
    const before = receiver.spans.length;
    await gateway?.close();
    gateway = undefined;
    return receiver.spans.slice(before);
  }
  afterEach(async () => {
    await gateway?.close();
    gateway = undefined;
  });

  const traceId = "0af7651916cd43dd8448eb211c80319c";
  const parent = { traceparent: `00-${traceId}-b7ad6b7169203331-01`, tracestate: "vendor=one,other=two" };

  const serverOf = (spans: readonly ReceivedSpan[]) => spans.filter(({ kind }) => kind === 2);
  const clientsOf = (spans: readonly ReceivedSpan[]) => spans.filter(({ kind }) => kind === 3);

  /** The trace context that the provider was sent, of the latest calls. */
  function sentContexts(running: Gateway): (string | undefined)[] {
    return running.sim.requests().flatMap(({ method, headers }) => (method === "POST" ? [headers.traceparent] : []));
  }

  test("a call is a span under its client's, an attempt one under that, and the provider gets the attempt's", async () => {
    const running = await start();
    const response = await post(
      running.url,
      { model: "chat/sim-echo", messages, stream: true, temperature: 0.5, max_tokens: 50, user: canaries.user, stop: ["canarystop"] },
      { headers: { ...parent, "x-dragoman-session-id": "s-1" } },
    );
    await response.text();
    const [sent] = sentContexts(running);
    const state = running.sim.requests().find(({ headers }) => headers.tracestate !== undefined)?.headers.tracestate;
    const line = running.lines.find(({ message }) => message === "attempt");
    const spans = await close();

    const [server] = serverOf(spans);
    const [client] = clientsOf(spans);
    expect(spans).toHaveLength(2);
    expect(server).toMatchObject({ traceId, parentId: "b7ad6b7169203331", name: "POST /v1/chat/completions", status: 0 });
    expect(server?.attributes).toMatchObject({
      "http.route": "/v1/chat/completions",
      "gen_ai.request.model": "chat/sim-echo",
      "dragoman.attempts": 1,
    });
    expect(server?.resource).toMatchObject({ "service.name": "story" });
    expect(client).toMatchObject({ traceId, parentId: server?.spanId, name: "chat sim-echo", status: 0 });
    expect(client?.attributes).toMatchObject({
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai",
      "gen_ai.request.model": "sim-echo",
      "gen_ai.request.temperature": 0.5,
      "gen_ai.request.max_tokens": 50,
      "gen_ai.request.stream": true,
      "gen_ai.conversation.id": "s-1",
      "gen_ai.response.model": "sim-echo",
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.response.time_to_first_chunk": expect.any(Number),
      "gen_ai.usage.input_tokens": expect.any(Number),
      "gen_ai.usage.output_tokens": expect.any(Number),
      "server.address": "127.0.0.1",
      "server.port": expect.any(Number),
      "http.response.status_code": 200,
    });
    expect(client?.nanoseconds).toBeGreaterThan(0n);
    expect(sent).toBe(`00-${traceId}-${client?.spanId}-01`);
    expect(state).toBe(parent.tracestate);
    // One line of the log leads to the span.
    expect(line?.fields).toMatchObject({ trace_id: traceId, span_id: client?.spanId });
  });

  test("what clients and models said is in no span, nor are keys and users", async () => {
    const before = receiver.text.length;
    const running = await start({ config: { auth: { api_keys_file: keyFile } } });
    const tools = [{ type: "function", function: { name: "canarytool", parameters: { type: "object" } } }];
    await (
      await post(
        running.url,
        { model: "chat/sim-echo", messages, tools, user: canaries.user },
        { headers: { "x-dragoman-user-id": canaries.user } },
      )
    ).text();
    await (await post(running.url, { model: "claude/sim-echo", messages, stream: true })).text();
    expect((await close()).length).toBe(4);
    expect(receiver.text.slice(before)).not.toMatch(/canary|sk-story/i);
  });

  test("content comes where it is asked for, without credentials", async () => {
    const running = await start({ config: { telemetry: { traces: { content: true } } } });
    const said = [
      { role: "system", content: "be brief" },
      { role: "user", content: "say sk-ant-0123456789abcdef please" },
    ];
    await (await post(running.url, { model: "chat/sim-echo", messages: said })).text();
    const [client] = clientsOf(await close());
    expect(JSON.parse(String(client?.attributes["gen_ai.system_instructions"]))).toEqual([{ type: "text", content: "be brief" }]);
    expect(JSON.parse(String(client?.attributes["gen_ai.input.messages"]))).toEqual([
      { role: "user", parts: [{ type: "text", content: "say [redacted] please" }] },
    ]);
    expect(JSON.parse(String(client?.attributes["gen_ai.output.messages"]))).toMatchObject([{ role: "assistant", finish_reason: "stop" }]);
  });

  test("every attempt has a span, and a failure says what it was", async () => {
    const targets = [
      { provider: "chat", model: "sim-fault-status_500" },
      { provider: "gem", model: "sim-echo" },
    ];
    const running = await start({ config: { routes: { front: { strategy: "fallback", targets } } } });
    expect((await post(running.url, { model: "front", messages })).status).toBe(200);
    expect((await post(running.url, { model: "chat/sim-fault-status_500", messages })).status).toBe(502);
    expect((await post(running.url, { model: "chat/sim-echo", messages: 7 })).status).toBe(400);
    expect((await post(running.url, { model: "gem/sim-embed", input: "words", dimensions: 8 }, { path: "/v1/embeddings" })).status).toBe(
      200,
    );
    const contexts = sentContexts(running);
    const spans = await close();
    const [first, second, third, embedding] = clientsOf(spans);
    expect(first).toMatchObject({
      status: 2,
      attributes: { "error.type": "provider_error", "http.response.status_code": 500, "dragoman.attempt": 1 },
    });
    expect(second).toMatchObject({ name: "generate_content sim-echo", status: 0, traceId: first?.traceId, parentId: first?.parentId });
    expect(second?.attributes).toMatchObject({ "gen_ai.provider.name": "gcp.gemini", "dragoman.attempt": 2 });
    expect(third?.traceId).not.toBe(first?.traceId);
    expect(embedding).toMatchObject({
      name: "embeddings sim-embed",
      attributes: { "gen_ai.operation.name": "embeddings", "gen_ai.embeddings.dimension.count": 8 },
    });
    expect(contexts).toEqual([first, second, third, embedding].map((span) => `00-${span?.traceId}-${span?.spanId}-01`));
    expect(serverOf(spans).map(({ status, attributes }) => [status, attributes["error.type"], attributes["dragoman.attempts"]])).toEqual([
      [0, undefined, 2],
      [2, "provider_error", 1],
      [0, "invalid_request", 0],
      [0, undefined, 1],
    ]);
  });

  test("a call by gRPC is a span too, and so is one that its client leaves", async () => {
    const running = await start();
    const client = createClient(InferenceService, createGrpcTransport({ baseUrl: running.url }));
    const stop = new AbortController();
    const text = JSON.stringify({ sim_script: { steps: [{ text: "some words " }, { delay_ms: 20_000 }] } });
    const request = create(GenerateRequestSchema, {
      model: "chat/sim-script",
      messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: text } }] }],
    });
    for await (const { event } of client.generate(request, { signal: stop.signal, headers: parent }))
      if (event.case === "blockDelta") break;
    stop.abort();
    await vi.waitFor(() => expect(running.attempts()).toHaveLength(1), { timeout: 5_000, interval: 10 });
    const spans = await close();
    expect(serverOf(spans)).toMatchObject([
      {
        name: "dragoman.v1.InferenceService/Generate",
        traceId,
        status: 0,
        attributes: { "rpc.method": "Generate", "error.type": "cancelled" },
      },
    ]);
    expect(clientsOf(spans)).toMatchObject([{ traceId, attributes: { "error.type": "cancelled" } }]);
  });

  test("a client that does not sample is not sampled, and its decision is passed on", async () => {
    const running = await start();
    await (
      await post(running.url, { model: "chat/sim-echo", messages }, { headers: { traceparent: `00-${traceId}-b7ad6b7169203331-00` } })
    ).text();
    expect(sentContexts(running)).toEqual([expect.stringMatching(new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`))]);
    expect(await close()).toEqual([]);
  });

  test("without tracing the client's context is passed on as it came, and what is malformed is not", async () => {
    gateway = await startGateway();
    const bad = [`00-${"0".repeat(32)}-b7ad6b7169203331-01`, "nonsense"];
    for (const traceparent of [parent.traceparent, ...bad]) {
      await (await post(gateway.url, { model: "chat/sim-echo", messages }, { headers: { ...parent, traceparent } })).text();
    }
    expect(sentContexts(gateway)).toEqual([parent.traceparent, undefined, undefined]);
    expect(gateway.lines.filter(({ message }) => message === "attempt").map(({ fields }) => fields.trace_id)).toEqual([
      traceId,
      undefined,
      undefined,
    ]);
  });

  test.each([
    ["with tracing", () => start()],
    ["without", async () => (gateway = await startGateway())],
  ])("baggage is not passed on: %s", async (_, open) => {
    const running = await open();
    await (await post(running.url, { model: "chat/sim-echo", messages }, { headers: { ...parent, baggage: "user=canarybaggage" } })).text();
    const sent = running.sim.requests().filter(({ method }) => method === "POST");
    expect(sent).toHaveLength(1);
    expect(JSON.stringify(sent)).not.toContain("canarybaggage");
    await close();
    expect(receiver.text).not.toContain("canarybaggage");
  });

  test("a collector that is away delays no call and no stop, and is told of once", async () => {
    const running = await start({}, { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9", OTEL_BSP_SCHEDULE_DELAY: "10" });
    for (let asked = 0; asked < 3; asked++) expect((await post(running.url, { model: "chat/sim-echo", messages })).status).toBe(200);
    const begin = performance.now();
    await close();
    expect(performance.now() - begin).toBeLessThan(6_000);
    expect(running.lines.filter(({ message }) => message === "spans cannot be sent").length).toBeLessThanOrEqual(1);
  });
});
