/** CL18: a call with an idempotency key runs once, on every surface, and its repeats get the same answer for nothing. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { RequestLogService } from "../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { CompleteResponseSchema, GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { CompleteRequestSchema, InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const first = "key-of-the-first-client-0001";
const second = "key-of-the-other-client-0002";
let gateway: Gateway;
let directory: string;
let keys = 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "dragoman-idempotency-"));
  const file = join(directory, "keys.txt");
  writeFileSync(file, `${first} *\n${second} *\n`);
  gateway = await startGateway({
    config: {
      auth: { api_keys_file: file },
      stores: { engine: "memory" },
      request_log: { queue: { flush_ms: 10 } },
      prices: [{ provider: "chat", model: "sim-*", rates: { input: "1", output: "2" } }],
    },
  });
});
afterAll(async () => {
  await gateway?.close();
  rmSync(directory, { recursive: true, force: true });
});
beforeEach(() => gateway.reset());

interface Sent {
  readonly path?: string;
  readonly body: unknown;
  readonly key?: string | undefined;
  readonly apiKey?: string;
  readonly header?: string;
}

async function post({ path = "/v1/chat/completions", body, key, apiKey = first, header = "idempotency-key" }: Sent) {
  const response = await fetch(gateway.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${apiKey}`, ...(key === undefined ? {} : { [header]: key }) },
    body: JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}

/** What the log says of the call that was answered so. */
async function recordOf({ headers }: { readonly headers: Headers }) {
  const transport = createConnectTransport({ baseUrl: gateway.adminUrl, httpVersion: "1.1" });
  const log = createClient(RequestLogService, transport);
  return vi.waitFor(
    async () => {
      const asked = { requestId: headers.get("x-dragoman-request-id") ?? "" };
      return (await log.getRequest(asked, { headers: { authorization: `Bearer ${first}` } })).request;
    },
    { timeout: 5_000, interval: 20 },
  );
}

const newKey = () => `attempt-${++keys}`;
const user = (content: string) => [{ role: "user", content }];
const chat = (content: string, more: object = {}) => ({ model: "chat/sim-echo", messages: user(content), ...more });
const script = (...steps: object[]) => JSON.stringify({ sim_script: { steps, id: newKey() } });

const bodies: Record<string, { path?: string; body: object }> = {
  "chat completions, buffered": { body: chat("hello") },
  "chat completions, streamed": { body: chat("hello again and again", { stream: true, stream_options: { include_usage: true } }) },
  "chat completions from Anthropic, buffered": { body: { ...chat("hello"), model: "claude/sim-echo" } },
  "chat completions from Anthropic, streamed": { body: { ...chat("hello"), model: "claude/sim-echo", stream: true } },
  "messages, buffered": { path: "/v1/messages", body: { model: "chat/sim-echo", max_tokens: 50, messages: user("hello") } },
  "messages, streamed": { path: "/v1/messages", body: { model: "claude/sim-echo", max_tokens: 50, messages: user("hello"), stream: true } },
  "responses, buffered": { path: "/v1/responses", body: { model: "chat/sim-echo", input: "hello" } },
  "responses, streamed": { path: "/v1/responses", body: { model: "claude/sim-echo", input: "hello", stream: true } },
  "gemini, buffered": {
    path: "/v1beta/models/chat%2Fsim-echo:generateContent",
    body: { contents: [{ role: "user", parts: [{ text: "hello" }] }] },
  },
  "gemini, streamed": {
    path: "/v1beta/models/gem%2Fsim-echo:streamGenerateContent?alt=sse",
    body: { contents: [{ role: "user", parts: [{ text: "hello" }] }] },
  },
  "completions, buffered": { path: "/v1/completions", body: { model: "chat/sim-echo", prompt: "hello" } },
  "completions of two prompts": { path: "/v1/completions", body: { model: "chat/sim-echo", prompt: ["hello", "hi"] } },
  embeddings: { path: "/v1/embeddings", body: { model: "chat/sim-embed", input: ["one", "two"] } },
};

describe.each(Object.entries(bodies))("%s", (name, sent) => {
  test("a repeat gets the same bytes, and the upstream nothing", async () => {
    const key = newKey();
    const original = await post({ ...sent, key });
    expect(original.status, original.text).toBe(200);
    expect(original.headers.get("idempotent-replayed")).toBeNull();
    const asked = gateway.sim.requests().length;
    expect(asked).toBe(name.includes("two prompts") ? 2 : 1);
    const repeat = await post({ ...sent, key });
    expect(repeat.status, repeat.text).toBe(200);
    expect(repeat.text).toBe(original.text);
    expect(repeat.headers.get("idempotent-replayed")).toBe("true");
    if (!name.includes("streamed")) expect(repeat.headers.get("x-dragoman-cost-usd")).toBe("0");
    expect(repeat.headers.get("content-type")).toBe(original.headers.get("content-type"));
    expect(repeat.headers.get("x-dragoman-request-id")).not.toBe(original.headers.get("x-dragoman-request-id"));
    expect(gateway.sim.requests()).toHaveLength(asked);
    expect(gateway.attempts()).toHaveLength(asked);
    expect(await recordOf(original)).toMatchObject({ replayed: false, attempts: [{ status: "success" }] });
    expect(await recordOf(repeat)).toMatchObject({ replayed: true, attempts: [], costNanoUsd: 0n, httpStatus: 200 });
  });
});

