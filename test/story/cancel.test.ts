/** SSE-5 and promise 4: a client that goes away closes the upstream's socket, whatever it speaks and whenever it leaves. */
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import * as grpc from "@grpc/grpc-js";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { CompleteRequestSchema, InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { type Gateway, startGateway } from "./gateway.ts";

/** Promised are 250 ms; a busy machine gets slack. */
const closesWithinMs = 1_000;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway();
});
afterAll(() => gateway?.close());

const models = { "openai-chat": "chat/sim-script", "anthropic-messages": "claude/sim-script", gemini: "gem/sim-script" };

/** When the client leaves, and what the upstream is doing then. */
const moments = {
  "before the first token": { steps: [{ delay_ms: 20_000 }, { text: "never" }] },
  "in the middle of the stream": { steps: [{ text: "some words come at once " }, { delay_ms: 20_000 }, { text: "never" }] },
};

interface Leaver {
  readonly name: string;
  readonly streams: boolean;
  /** Asks, waits for the first content where `wait` says so, and leaves; resolves when it has left. */
  leave(model: string, text: string, wait: boolean): Promise<void>;
}

const core = (model: string, text: string) =>
  create(GenerateRequestSchema, { model, messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: text } }] }] });

/** Resolves when the upstream has the request. */
async function reached(): Promise<void> {
  await vi.waitFor(() => expect(gateway.sim.bill()).toHaveLength(1), { timeout: 10_000, interval: 5 });
}

function connectLeaver(name: string, makeTransport: () => ReturnType<typeof createConnectTransport>): Leaver {
  return {
    name,
    streams: true,
    async leave(model, text, wait) {
      const stop = new AbortController();
      const stream = createClient(InferenceService, makeTransport()).generate(core(model, text), { signal: stop.signal });
      const reading = (async () => {
        for await (const { event } of stream) if (wait && event.case === "blockDelta") break;
      })().catch(() => {});
      if (wait) await reading;
      else await reached();
      stop.abort();
      await reading;
    },
  };
}

const leavers: Leaver[] = [
  {
    name: "openai SDK, streamed",
    streams: true,
    async leave(model, text, wait) {
      const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
      const stop = new AbortController();
      const reading = (async () => {
        const stream = await client.chat.completions.create(
          { model, messages: [{ role: "user", content: text }], stream: true },
          { signal: stop.signal },
        );
        for await (const chunk of stream) if (wait && chunk.choices[0]?.delta.content) break;
      })().catch(() => {});
      if (wait) await reading;
      else await reached();
      stop.abort();
      await reading;
    },
  },
  {
    name: "openai SDK, buffered",
    streams: false,
    async leave(model, text) {
      const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
      const stop = new AbortController();
      const asking = client.chat.completions
        .create({ model, messages: [{ role: "user", content: text }] }, { signal: stop.signal })
        .catch(() => {});
      await reached();
      stop.abort();
      await asking;
    },
  },
  {
    name: "grpc-js, streamed",
    streams: true,
    async leave(model, text, wait) {
      const client = new grpc.Client(new URL(gateway.url).host, grpc.credentials.createInsecure());
      const call = client.makeServerStreamRequest(
        `/${InferenceService.typeName}/Generate`,
        (request: ReturnType<typeof core>) => Buffer.from(toBinary(GenerateRequestSchema, request)),
        (bytes: Buffer) => bytes,
        core(model, text),
        new grpc.Metadata(),
      );
      call.on("error", () => {});
      if (wait) await new Promise((resolve) => call.once("data", resolve));
      else await reached();
      call.cancel();
      client.close();
    },
  },
  {
    name: "grpc-js, unary",
    streams: false,
    async leave(model, text) {
      const client = new grpc.Client(new URL(gateway.url).host, grpc.credentials.createInsecure());
      const call = client.makeUnaryRequest(
        `/${InferenceService.typeName}/Complete`,
        (request: ReturnType<typeof core>) =>
          Buffer.from(toBinary(CompleteRequestSchema, create(CompleteRequestSchema, { generate: request }))),
        (bytes: Buffer) => bytes,
        core(model, text),
        () => {},
      );
      await reached();
      call.cancel();
      client.close();
    },
  },
  connectLeaver("Connect over HTTP/1.1", () => createConnectTransport({ baseUrl: gateway.url, httpVersion: "1.1" })),
  connectLeaver("gRPC-Web over HTTP/1.1", () => createGrpcWebTransport({ baseUrl: gateway.url, httpVersion: "1.1" })),
];

let asked = 0;

describe.each(Object.entries(models))("an upstream that speaks %s", (_, model) => {
  for (const leaver of leavers) {
    for (const [moment, script] of Object.entries(moments)) {
      const wait = moment.includes("middle");
      if (wait && !leaver.streams) continue;
      test(`${leaver.name}, ${moment}`, async () => {
        gateway.reset();
        await leaver.leave(model, JSON.stringify({ sim_script: { ...script, id: `cancel-${asked++}` } }), wait);
        const left = performance.now();
        await gateway.sim.settled();
        const [row] = gateway.sim.bill();
        expect(row).toMatchObject({ aborted: true, completed: false });
        expect((row?.socketClosedAt ?? Number.POSITIVE_INFINITY) - left).toBeLessThan(closesWithinMs);
        await gateway.expectBillsAgree();
        expect(gateway.attempts().map(({ status }) => status)).toEqual(["cancelled"]);
      });
    }
  }
});

test("a deadline closes the upstream's socket and is answered as one", async () => {
  gateway.reset();
  const client = createClient(InferenceService, createConnectTransport({ baseUrl: gateway.url, httpVersion: "1.1" }));
  const script = JSON.stringify({ sim_script: { ...moments["before the first token"], id: "deadline" } });
  const before = performance.now();
  await expect(client.complete({ generate: core(models.gemini, script) }, { timeoutMs: 400 })).rejects.toMatchObject({ code: 4 });
  expect(performance.now() - before).toBeLessThan(400 + closesWithinMs);
  await gateway.sim.settled();
  expect(gateway.sim.bill()).toMatchObject([{ aborted: true }]);

  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-dragoman-timeout-ms": "300" },
    body: JSON.stringify({ model: models["openai-chat"], messages: [{ role: "user", content: script.replace("deadline", "deadline-2") }] }),
  });
  expect(response.status).toBe(504);
  expect(response.headers.get("x-dragoman-error-reason")).toBe("timeout");
});
