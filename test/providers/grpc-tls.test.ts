/** TLS to upstreams that speak gRPC: whose certificate is taken, and what goes with a call over it. */
import { readFileSync } from "node:fs";
import { create, toBinary } from "@bufbuild/protobuf";
import { ServerCredentials } from "@grpc/grpc-js";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { Chat, GetChatCompletionChunkSchema } from "../../gen/xai/api/v1/chat_pb.ts";
import type { AttemptCall } from "../../src/core/call.ts";
import { GatewayError } from "../../src/core/error.ts";
import { Fold } from "../../src/core/fold.ts";
import { Secret } from "../../src/core/secret.ts";
import { createProvider, type ProviderSettings } from "../../src/providers/registry.ts";
import { ask, startCall, targetOf } from "./calls.ts";
import { type Answers, startGrpcServer } from "./grpc-server.ts";

const pem = (name: string) => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url));
const certificateAuthority = pem("certificate").toString("utf8");

const answer: Answers = () => [
  toBinary(
    GetChatCompletionChunkSchema,
    create(GetChatCompletionChunkSchema, { outputs: [{ delta: { content: "hello" }, finishReason: 2 }] }),
  ),
];

function serverCredentials(clients: Buffer | null = null): ServerCredentials {
  return ServerCredentials.createSsl(clients, [{ cert_chain: pem("certificate"), private_key: pem("key") }], clients !== null);
}

interface Asked {
  readonly host?: string;
  readonly settings?: Partial<ProviderSettings>;
  readonly call?: AttemptCall;
  readonly answers?: Answers;
  readonly clients?: Buffer;
}

async function askOver({ host = "upstream.test", settings = {}, call = startCall(), answers = answer, clients }: Asked) {
  const { port, seen } = await startGrpcServer(Chat.method.getCompletionChunk, answers, serverCredentials(clients));
  const origin = `https://${host}:${port}`;
  const provider = createProvider(
    { name: "up", type: "xai-grpc", baseUrl: origin, apiKey: new Secret("sk-tls-0123456789"), ...settings },
    { version: "1.2.3", resolve: (_name, done) => done(null, [{ address: "127.0.0.1", family: 4 }]) },
  );
  onTestFinished(() => provider.close());
  const fold = new Fold();
  const reading = (async () => {
    for await (const { events } of provider.generate?.(ask("hi"), targetOf("up", "m"), call) ?? []) fold.addAll(events);
  })();
  const outcome = reading.then(
    () => fold.response().candidates[0]?.message?.parts[0]?.part.value,
    (thrown: unknown) => thrown,
  );
  return { origin, outcome, seen };
}

test("an authority of one's own vouches for the upstream; credential, metadata, trace and deadline go with the call", async () => {
  const call = startCall({ traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" });
  const { outcome, seen } = await askOver({ settings: { certificateAuthority, headers: { "x-team": "blue" } }, call });
  expect(await outcome).toBe("hello");
  const [{ metadata, leftMs } = expect.fail("no call came")] = seen;
  expect(metadata.getMap()).toMatchObject({
    authorization: "Bearer sk-tls-0123456789",
    "x-team": "blue",
    traceparent: call.traceparent,
    "user-agent": expect.stringMatching(/^dragoman\/1\.2\.3 /),
  });
  expect(leftMs).toBeGreaterThan(0);
  expect(leftMs).toBeLessThanOrEqual(60_000);
});

describe("is refused, before any call, and why stands in the log only:", () => {
  test.each([
    ["a certificate that nobody vouches for", "upstream.test", undefined],
    ["a certificate for another name", "other.test", certificateAuthority],
    ["a certificate for a name, reached by address", "127.0.0.1", certificateAuthority],
  ])("%s", async (_what, host, authority) => {
    const { origin, outcome, seen } = await askOver({ host, settings: { certificateAuthority: authority } });
    expect(await outcome).toMatchObject({
      reason: "provider_error",
      message: `cannot make a secure connection to ${origin} (upstream_tls)`,
      details: { undispatched: true, cause: { kind: "upstream_tls" } },
    });
    expect(seen).toEqual([]);
  });
});

describe("an upstream that asks for a certificate", () => {
  const clients = pem("client-authority");
  const clientCertificate = { certificate: pem("client").toString("utf8"), key: new Secret(pem("client-key").toString("utf8")) };

  test("is shown the one that is configured", async () => {
    const { outcome, seen } = await askOver({ settings: { certificateAuthority, clientCertificate }, clients });
    expect(await outcome).toBe("hello");
    expect(seen[0]?.clientName).toBe("gateway.test");
  });

  test("is not asked anything without", async () => {
    const { outcome, seen } = await askOver({ settings: { certificateAuthority }, clients });
    expect(await outcome).toMatchObject({ reason: "provider_error", details: { undispatched: true } });
    expect(seen).toEqual([]);
  });
});

test("over TLS too, a call that is stopped ends at the upstream", async () => {
  const stop = new AbortController();
  const { outcome, seen } = await askOver({
    settings: { certificateAuthority },
    call: startCall({ signal: stop.signal }),
    answers: () => [undefined],
  });
  await vi.waitFor(() => expect(seen).toHaveLength(1));
  stop.abort(new GatewayError("cancelled", "the client went away"));
  expect(await outcome).toMatchObject({ reason: "cancelled" });
  await vi.waitFor(() => expect(seen[0]?.cancelled.is).toBe(true));
});