test("the first call costs, its repeat nothing", async () => {
  const sent = { body: chat("four words of text"), key: newKey() };
  const original = await post(sent);
  const { usage } = JSON.parse(original.text);
  const millionths = usage.prompt_tokens + 2 * usage.completion_tokens;
  expect(original.headers.get("x-dragoman-cost-usd")).toBe((millionths / 1e6).toFixed(6).replace(/0+$/, ""));
  expect((await post(sent)).headers.get("x-dragoman-cost-usd")).toBe("0");
});

test("another body, and another form of the same, are refused", async () => {
  const key = newKey();
  await post({ body: chat("one"), key });
  for (const body of [chat("two"), chat("one", { stream: true }), chat("one", { temperature: 0.5 })]) {
    const refused = await post({ body, key });
    expect(refused.status).toBe(422);
    expect(refused.headers.get("x-dragoman-error-reason")).toBe("idempotency_mismatch");
  }
  expect(gateway.sim.requests()).toHaveLength(1);
});

test("of fifty at once one is dispatched, the rest are told when to come back, and then all get the same answer", async () => {
  const sent = { body: { ...chat(script({ delay_ms: 300 }, { text: "slowly" })), model: "chat/sim-script" }, key: newKey() };
  const answers = await Promise.all(Array.from({ length: 50 }, () => post(sent)));
  const done = answers.filter(({ status }) => status === 200);
  const refused = answers.filter(({ status }) => status === 409);
  // Who comes after the first has its answer gets that; before, nobody waits.
  expect(done.length + refused.length).toBe(50);
  expect(refused.length).toBeGreaterThan(0);
  expect(new Set(done.map(({ text }) => text)).size).toBe(1);
  expect(done.filter(({ headers }) => headers.get("idempotent-replayed") === null)).toHaveLength(1);
  for (const { headers } of refused) {
    expect(headers.get("x-dragoman-error-reason")).toBe("idempotency_in_flight");
    expect(Number(headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  }
  expect((await post(sent)).text).toBe(done[0]?.text);
  expect(gateway.sim.requests()).toHaveLength(1);
});

test("a key outlives the gateway where records are kept, and stands for every gateway that keeps them there", async () => {
  const dataDir = join(directory, "kept");
  const start = () => startGateway({ config: { data_dir: dataDir, stores: { engine: "sqlite" }, ledger: { reserve_bytes: 0 } } });
  const ask = async ({ url }: Gateway) => {
    const headers = { "content-type": "application/json", "idempotency-key": "kept-0001" };
    // The upstreams of both have other addresses, not other answers.
    const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", headers, body: JSON.stringify(chat("hello")) });
    return { status: response.status, replayed: response.headers.get("idempotent-replayed"), text: await response.text() };
  };
  const [one, other] = await Promise.all([start(), start()]);
  const original = await ask(one);
  expect(original).toMatchObject({ status: 200, replayed: null });
  expect(await ask(other)).toEqual({ ...original, replayed: "true" });
  await Promise.all([one.close(), other.close()]);
  const next = await start();
  expect(await ask(next)).toEqual({ ...original, replayed: "true" });
  expect(next.sim.requests().filter(({ method }) => method === "POST")).toEqual([]);
  await next.close();
});

test("another client's key of the same name is another key", async () => {
  const sent = { body: chat("mine"), key: newKey() };
  const [mine, theirs] = [await post(sent), await post({ ...sent, apiKey: second })];
  expect([mine.status, theirs.status]).toEqual([200, 200]);
  expect(theirs.headers.get("idempotent-replayed")).toBeNull();
  expect(gateway.sim.requests()).toHaveLength(2);
  expect((await post({ ...sent, body: chat("something else"), apiKey: second })).status).toBe(422);
});

test("255 characters are a key, 256 are not; the gateway's own header means the same", async () => {
  const body = chat("length");
  expect((await post({ body, key: "k".repeat(255) })).status).toBe(200);
  expect((await post({ body, key: "k".repeat(255), header: "x-dragoman-idempotency-key" })).headers.get("idempotent-replayed")).toBe(
    "true",
  );
  for (const header of ["idempotency-key", "x-dragoman-idempotency-key"]) {
    const refused = await post({ body, key: "k".repeat(256), header });
    expect(refused.status).toBe(400);
    expect(JSON.parse(refused.text).error.message).toContain(`the header ${header} must not be longer than 255 characters`);
  }
  expect(gateway.sim.requests()).toHaveLength(1);
});

test("nothing is kept of a call that was refused, or that a provider refused without a bill: it may be tried again", async () => {
  const key = newKey();
  expect((await post({ body: { ...chat("x"), model: "no-such-model" }, key })).status).toBe(404);
  const flaky = { body: { ...chat(newKey()), model: "chat/sim-flaky-1" }, key };
  expect((await post(flaky)).status).toBe(502);
  const again = await post(flaky);
  expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([200, null]);
});

test("a stream that broke after it had begun is not run again behind the client's back", async () => {
  const sent = {
    body: {
      ...chat(script({ text: "some words" }, { error: { status: 500, message: "broke" } }), { stream: true }),
      model: "chat/sim-script",
    },
    key: newKey(),
  };
  const original = await post(sent);
  expect(original.status).toBe(200);
  expect(original.text).not.toContain("[DONE]");
  const repeat = await post(sent);
  expect(repeat.status).toBe(502);
  expect(repeat.headers.get("idempotent-replayed")).toBe("true");
  expect(repeat.headers.get("x-should-retry")).toBe("false");
  expect(gateway.sim.requests()).toHaveLength(1);
});

test("an answer of more than a mebibyte cannot be repeated", async () => {
  const sent = { body: { ...chat(script({ flood_bytes: 1_200_000 }), { stream: true }), model: "chat/sim-script" }, key: newKey() };
  const original = await post(sent);
  expect(original.text.length).toBeGreaterThan(1_200_000);
  const repeat = await post(sent);
  expect([repeat.status, repeat.headers.get("x-dragoman-error-reason")]).toEqual([409, "not_replayable"]);
});

test("the OpenAI SDK's own idempotency header", async () => {
  const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: first, maxRetries: 0 });
  const ask = () =>
    client.chat.completions
      .create({ model: "chat/sim-echo", messages: [{ role: "user", content: "from the SDK" }] }, { headers: { "Idempotency-Key": "sdk" } })
      .withResponse();
  const [original, repeat] = [await ask(), await ask()];
  expect(repeat.data).toEqual(original.data);
  expect(repeat.response.headers.get("idempotent-replayed")).toBe("true");
  expect(gateway.sim.requests()).toHaveLength(1);
});

