/** Cancellation, deadlines, back-pressure and late failures, over every protocol. */
import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { afterEach, describe, expect, test } from "vitest";
import { FailureDetailSchema } from "../../gen/dragoman/v1/errors_pb.ts";
import { CompleteResponseSchema, type GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { SettledSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { ErrorInfoSchema, QuotaFailureSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type Call, stopReason } from "../../src/core/call.ts";
import { GatewayError } from "../../src/core/error.ts";
import { deltaEvent, type EventBatch, startedEvent } from "../../src/core/event.ts";
import { ask, type FakeGateway, startGateway, stopAll, until } from "./fake-gateway.ts";

afterEach(stopAll);

const transports: Record<string, (url: string) => Transport> = {
  "connect, HTTP/1.1": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "connect, HTTP/2": (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" }),
  grpc: (baseUrl) => createGrpcTransport({ baseUrl }),
  "grpc-web, HTTP/1.1": (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
};

const stopped = (call: Call) =>
  new Promise<never>((_resolve, reject) => {
    const stop = () => reject(stopReason(call.signal));
    if (call.signal.aborted) stop();
    else call.signal.addEventListener("abort", stop);
  });

/** One token, then nothing until the call is stopped. */
async function* stall(_request: GenerateRequest, call: Call): AsyncGenerator<EventBatch> {
  yield { events: [startedEvent({}), deltaEvent(0, 0, { case: "text", value: "one" })] };
  await stopped(call);
}

/** Nothing at all until the call is stopped. */
// biome-ignore lint/correctness/useYield: it never gets that far
async function* silence(_request: GenerateRequest, call: Call): AsyncGenerator<EventBatch> {
  await stopped(call);
}

describe.each(Object.entries(transports))("%s", (_name, transport) => {
  const connect = (gateway: FakeGateway) => createClient(InferenceService, transport(gateway.url));
  const failureOf = (run: Promise<unknown>) => run.then(() => Promise.reject(new Error("it succeeded")), ConnectError.from);
  const readAll = async (stream: AsyncIterable<unknown>, onEach: () => void = () => {}) => {
    for await (const _ of stream) onEach();
  };

  async function expectCancelled({ calls, log }: FakeGateway, leave: () => void): Promise<void> {
    const left = performance.now();
    leave();
    await until(() => calls[0]?.signal.aborted === true, "the call's signal");
    expect(performance.now() - left).toBeLessThan(1_000);
    expect(calls[0]?.signal.reason).toMatchObject({ reason: "cancelled" });
    expect(log.filter(({ level }) => level !== "debug" && level !== "info")).toEqual([]);
  }

  test.each([
    ["mid-stream", stall],
    ["before the first event", silence],
  ])("a client that leaves a stream %s stops the call", async (_when, generate) => {
    const gateway = await startGateway({ operations: { generate } });
    const leaving = new AbortController();
    const ended = failureOf(readAll(connect(gateway).generate(ask("x"), { signal: leaving.signal })));
    await until(() => gateway.calls.length === 1, "the call");
    if (generate === stall) await new Promise((resolve) => setTimeout(resolve, 20));
    await expectCancelled(gateway, () => leaving.abort());
    await ended;
  });

  test("a client that leaves a unary call stops it", async () => {
    const gateway = await startGateway({ operations: { complete: (_request, call) => stopped(call) } });
    const leaving = new AbortController();
    const ended = failureOf(connect(gateway).complete({ generate: ask("x") }, { signal: leaving.signal }));
    await until(() => gateway.calls.length === 1, "the call");
    await expectCancelled(gateway, () => leaving.abort());
    await ended;
  });

  test("a deadline stops the call and says so", async () => {
    const gateway = await startGateway({ operations: { generate: stall, complete: (_request, call) => stopped(call) } });
    const headers = { "x-dragoman-timeout-ms": "60" };
    const streamed = await failureOf(readAll(connect(gateway).generate(ask("x"), { headers })));
    expect(streamed.code).toBe(Code.DeadlineExceeded);
    expect(streamed.findDetails(ErrorInfoSchema)[0]?.reason).toBe("TIMEOUT");
    const unary = await failureOf(connect(gateway).complete({ generate: ask("x") }, { headers }));
    expect(unary.code).toBe(Code.DeadlineExceeded);
    expect(unary.findDetails(FailureDetailSchema)[0]).toMatchObject({ retryable: true });
    for (const { signal } of gateway.calls) expect(signal.reason).toMatchObject({ reason: "timeout" });
  });

  test("the transport's deadline stops the call too", async () => {
    const gateway = await startGateway({ operations: { generate: stall } });
    const error = await failureOf(readAll(connect(gateway).generate(ask("x"), { timeoutMs: 80 })));
    expect(error.code).toBe(Code.DeadlineExceeded);
    await until(() => gateway.calls[0]?.signal.aborted === true, "the call's signal");
  });

  test("a failure after content ends the stream with what was sent and billed", async () => {
    const gateway = await startGateway({
      operations: {
        async *generate(_request, _call) {
          yield { events: [startedEvent({}), deltaEvent(0, 0, { case: "text", value: "one" })] };
          const error = new GatewayError("rate_limited", "the provider's limit is reached", {
            retryAfterMs: 2_500,
            upstream: {
              provider: "p",
              httpStatus: 429,
              type: "t",
              code: "c",
              message: "slow down",
              param: "",
              requestId: "u1",
              midStream: true,
              bodyJson: "{}",
            },
          });
          error.settled = create(SettledSchema, { costNanoUsd: 42n });
          error.committed = true;
          error.lastSequence = 2;
          throw error;
        },
      },
    });
    let events = 0;
    const error = await failureOf(
      readAll(connect(gateway).generate(ask("x")), () => {
        events++;
      }),
    );
    expect(events).toBe(2);
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(error.metadata.get("retry-after")).toBe("3");
    expect(error.metadata.get("x-should-retry")).toBe("true");
    expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay).toMatchObject({ seconds: 2n, nanos: 500_000_000 });
    expect(error.findDetails(QuotaFailureSchema)[0]?.violations).toHaveLength(1);
    expect(error.findDetails(FailureDetailSchema)[0]).toMatchObject({
      committed: true,
      lastSequence: 2,
      retryAfterMs: 2_500,
      settled: { costNanoUsd: 42n },
      upstream: { provider: "p", httpStatus: 429, message: "slow down" },
    });
  });

  test("a fault of the gateway tells the client nothing of it, and the log all", async () => {
    const complete = () => Promise.reject(new TypeError("secret detail"));
    const gateway = await startGateway({ operations: { complete } });
    const error = await failureOf(connect(gateway).complete({ generate: ask("x") }));
    expect(error.code).toBe(Code.Internal);
    expect(JSON.stringify([error.rawMessage, ...error.metadata])).not.toContain("secret");
    expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("INTERNAL");
    expect(JSON.stringify(gateway.log)).toContain("secret detail");
  });

  test("a slow reader holds the upstream back", async () => {
    const token = randomBytes(49_152).toString("base64"); // does not compress
    let pulled = 0;
    const gateway = await startGateway({
      operations: {
        async *generate(_request, call) {
          while (pulled < 1_000 && !call.signal.aborted) {
            pulled++;
            yield { events: [deltaEvent(0, 0, { case: "text", value: token })] };
          }
        },
      },
    });
    const leaving = new AbortController();
    const stream = connect(gateway).generate(ask("x"), { signal: leaving.signal })[Symbol.asyncIterator]();
    await stream.next();
    let before = -1;
    while (before !== pulled) {
      before = pulled;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    // Sockets and windows of both sides hold some megabytes; the whole would be 64.
    expect(pulled).toBeLessThan(500);
    leaving.abort();
    await stream.next().catch(() => {});
    await until(() => gateway.calls[0]?.signal.aborted === true, "the end of a blocked stream");
  });
});

describe("authentication", () => {
  const unread = (gateway: FakeGateway, headers: Record<string, string>) =>
    createClient(InferenceService, createGrpcTransport({ baseUrl: gateway.url })).complete({ generate: ask("x") }, { headers });

  test("a wrong or missing credential is refused before the message is read", async () => {
    const gateway = await startGateway({ keys: ["k1"] });
    for (const headers of [{}, { authorization: "Bearer nope" }, { "x-api-key": "nope" }]) {
      const error = ConnectError.from(await unread(gateway, headers).catch((e: unknown) => e));
      expect(error.code).toBe(Code.Unauthenticated);
      expect(error.findDetails(ErrorInfoSchema)[0]?.reason).toBe("UNAUTHENTICATED");
    }
    // The body is no message at all; the credential is judged first.
    const response = await fetch(`${gateway.url}/dragoman.v1.InferenceService/Complete`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{broken",
    });
    expect(response.status).toBe(401);
    expect(gateway.calls).toEqual([]);
  });

  test.each(["x-api-key", "x-goog-api-key", "api-key", "x-dragoman-api-key"])("%s is taken", async (name) => {
    const gateway = await startGateway({
      keys: ["k1", "k2"],
      operations: { complete: async () => ({ response: create(CompleteResponseSchema) }) },
    });
    await unread(gateway, { [name]: "k2" });
    expect(gateway.calls[0]?.principal.id).toBe("apikey:1");
  });

  test("authorization wins", async () => {
    const gateway = await startGateway({
      keys: ["k1", "k2"],
      operations: { complete: async () => ({ response: create(CompleteResponseSchema) }) },
    });
    await unread(gateway, { authorization: "Bearer k1", "x-api-key": "k2" });
    expect(gateway.calls[0]?.principal.id).toBe("apikey:0");
  });
});
