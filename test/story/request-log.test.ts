/** The request log end to end: a record for every call of every surface, however it ends, and content only as far as allowed. */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { AgentService, AgentStatus } from "../../gen/dragoman/admin/v1/agent_service_pb.ts";
import {
  GetRequestResponseSchema,
  ListRequestsResponseSchema,
  RequestLogService,
  type RequestRecord,
  RequestStatus,
  SessionStatus,
} from "../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { UsageDimension, UsageService } from "../../gen/dragoman/admin/v1/usage_service_pb.ts";
import { Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const upstreamKey = "sk-canary-upstream-6f1d2c3b4a59";
const directory = mkdtempSync(join(tmpdir(), "dragoman-log-"));
let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({
    config: {
      stores: { engine: "sqlite" },
      data_dir: directory,
      request_log: { retention_max: "full", queue: { flush_ms: 10 } },
      routes: {
        "two-targets": {
          strategy: "fallback",
          targets: [
            { provider: "chat", model: "sim-status-503" },
            { provider: "claude", model: "sim-echo" },
          ],
        },
      },
    },
    configure: (sim) => ({
      providers: {
        leaky: { type: "openai", base_url: `${sim.url}/v1`, api_key: upstreamKey },
        drained: { type: "openai", base_url: `${sim.url}/v1`, api_key: "sk-drained-0001", on_disconnect: "drain" },
      },
    }),
  });
});
afterAll(async () => {
  await gateway?.close();
  rmSync(directory, { recursive: true, force: true });
});

