/** Limits that are no rules: how often one caller may ask at all, and what a provider may be sent (surfaces.md 2.6, steps 3 and 10). */
import http from "node:http";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "vitest";
import { Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { QuotaFailureSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type Gateway, startGateway } from "./gateway.ts";

let gateway: Gateway;
afterEach(() => gateway?.close());

const hello = [{ role: "user", content: "Hello" }];

function post(path: string, body: object, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(gateway.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
}

function chat(model: string, headers: Record<string, string> = {}): Promise<Response> {
  return post("/v1/chat/completions", { model, messages: hello, max_tokens: 10 }, headers);
}

describe("one caller's pace", () => {
  /** As many within a minute: no test takes that long. */
  const burst = 60;
  const pace = { caller_pace: { enabled: true, requests_per_second: 1, burst } };
  const from = (address: string) => ({ "x-forwarded-for": address });
  const list = (headers: Record<string, string>) => fetch(`${gateway.url}/v1/models`, { headers });

  async function useUp(headers: Record<string, string>): Promise<void> {
    for (let request = 0; request < burst; request++) expect((await list(headers)).status).toBe(200);
  }

  test("is off unless it is switched on", async () => {
    gateway = await startGateway();
    for (let request = 0; request < 150; request++) expect((await list({})).status).toBe(200);
  });

  test("counts all surfaces together, and is told on each in its own words", async () => {
    gateway = await startGateway({ config: { server: { trusted_proxies: ["127.0.0.1"] }, limits: pace } });
    const one = from("192.0.2.1");
    await useUp(one);
    const refused = {
      openai: await chat("sim/echo", one),
      anthropic: await post("/v1/messages", { model: "sim/echo", max_tokens: 5, messages: hello }, one),
      google: await post("/v1beta/models/sim/echo:generateContent", { contents: [{ parts: [{ text: "Hello" }] }] }, one),
      connect: await post("/dragoman.v1.InferenceService/ListModels", {}, one),
    };
    for (const [name, { status, headers }] of Object.entries(refused)) {
      expect([status, Number(headers.get("retry-after")) >= 1], name).toEqual([429, true]);
      expect(headers.get("x-ratelimit-limit-requests"), name).toBe(String(burst));
      expect(headers.get("x-ratelimit-remaining-requests"), name).toBe("0");
      expect(headers.get("x-ratelimit-reset-requests"), name).toMatch(/^(?:1m)?\d+s$/);
    }
    expect(await refused.openai.json()).toMatchObject({ error_kind: "rate_limited" });
    expect(await refused.anthropic.json()).toMatchObject({ error: { type: "rate_limit_error" } });
    expect(await refused.google.json()).toMatchObject({ error: { status: "RESOURCE_EXHAUSTED" } });
    const request = {
      generate: { model: "sim/echo", messages: [{ role: Role.USER, parts: [{ part: { case: "text" as const, value: "x" } }] }] },
    };
    for (const transport of [
      createGrpcTransport({ baseUrl: gateway.url }),
      createConnectTransport({ baseUrl: gateway.url, httpVersion: "2" }),
    ]) {
      const call = createClient(InferenceService, transport).complete(request, { headers: one });
      const error = ConnectError.from(await call.catch((thrown: unknown) => thrown));
      expect(error.code).toBe(Code.ResourceExhausted);
      expect(error.findDetails(QuotaFailureSchema)[0]?.violations[0]?.subject).toBe("caller/requests_per_second");
      expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds).toBeGreaterThanOrEqual(1n);
      expect(error.metadata.get("x-ratelimit-remaining-requests")).toBe("0");
      expect(Number(error.metadata.get("retry-after"))).toBeGreaterThanOrEqual(1);
    }
    expect((await chat("sim/echo", from("192.0.2.2"))).status, "another address behind the proxy").toBe(200);
  });

  test("is judged before a body is read", async () => {
    gateway = await startGateway({ config: { limits: pace } });
    await useUp({});
    const headers = { "content-type": "application/json", "content-length": "1000000" };
    const status = await new Promise<number | undefined>((resolve, reject) => {
      const request = http.request(`${gateway.url}/v1/chat/completions`, { method: "POST", headers, agent: false }, (response) => {
        resolve(response.statusCode);
        request.destroy();
      });
      request.on("error", reject);
      request.flushHeaders();
    });
    expect(status).toBe(429);
  });

  test("C17: is a key's wherever it comes from, and nobody believes a stranger's header", async () => {
    const apiKey = "key-of-the-pace-tests-0123456789";
    gateway = await startGateway({ config: { auth: { enabled: true, api_key: apiKey }, limits: pace } });
    const key = { authorization: `Bearer ${apiKey}` };
    for (let request = 0; request < burst; request++) expect((await list({ ...key, ...from(`192.0.2.${request}`) })).status).toBe(200);
    expect((await list({ ...key, ...from("192.0.2.200") })).status).toBe(429);
    expect((await list({})).status, "whoever has no key is no caller").toBe(401);
  });
});

describe("what a provider may be sent", () => {
  const route = (...targets: readonly [provider: string, model: string][]) => ({
    strategy: "fallback",
    targets: targets.map(([provider, model]) => ({ provider, model })),
  });
  const providers = (sim: { readonly url: string }, few: object) => ({
    few: { type: "openai", base_url: `${sim.url}/v1`, api_key: "sk-few", ...few },
  });

  test("is passed over when it is used up, and the next target answers", async () => {
    gateway = await startGateway({
      configure: (sim) => ({
        providers: providers(sim, { ratelimit_max_rpm: 2 }),
        routes: { smart: { ...route(["few", "sim-echo"], ["claude", "sim-echo"]), max_attempts: 1 } },
      }),
    });
    const served: (string | null)[] = [];
    for (let call = 0; call < 4; call++) served.push((await chat("smart")).headers.get("x-dragoman-provider"));
    expect(served).toEqual(["few", "few", "claude", "claude"]);
    expect(gateway.attempts().map(({ target }) => target.split("/")[0])).toEqual(served);

    const refused = await chat("few/sim-echo");
    expect([refused.status, Number(refused.headers.get("retry-after")) >= 1]).toEqual([429, true]);
    expect(refused.headers.get("x-ratelimit-limit-requests")).toBe("2");
    expect(await refused.json()).toMatchObject({ error_kind: "rate_limited" });
    const embedded = await post("/v1/embeddings", { model: "few/sim-embed", input: "Hello" });
    expect(embedded.status, "all that it is sent counts").toBe(429);
  });

  test("counts tokens as the provider counted them", async () => {
    gateway = await startGateway({ configure: (sim) => ({ providers: providers(sim, { ratelimit_max_tpm: 1_000 }) }) });
    const ask = (maxTokens: number) => post("/v1/chat/completions", { model: "few/sim-echo", messages: hello, max_tokens: maxTokens });
    // Each may use nearly all of it and uses little.
    for (let call = 0; call < 5; call++) expect((await ask(900)).status).toBe(200);
    expect((await ask(990)).status, "what it may use is no longer there").toBe(429);
    expect((await ask(100)).status).toBe(200);
  });
});

describe("a model without a price", () => {
  const rules = [{ subject: "key", usd_per_day: "1" }];
  const quick = JSON.stringify({ sim_script: { steps: [{ text: "all" }] } });
  const slow = JSON.stringify({ sim_script: { steps: [{ text: "first" }, { delay_ms: 30_000 }] } });

  test.each([
    ["reserves nothing", {}, 200],
    ["reserves what it is taken to cost", { limits: { unknown_price: { input: "0", output: "60000" } } }, 429],
    [
      "reserves by its route's ceiling",
      { limits: { unknown_price: { input: "0", output: "0" } }, ceiling: { input: "0", output: "60000" } },
      429,
    ],
  ])("%s", async (_, { limits = {}, ceiling }: { limits?: object; ceiling?: object }, second) => {
    const targets = [{ provider: "chat", model: "sim-script" }];
    gateway = await startGateway({
      config: {
        price_data: { enabled: false },
        limits: { rules, ...limits },
        routes: { own: { targets, ...(ceiling === undefined ? {} : { unknown_price: ceiling }) } },
      },
    });
    const stop = new AbortController();
    const body = (content: string) => JSON.stringify({ model: "own", stream: true, max_tokens: 10, messages: [{ role: "user", content }] });
    const init = { method: "POST", headers: { "content-type": "application/json" } };
    const first = await fetch(`${gateway.url}/v1/chat/completions`, { ...init, body: body(slow), signal: stop.signal });
    expect(first.status).toBe(200);
    const other = await fetch(`${gateway.url}/v1/chat/completions`, { ...init, body: body(quick) });
    expect([other.status, other.headers.get("x-dragoman-error-reason")]).toEqual([second, second === 200 ? null : "quota_exhausted"]);
    await other.text();
    stop.abort();
  });
});