describe("over gRPC", () => {
  const request = (text: string, idempotencyKey: string) =>
    create(GenerateRequestSchema, {
      model: "chat/sim-echo",
      messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: text } }] }],
      options: { idempotencyKey },
    });

  async function complete(text: string, key: string) {
    const client = new grpc.Client(new URL(gateway.url).host, grpc.credentials.createInsecure());
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${first}`);
    let trailers: grpc.Metadata | undefined;
    let headers: grpc.Metadata | undefined;
    try {
      const bytes = await new Promise<Buffer>((resolve, reject) => {
        const call = client.makeUnaryRequest(
          `/${InferenceService.typeName}/Complete`,
          (value: ReturnType<typeof request>) =>
            Buffer.from(toBinary(CompleteRequestSchema, create(CompleteRequestSchema, { generate: value }))),
          (value: Buffer) => value,
          request(text, key),
          metadata,
          (error, value) => (error === null && value !== undefined ? resolve(value) : reject(error)),
        );
        call.on("metadata", (value: grpc.Metadata) => {
          headers = value;
        });
        call.on("status", (status: grpc.StatusObject) => {
          trailers = status.metadata;
        });
      });
      return { response: fromBinary(CompleteResponseSchema, bytes), headers, trailers };
    } finally {
      client.close();
    }
  }

  test("the field of the request means the same; the answer says that it is a replay", async () => {
    const key = newKey();
    const original = await complete("by rpc", key);
    const repeat = await complete("by rpc", key);
    expect(repeat.response.candidates).toEqual(original.response.candidates);
    expect(repeat.response.usage).toEqual(original.response.usage);
    expect(repeat.response.started?.generationId).toBe(original.response.started?.generationId);
    expect([original.response.started?.replayed, repeat.response.started?.replayed]).toEqual([false, true]);
    expect(repeat.response.settled).toMatchObject({ attempts: [], costNanoUsd: 0n });
    expect(original.response.settled?.costNanoUsd).toBeGreaterThan(0n);
    expect(original.trailers?.get("x-dragoman-cost-usd")).toHaveLength(1);
    expect(repeat.trailers?.get("x-dragoman-cost-usd")).toEqual(["0"]);
    expect(repeat.headers?.get("idempotent-replayed")).toEqual(["true"]);
    expect(gateway.sim.requests()).toHaveLength(1);
  });

  test("another body is INVALID_ARGUMENT, a key of 256 characters too", async () => {
    const key = newKey();
    await complete("one", key);
    await expect(complete("two", key)).rejects.toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
    await expect(complete("one", "k".repeat(256))).rejects.toMatchObject({ code: grpc.status.INVALID_ARGUMENT });
  });
});