const log = () => createClient(RequestLogService, createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" }));
const agents = () => createClient(AgentService, createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" }));
const usage = () => createClient(UsageService, createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" }));

let calls = 0;
/** A name for one call, so that its record is found among the others. */
const newId = () => `story-${++calls}-${Math.random().toString(36).slice(2, 8)}`;

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(`${gateway.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: text,
  });
  return { status: response.status, text: await response.text() };
}

async function recordOf(externalRequestId: string): Promise<RequestRecord> {
  return vi.waitFor(
    async () => {
      const { requests } = await log().listRequests({ filter: { externalRequestId } });
      expect(requests).toHaveLength(1);
      return requests[0] as RequestRecord;
    },
    { timeout: 5_000, interval: 20 },
  );
}

/** Sends one request with a name and gives its record, which tells what the answer was. */
async function logged(path: string, body: unknown, headers: Record<string, string> = {}): Promise<RequestRecord> {
  const id = newId();
  const { text } = await post(path, body, { "x-dragoman-external-request-id": id, ...headers });
  const record = await recordOf(id);
  expect(record.sentBodySha256).toBe(sha256(text));
  return record;
}

const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");
const anyHash = expect.stringMatching(/^[0-9a-f]{64}$/);

const chat = (model: string, content: string) => ({ model, messages: [{ role: "user", content }] });
const script = (...steps: object[]) => JSON.stringify({ sim_script: { steps } });

describe("every surface", () => {
  const hello = "hello there, log";
  const chatBody = chat("chat/sim-echo", hello);
  const gemini = { contents: [{ role: "user", parts: [{ text: hello }] }] };
  test.each([
    ["chat", "/v1/chat/completions", chatBody, { surface: "v1", requestKind: "chat", stream: false, provider: "chat" }],
    ["chat, streamed", "/v1/chat/completions", { ...chatBody, stream: true }, { surface: "v1", requestKind: "chat", stream: true }],
    ["completions", "/v1/completions", { model: "chat/sim-echo", prompt: hello }, { requestKind: "completions" }],
    ["responses", "/v1/responses", { model: "chat/sim-echo", input: hello }, { requestKind: "responses", stream: false }],
    [
      "messages",
      "/v1/messages",
      { ...chat("claude/sim-echo", hello), max_tokens: 100, stream: true },
      { requestKind: "chat", stream: true, provider: "claude" },
    ],
    ["gemini", "/v1beta/models/gem/sim-echo:generateContent", gemini, { requestKind: "chat", provider: "gem" }],
    ["gemini, streamed", "/v1beta/models/gem/sim-echo:streamGenerateContent?alt=sse", gemini, { stream: true }],
  ])("%s", async (_, path, body, facts) => {
    const record = await logged(path, body);
    expect(record).toMatchObject({ ...facts, status: RequestStatus.SUCCESS, httpStatus: 200, finishReason: "stop", retention: "none" });
    expect(record).toMatchObject({ tenant: "default", project: "default", errorCode: "", usedFallback: false, usageEstimated: false });
    expect(record.promptTokens).toBeGreaterThan(0);
    expect(record.totalTokens).toBe((record.promptTokens ?? 0) + (record.completionTokens ?? 0));
    expect(record.latencyMs).toBeGreaterThan(0);
    expect(record.ttftMs).toBeLessThanOrEqual(record.latencyMs + 1);
    expect(record.attempts).toMatchObject([{ target: record.target, status: "success", error: "" }]);
    const steps = ["total", "modelResolve", "provider", "requestLog", "usageEmit", "sideEffects", "gatewayOverhead"] as const;
    for (const step of steps) expect(record.timings?.[step], step).toBeGreaterThanOrEqual(0);
    // Guards did not run: there are none.
    for (const guard of ["guardrailConfig", "guardrailInput", "guardrailOutput"] as const) expect(record.timings?.[guard]).toBeUndefined();
    expect(record.upstreamBodySha256).toEqual(anyHash);
  });

  test("an answer that is relayed has the same hash on both sides, one that is translated has not", async () => {
    const relayed = await logged("/v1/chat/completions", { ...chatBody, stream: true, stream_options: { include_usage: true } });
    expect(relayed.upstreamBodySha256).toBe(relayed.sentBodySha256);
    const translated = await logged("/v1/chat/completions", chat("claude/sim-echo", hello));
    expect(translated.upstreamBodySha256).not.toBe(translated.sentBodySha256);
  });

  test("embeddings and counts of tokens", async () => {
    const embeddings = await logged("/v1/embeddings", { model: "chat/sim-embed", input: "hello" });
    expect(embeddings).toMatchObject({ requestKind: "embeddings", status: RequestStatus.SUCCESS, provider: "chat" });
    expect(embeddings.completionTokens).toBeUndefined();
    const count = await logged("/v1/messages/count_tokens", chat("claude/sim-echo", "hello"));
    expect(count).toMatchObject({ requestKind: "count_tokens", status: RequestStatus.SUCCESS, provider: "claude" });
  });

  test("RPC, streamed and folded", async () => {
    const client = createClient(InferenceService, createConnectTransport({ baseUrl: gateway.url, httpVersion: "1.1" }));
    const [streamed, folded] = [newId(), newId()];
    const generate = (externalRequestId: string) => ({
      model: "claude/sim-echo",
      messages: [{ role: Role.USER, parts: [{ part: { case: "text" as const, value: "hello" } }] }],
      attribution: { externalRequestId },
    });
    for await (const _ of client.generate(generate(streamed)));
    await client.complete({ generate: generate(folded) });
    const hashes = { upstreamBodySha256: anyHash, sentBodySha256: anyHash };
    expect(await recordOf(streamed)).toMatchObject({ surface: "rpc", stream: true, status: RequestStatus.SUCCESS, ...hashes });
    expect(await recordOf(folded)).toMatchObject({ surface: "rpc", stream: false, status: RequestStatus.SUCCESS, ...hashes });
  });
});

describe("however a call ends", () => {
  test("an error of the provider, with every attempt", async () => {
    const record = await logged("/v1/chat/completions", chat("chat/sim-status-503", "hello"));
    expect(record).toMatchObject({ status: RequestStatus.ERROR, httpStatus: 502, errorCode: "provider_error", finishReason: "" });
    expect(record.attempts).toMatchObject([{ target: "chat/sim-status-503", status: "error", error: "provider_error" }]);
  });

  test("another target that answered", async () => {
    const record = await logged("/v1/chat/completions", chat("two-targets", "hello"));
    expect(record).toMatchObject({ status: RequestStatus.SUCCESS, requestedModel: "two-targets", canonicalModel: "chat/sim-status-503" });
    expect(record).toMatchObject({ usedFallback: true, provider: "claude", upstreamModel: "sim-echo", target: "claude/sim-echo" });
    expect(record.attempts.map(({ status }) => status)).toEqual(["error", "success"]);
  });

  test("a deadline", async () => {
    const body = chat("chat/sim-script", script({ delay_ms: 20_000 }, { text: "never" }));
    const record = await logged("/v1/chat/completions", body, { "x-dragoman-timeout-ms": "300" });
    expect(record).toMatchObject({ status: RequestStatus.TIMEOUT, httpStatus: 504, errorCode: "timeout" });
  });

  test("a client that leaves in the middle: what came until then", async () => {
    const id = newId();
    const stop = new AbortController();
    const content = script({ text: "some words come at once " }, { delay_ms: 20_000 }, { text: "never" });
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-dragoman-external-request-id": id },
      body: JSON.stringify({ ...chat("chat/sim-script", content), stream: true }),
      signal: stop.signal,
    });
    await response.body?.getReader().read();
    stop.abort();
    const record = await recordOf(id);
    expect(record).toMatchObject({ status: RequestStatus.CANCELLED, errorCode: "cancelled", usageEstimated: true, httpStatus: 200 });
    expect(record.completionTokens).toBeGreaterThan(0);
  });

  test("a client that leaves a stream that is read on: the counts that it ends with, in the log, its watch and the sums", async () => {
    const id = newId();
    const watch = new AbortController();
    const seen: RequestRecord[] = [];
    const watching = (async () => {
      for await (const { request } of log().watchRequests({ filter: { externalRequestId: id } }, { signal: watch.signal })) {
        if (request !== undefined) seen.push(request);
      }
    })().catch((error: unknown) => ConnectError.from(error).code);
    const stop = new AbortController();
    const content = script({ text: "some words come at once " }, { delay_ms: 2_000 }, { text: "and the others when nobody listens" });
    gateway.reset();
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", "x-dragoman-external-request-id": id },
      body: JSON.stringify({ ...chat("drained/sim-script", content), stream: true }),
      signal: stop.signal,
    });
    await response.body?.getReader().read();
    stop.abort();
    const record = await recordOf(id);
    const [bill] = gateway.sim.bill();
    expect(record).toMatchObject({ status: RequestStatus.CANCELLED, usageEstimated: false });
    expect({ input: record.promptTokens, output: record.completionTokens }).toEqual({
      input: bill?.inputTokens,
      output: bill?.outputTokens,
    });
    expect(record.attempts).toMatchObject([{ status: "cancelled" }]);
    // What the client saw of it, not what came after.
    expect(record.latencyMs).toBeLessThan(record.attempts[0]?.durationMs ?? 0);
    await vi.waitFor(async () => {
      const { sums } = await usage().sumUsage({ query: { provider: "drained" } });
      expect(sums).toMatchObject([{ calls: 1n, estimated: 0n, outputTokens: BigInt(bill?.outputTokens ?? -1) }]);
    });
    await vi.waitFor(() => expect(seen).toHaveLength(1), { timeout: 5_000 });
    expect(seen[0]).toEqual(record);
    watch.abort();
    expect(await watching).toBe(Code.Canceled);
  });

  test.each([
    ["a model that nobody has", chat("no-such-model", "hello"), 404, "model_not_found"],
    ["a body that is no JSON", "{", 400, "invalid_request"],
    ["a request without its messages", { model: "chat/sim-echo" }, 400, "invalid_request"],
  ])("refused: %s", async (_, body, httpStatus, errorCode) => {
    const record = await logged("/v1/chat/completions", body, { "x-dragoman-feature": "refused" });
    expect(record).toMatchObject({ status: RequestStatus.ERROR, httpStatus, errorCode, feature: "refused", surface: "v1", attempts: [] });
  });

  test("an RPC that breaks the contract", async () => {
    const client = createClient(InferenceService, createConnectTransport({ baseUrl: gateway.url, httpVersion: "1.1" }));
    const externalRequestId = newId();
    await expect(client.complete({ generate: { model: "", attribution: { externalRequestId } } })).rejects.toThrow();
    expect(await recordOf(externalRequestId)).toMatchObject({ surface: "rpc", httpStatus: 400, errorCode: "invalid_request" });
  });

  test("the answer names the id of the record", async () => {
    const response = await fetch(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    const requestId = response.headers.get("x-dragoman-request-id") ?? "";
    await vi.waitFor(async () => expect((await log().getRequest({ requestId })).request?.errorCode).toBe("invalid_request"));
  });
});

describe("A18: attribution", () => {
  const headers = {
    "x-dragoman-user-id": "user-7",
    "x-dragoman-plan": "gold",
    "x-dragoman-feature": "search",
    "x-dragoman-cohort": "b",
    "x-dragoman-region": "eu",
    "x-dragoman-locale": "de-AT",
    "x-dragoman-country": "AT",
    "x-dragoman-platform": "ios",
    "x-dragoman-trial-status": "TRIALING",
    "x-dragoman-env": "staging",
    "x-dragoman-workspace-id": "w-1",
    "x-dragoman-xnamespace-id": "x-1",
    "x-dragoman-source-service": "billing",
    "x-dragoman-operation": "summarise",
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  };
  const facts = {
    ...{ endUserId: "user-7", plan: "gold", feature: "search", cohort: "b", region: "eu", locale: "de-AT", country: "AT", platform: "ios" },
    ...{ trialStatus: "TRIALING", environment: "staging", workspaceId: "w-1", xnamespaceId: "x-1", sourceService: "billing" },
    ...{ operation: "summarise", traceId: "4bf92f3577b34da6a3ce929d0e0e4736" },
  };

  test.each([
    ["a success", chat("chat/sim-echo", "hello")],
    ["an error", chat("chat/sim-status-500", "hello")],
    ["a refusal", { model: "chat/sim-echo" }],
  ])("stands in the record of %s", async (_, body) => {
    expect(await logged("/v1/chat/completions", body, headers)).toMatchObject(facts);
  });

  test("what is not stated has its default", async () => {
    const record = await logged("/v1/chat/completions", chat("chat/sim-echo", "hello"));
    expect(record).toMatchObject({ environment: "production", trialStatus: "NONE", plan: "", callerAgent: "" });
  });

  test("the client's request id is the last resort for its own id of the call", async () => {
    const id = newId();
    await post("/v1/chat/completions", chat("chat/sim-echo", "hello"), { "x-request-id": id });
    expect((await recordOf(id)).requestId).not.toBe(id);
  });
});

describe("content", () => {
  const tools = [{ type: "function", function: { name: "get_weather", description: "Tells it", parameters: { type: "object" } } }];
  const body = (canary: string) => ({
    ...chat("chat/sim-script", script({ text: `answer ${canary}` }, { tool_call: { name: "get_weather", arguments: { city: canary } } })),
    tools,
  });
  const get = async (record: RequestRecord) => (await log().getRequest({ requestId: record.requestId })).content;

  test("none by default: not a word of it", async () => {
    const canary = "wombatmarmalade";
    const record = await logged("/v1/chat/completions", body(canary));
    expect(record).toMatchObject({ retention: "none", toolCallsCount: 1, finishReason: "tool_calls" });
    expect(await get(record)).toBeUndefined();
    expect(filesHolding(canary)).toEqual([]);
    expect(gateway.lines.filter(({ fields }) => JSON.stringify(fields, showAll).includes(canary))).toEqual([]);
  });

  test("metadata: beginnings and names of tools", async () => {
    const record = await logged("/v1/chat/completions", body("lemurjelly"), { "x-dragoman-retention": "metadata" });
    const content = await get(record);
    expect(record.retention).toBe("metadata");
    expect(content).toMatchObject({ requestBody: "", responseBody: "", responseSummary: "answer lemurjelly" });
    expect(content?.requestSummary).toMatch(/^\{"sim_script"/);
    // The search that finds nothing elsewhere does find what is there.
    expect(filesHolding("lemurjelly")).not.toEqual([]);
    expect(JSON.parse(content?.toolsJson ?? "")).toEqual([{ name: "get_weather", calls: 1 }]);
  });

  test("metadata of a long text is 256 characters", async () => {
    const record = await logged("/v1/chat/completions", chat("chat/sim-echo", "word ".repeat(5_000)), {
      "x-dragoman-retention": "metadata",
    });
    const content = await get(record);
    expect(content?.requestSummary).toHaveLength(256);
    expect(content?.responseSummary).toHaveLength(256);
  });

  test("full: bodies, definitions, arguments", async () => {
    const record = await logged("/v1/chat/completions", { ...body("gibbonpie"), stream: true }, { "x-dragoman-retention": "full" });
    const content = await get(record);
    const request = JSON.parse(content?.requestBody ?? "");
    expect(request).toMatchObject({ model: "chat/sim-script", messages: [{ role: "ROLE_USER" }] });
    const response = JSON.parse(content?.responseBody ?? "");
    const [first, second] = response.candidates[0].message.parts;
    expect(first.text).toBe("answer gibbonpie");
    expect(JSON.parse(second.toolCall.argumentsJson)).toEqual({ city: "gibbonpie" });
    expect(JSON.parse(content?.toolsJson ?? "")).toMatchObject([
      { name: "get_weather", calls: 1, definition: { description: "Tells it" } },
    ]);
  });

  test("secrets and personal data are in no record, no content, no file, no line, however they are written", async () => {
    const caller = "sk-canary-caller-0a1b2c3d4e5f6789";
    const pem = "-----BEGIN PRIVATE KEY-----\nMIIcanarypem0123456789\n-----END PRIVATE KEY-----";
    const base64 = Buffer.from(`the key is ${upstreamKey}, keep it`).toString("base64");
    const text = `key ${caller}, upstream ${upstreamKey} or ${base64}, ${pem}, mail ada@canary.example, card 4111 1111 1111 1111`;
    const arguments_ = { header: `Bearer ${caller}`, ssn: "123-45-6789", number: 4111111111111111 };
    const content = script({ text }, { tool_call: { name: "get_weather", arguments: arguments_ } });
    const record = await logged(
      "/v1/chat/completions",
      { ...chat("leaky/sim-script", content), tools },
      {
        "x-dragoman-retention": "full",
        "x-dragoman-session-id": `session ${caller}`,
        "x-dragoman-feature": `api_key=${upstreamKey}`,
      },
    );
    const found = await log().getRequest({ requestId: record.requestId });
    const written = toJsonString(GetRequestResponseSchema, found) + toJsonString(ListRequestsResponseSchema, await log().listRequests({}));
    const planted = [
      caller,
      caller.slice(0, 16),
      upstreamKey,
      upstreamKey.slice(0, 20),
      "MIIcanarypem",
      "ada@canary",
      "4111",
      "123-45-6789",
    ];
    planted.push(Buffer.from(upstreamKey).toString("base64").slice(4, 24), base64.slice(16, 48), encodeURIComponent(upstreamKey));
    const files = readFiles();
    for (const canary of planted) {
      expect(written).not.toContain(canary);
      expect(files.filter(({ bytes }) => bytes.includes(canary)).map(({ file }) => file)).toEqual([]);
      expect(gateway.lines.filter(({ fields }) => JSON.stringify(fields, showAll).includes(canary))).toEqual([]);
    }
    expect(found.content?.responseSummary).toMatch(/^key \[REDACTED_SECRET\], upstream \[REDACTED_SECRET\] or /);
    const findings = JSON.parse(found.content?.findingsJson ?? "") as { kind: string; stage: string }[];
    expect(findings.filter(({ stage }) => stage === "output").map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(["secret", "private_key", "email", "card", "ssn"]),
    );
  });
});

describe("A10: looking for records", () => {
  test("filters, alone and together", async () => {
    const feature = newId();
    const session = newId();
    const headers = { "x-dragoman-feature": feature, "x-dragoman-session-id": session };
    await logged("/v1/chat/completions", chat("chat/sim-echo", "one"), headers);
    await logged("/v1/messages", { ...chat("claude/sim-echo", "two"), max_tokens: 10 }, headers);
    await logged("/v1/chat/completions", chat("chat/sim-status-500", "three"), headers);
    await logged("/v1/embeddings", { model: "chat/sim-embed", input: "four" }, { ...headers, "x-dragoman-user-id": session });
    const find = async (filter: object) =>
      (await log().listRequests({ filter: { sessionId: session, ...filter } })).requests.map(({ requestedModel }) => requestedModel);
    expect(await find({})).toEqual(["chat/sim-embed", "chat/sim-status-500", "claude/sim-echo", "chat/sim-echo"]);
    expect(await find({ provider: "claude" })).toEqual(["claude/sim-echo"]);
    expect(await find({ requestKind: "embeddings" })).toEqual(["chat/sim-embed"]);
    expect(await find({ statuses: [RequestStatus.ERROR, RequestStatus.TIMEOUT] })).toEqual(["chat/sim-status-500"]);
    expect(await find({ model: "SIM-ECHO" })).toEqual(["claude/sim-echo", "chat/sim-echo"]);
    expect(await find({ endUserId: session })).toEqual(["chat/sim-embed"]);
    expect(await find({ model: "echo", provider: "chat", statuses: [RequestStatus.SUCCESS] })).toEqual(["chat/sim-echo"]);
    expect(await find({ surface: "rpc" })).toEqual([]);
    expect(await find({ untilTime: { seconds: 1n, nanos: 0 } })).toEqual([]);
  });

  test("pages stay as they are while calls go on", async () => {
    const session = newId();
    const headers = { "x-dragoman-session-id": session };
    const ids: string[] = [];
    for (let index = 0; index < 7; index++)
      ids.unshift((await logged("/v1/chat/completions", chat("chat/sim-echo", "x"), headers)).requestId);
    const met: string[] = [];
    let pageToken = "";
    do {
      const page = await log().listRequests({ filter: { sessionId: session }, pageSize: 3, pageToken });
      met.push(...page.requests.map(({ requestId }) => requestId));
      pageToken = page.nextPageToken;
      await logged("/v1/chat/completions", chat("chat/sim-echo", "meanwhile"), headers);
    } while (pageToken !== "");
    expect(met).toEqual(ids);
  });

  test("a record that is not there, a page token that is none", async () => {
    await expect(log().getRequest({ requestId: "nothing" })).rejects.toMatchObject({ code: Code.NotFound });
    await expect(log().listRequests({ pageToken: "nothing" })).rejects.toMatchObject({ code: Code.InvalidArgument });
  });

  test("a watch gives what is written from then on, once", async () => {
    const session = newId();
    const headers = { "x-dragoman-session-id": session };
    await logged("/v1/chat/completions", chat("chat/sim-echo", "before"), headers);
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      for await (const { request } of log().watchRequests({ filter: { sessionId: session } }, { signal: stop.signal })) {
        seen.push(request?.requestedModel ?? "");
      }
    })().catch((error: unknown) => ConnectError.from(error).code);
    // The watch begins when its first message asks the store; a call in between may be before or after it.
    await vi.waitFor(async () => {
      await logged("/v1/chat/completions", chat("chat/sim-echo", "begin"), headers);
      expect(seen.length).toBeGreaterThan(0);
    });
    const before = seen.length;
    await logged("/v1/chat/completions", chat("claude/sim-echo", "one"), headers);
    await logged("/v1/chat/completions", chat("gem/sim-echo", "two"), headers);
    await logged("/v1/chat/completions", chat("gem/sim-echo", "of another session"));
    await vi.waitFor(() =>
      expect(seen.slice(before).filter((model) => model !== "chat/sim-echo")).toEqual(["claude/sim-echo", "gem/sim-echo"]),
    );
    stop.abort();
    expect(await watching).toBe(Code.Canceled);
    const { requests } = await log().listRequests({ filter: { sessionId: session } });
    expect(seen.length).toBeLessThan(requests.length);
  });
});

describe("sessions and caller agents", () => {
  test("calls of one session add up", async () => {
    const session = newId();
    const headers = { "x-dragoman-session-id": session, "x-dragoman-agent": "session-agent" };
    const first = await logged("/v1/chat/completions", chat("chat/sim-echo", "one"), headers);
    await logged("/v1/chat/completions", chat("chat/sim-status-500", "two"), headers);
    const read = async () => (await log().getSession({ id: session })).session;
    expect(await read()).toMatchObject({ requests: 2n, errors: 1n, callerAgent: "session-agent", status: SessionStatus.FAILED });
    await logged("/v1/chat/completions", chat("chat/sim-echo", "three"), headers);
    expect(await read()).toMatchObject({ requests: 3n, errors: 1n, status: SessionStatus.RUNNING });
    expect((await read())?.promptTokens).toBeGreaterThan(BigInt(first.promptTokens ?? 0));
    const { sessions } = await log().listSessions({ callerAgent: "session-agent" });
    expect(sessions.map(({ id }) => id)).toEqual([session]);
  });

  test("an agent comes into being with its first call, and has metrics", async () => {
    const key = `agent.${newId()}`;
    const headers = { "x-dragoman-agent": key, "x-dragoman-env": "staging" };
    for (const model of ["chat/sim-echo", "chat/sim-echo", "claude/sim-echo", "chat/sim-status-500"]) {
      await logged("/v1/chat/completions", chat(model, "hello"), headers);
    }
    const { agent } = await agents().getAgent({ id: key });
    expect(agent).toMatchObject({ key, discovered: true, environment: "staging", model: "chat/sim-echo" });
    const metrics = await agents().getAgentMetrics({ id: agent?.id ?? "" });
    expect(metrics).toMatchObject({ requests: 4n, success: 3n, error: 1n, timeout: 0n });
    expect(metrics.latencyP50Ms).toBeLessThanOrEqual(metrics.latencyP99Ms ?? 0);
    expect(Object.fromEntries(metrics.byModel.map(({ name, requests }) => [name, requests]))).toMatchObject({ "sim-echo": 3n });
    expect(metrics.byEnvironment).toMatchObject([{ name: "staging", requests: 4n }]);
    // 60 * 3/4 for success, 20 for speed, 20 * (1 - 1/60) for one error in an hour.
    expect(metrics.health).toBe(85);
    expect(metrics.status).toBe(AgentStatus.HEALTHY);
  });

  test("a name that is no agent's is logged, and makes none", async () => {
    expect((await logged("/v1/chat/completions", chat("chat/sim-echo", "hello"), { "x-dragoman-agent": "No Agent" })).callerAgent).toBe(
      "No Agent",
    );
    await expect(agents().getAgent({ id: "No Agent" })).rejects.toMatchObject({ code: Code.NotFound });
  });

  test("agents can be made, changed and forgotten", async () => {
    const key = `made.${newId()}`;
    const { agent } = await agents().createAgent({ agent: { key, description: "by hand", environment: "development" } });
    expect(agent).toMatchObject({ key, discovered: false, description: "by hand" });
    await expect(agents().createAgent({ agent: { key } })).rejects.toMatchObject({ code: Code.AlreadyExists });
    expect(await agents().getAgent({ id: key })).toMatchObject({ status: AgentStatus.INACTIVE });
    const id = agent?.id ?? "";
    const changed = await agents().updateAgent({
      agent: { id, description: "new" },
      updateMask: { paths: ["description"] },
      etag: agent?.etag ?? "",
    });
    expect(changed.agent).toMatchObject({ key, description: "new", environment: "development" });
    await expect(
      agents().updateAgent({ agent: { id, description: "stale" }, updateMask: { paths: ["description"] }, etag: agent?.etag ?? "" }),
    ).rejects.toMatchObject({ code: Code.Aborted });
    await expect(agents().updateAgent({ agent: { id, key: "other" }, updateMask: { paths: ["key"] } })).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
    await agents().deleteAgent({ id });
    await expect(agents().getAgent({ id: key })).rejects.toMatchObject({ code: Code.NotFound });
  });
});

describe("usage", () => {
  const query = (model: string, ...groupBy: UsageDimension[]) => ({ query: { upstreamModel: model, groupBy } });

  test("sums of the ledger, by what is asked for", async () => {
    const model = "sim-echo-usage";
    const one = await logged("/v1/chat/completions", chat(`chat/${model}`, "hello"));
    const two = await logged("/v1/chat/completions", chat(`chat/${model}`, "hello again"));
    const three = await logged("/v1/messages", { ...chat(`claude/${model}`, "hello"), max_tokens: 50 });
    const sums = await vi.waitFor(async () => {
      const answer = await usage().sumUsage(query(model, UsageDimension.PROVIDER, UsageDimension.UPSTREAM_MODEL));
      expect(answer.sums.map(({ calls }) => calls).toSorted()).toEqual([1n, 2n]);
      return answer.sums;
    });
    const byProvider = Object.fromEntries(sums.map((sum) => [sum.group[0]?.value, sum]));
    expect(byProvider.chat).toMatchObject({ attempts: 2n, calls: 2n, errors: 0n });
    expect(byProvider.chat?.inputTokens).toBe(BigInt((one.promptTokens ?? 0) + (two.promptTokens ?? 0)));
    expect(byProvider.claude?.outputTokens).toBe(BigInt(three.completionTokens ?? 0));
    expect(byProvider.claude?.group).toMatchObject([
      { dimension: UsageDimension.PROVIDER, value: "claude" },
      { dimension: UsageDimension.UPSTREAM_MODEL, value: model },
    ]);
    const buckets = await usage().sumUsage({ query: { upstreamModel: model, bucket: { seconds: 86_400n, nanos: 0 } } });
    expect(buckets.sums.reduce((sum, { calls }) => sum + calls, 0n)).toBe(3n);
    expect(Number(buckets.sums[0]?.bucketTime?.seconds) % 86_400).toBe(0);
  });

  test("a watch gives the sums at once, and again when they change", async () => {
    const model = "sim-echo-watched";
    const stop = new AbortController();
    const stream = usage()
      .watchUsage({ ...query(model), interval: { seconds: 1n, nanos: 0 } }, { signal: stop.signal })
      [Symbol.asyncIterator]();
    expect((await stream.next()).value?.sums.reduce((sum: bigint, { calls }: { calls: bigint }) => sum + calls, 0n)).toBe(0n);
    await logged("/v1/chat/completions", chat(`chat/${model}`, "hello"));
    expect((await stream.next()).value?.sums).toMatchObject([{ calls: 1n, attempts: 1n }]);
    stop.abort();
    await stream.return?.().catch(() => {});
  });
});

/** Everything under the data directory. */
function readFiles(): { readonly file: string; readonly bytes: Buffer }[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .map((file) => ({ file, bytes: readFileSync(file) }));
}

function filesHolding(text: string): string[] {
  return readFiles().flatMap(({ file, bytes }) => (bytes.includes(text) ? [file] : []));
}

function showAll(_: string, value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  return value instanceof Error ? `${value.stack}` : value;
}
