/**
 * X15, X16 (reliability.md 4.7): what a caller says of themselves stays here, by whatever name and value, from every dialect to
 * every wire format; and requests that go out are framed once, in lower case.
 */
import { request as httpRequest } from "node:http";
import { create, fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CompleteResponseSchema, GenerateRequestSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import { CompleteRequestSchema } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { type Canary, findCanaries } from "./canaries.ts";
import { type Gateway, startGateway } from "./gateway.ts";
import { readRequests, type SentRequest, startWireTap, type WireTap } from "./wire-tap.ts";

let gateway: Gateway;
let tap: WireTap;

const realKey = "kq8real-key-of-the-caller-5d41402abc4b2a76";

beforeAll(async () => {
  tap = await startWireTap();
  gateway = await startGateway({
    configure(sim) {
      tap.target = sim.port;
      return {
        auth: { enabled: true, api_key: realKey },
        providers: {
          chat: { type: "openai", base_url: `${tap.url}/v1`, api_key: "sk-own-0001" },
          answers: { type: "openai-responses", base_url: `${tap.url}/v1`, api_key: "sk-own-0002" },
          claude: { type: "anthropic", base_url: tap.url, api_key: "sk-ant-own-0003" },
          gem: { type: "gemini", base_url: `${tap.url}/v1beta`, api_key: "AIza-own-0004" },
          amazon: { type: "bedrock", base_url: tap.url, api_key: "bedrock-own-0005" },
          command: { type: "cohere", base_url: tap.url, api_key: "co-own-0006" },
          grok: { type: "xai-grpc", base_url: sim.grpcUrl, api_key: "xai-own-0007" },
          gemgrpc: { type: "gemini-grpc", base_url: sim.grpcUrl, api_key: "AIza-own-0008" },
        },
      };
    },
  });
});
afterAll(() => Promise.all([gateway?.close(), tap?.close()]));

const providers = ["chat", "answers", "claude", "gem", "amazon", "command", "grok", "gemgrpc"];
const overGrpc = new Set(["grok", "gemgrpc"]);

const messages = [{ role: "user", content: "hi" }];
const contents = [{ role: "user", parts: [{ text: "hi" }] }];
const core = { messages: [{ role: "ROLE_USER", parts: [{ text: "hi" }] }] };
const rpc = "/dragoman.v1.InferenceService";
const agumbe = {
  agumbe_metadata: { workspace_id: "agumb3-canary-meta-5f4dcc3b5aa765d6" },
  agumbe_guardrails_app_id: "agumb4-canary-app-61d8327deb882cf9",
};
const calls: Record<string, (model: string) => { path: string; body: object }> = {
  chat: (model) => ({ path: "/v1/chat/completions", body: { model, messages } }),
  "chat, streamed": (model) => ({ path: "/v1/chat/completions", body: { model, messages, stream: true } }),
  completions: (model) => ({ path: "/v1/completions", body: { model, prompt: "hi" } }),
  responses: (model) => ({ path: "/v1/responses", body: { model, input: "hi" } }),
  "responses, not kept": (model) => ({ path: "/v1/responses", body: { model, input: "hi", store: false, stream: true } }),
  messages: (model) => ({ path: "/v1/messages", body: { model, messages, max_tokens: 20 } }),
  "tokens of messages": (model) => ({ path: "/v1/messages/count_tokens", body: { model, messages } }),
  gemini: (model) => ({ path: `/v1beta/models/${model}:generateContent`, body: { contents } }),
  "gemini, streamed": (model) => ({ path: `/v1beta/models/${model}:streamGenerateContent?alt=sse`, body: { contents } }),
  rpc: (model) => ({ path: `${rpc}/Complete`, body: { generate: { model, ...core } } }),
};

/** Where the gateway's key may stand, the one that counts first at the beginning. */
const places = ["authorization", "x-api-key", "x-goog-api-key", "api-key", "x-dragoman-api-key", "key"] as const;

/** Whatever else says who somebody is. Each value begins with its own letters and ends in its own. */
const others = [
  ...["cookie", "proxy-authorization", "x-kurral-api-key", "x-auth-token", "x-amz-security-token", "x-goog-user-project"],
  ...["openai-organization", "openai-project", "x-forwarded-user", "x-real-ip", "forwarded", "x-ms-client-principal"],
  ...["x-dragoman-plan", "x-dragoman-session-id", "x-dragoman-workspace-id", "x-kagu-plan-id", "x-kagu-feature-key", "x-kurral-agent"],
  ...["x-cgn-node", "x-nenya-agent", "x-agumbe-source-service", "x-dragoman-made-up", "x-kagu-made-up", "baggage", "referer", "origin"],
];

function canaryOf(name: string): Canary {
  const seed = Buffer.from(name).toString("hex");
  return { name, value: `cnr${seed.slice(-9)}${seed}w` };
}

const asItIs = (bytes: Buffer) => bytes;

const canaries = [{ name: "the caller's key", value: realKey }, ...[...places, ...others].map(canaryOf)];

/** Headers and query of a caller whose key stands in one place, with other credentials in all that count less. */
function caller(place: (typeof places)[number]): { headers: Record<string, string>; query: string } {
  const headers: Record<string, string> = {};
  let query = "";
  for (const name of places.slice(places.indexOf(place))) {
    const value = name === place ? realKey : canaryOf(name).value;
    if (name === "key") query = `key=${value}`;
    else headers[name] = name === "authorization" ? `Bearer ${value}` : value;
  }
  for (const name of others) {
    const { value } = canaryOf(name);
    headers[name] = name === "cookie" ? `session=${value}` : name === "baggage" ? `user=${value}` : value;
  }
  return { headers, query };
}

/** What may go out beside the vendor's own credential. */
const outgoing = new Set([
  ...["host", "connection", "content-type", "content-length", "transfer-encoding", "accept", "accept-encoding", "user-agent"],
  ...["traceparent", "anthropic-version", "authorization", "x-api-key", "x-goog-api-key", "te", "grpc-accept-encoding", "grpc-timeout"],
]);

function sentRequests(): SentRequest[] {
  return tap.sent().flatMap(readRequests);
}

function expectNothingOfTheCaller(): void {
  const recorded = gateway.sim.requests();
  const wire = { name: "the wire", text: tap.sent().join("\n") };
  expect(findCanaries([wire, { name: "what upstreams got", text: JSON.stringify(recorded) }], canaries)).toEqual([]);
  for (const { headers } of recorded) {
    expect(Object.keys(headers).filter((name) => !name.startsWith(":") && !outgoing.has(name))).toEqual([]);
    // Masked but for their end: the vendor's own, and no other.
    const masked = Object.values(headers).filter((value) => value.startsWith("***"));
    expect(masked).toEqual([expect.stringMatching(/^\*\*\*000[1-8]$/)]);
  }
}

function expectOneFraming(requests: readonly SentRequest[]): void {
  for (const { method, headers } of requests) {
    const names = headers.map(([name]) => name);
    expect(names.filter((name) => !/^[a-z0-9-]+$/.test(name))).toEqual([]);
    expect(names.length, names.join()).toBe(new Set(names).size);
    const framing = names.filter((name) => name === "content-length" || name === "transfer-encoding");
    expect(framing.length).toBe(method === "GET" ? 0 : 1);
  }
}

describe.each(providers)("X15, X16: before %s", (provider) => {
  test.each(Object.keys(calls))("%s: no credential of the caller goes out, wherever it stands", async (name) => {
    tap.clear();
    gateway.sim.clear();
    const { path, body } = calls[name]?.(`${provider}/sim-echo`) ?? { path: "", body: {} };
    let reached = 0;
    for (const place of places) {
      const { headers, query } = caller(place);
      // RPC takes no key from the query.
      if (place === "key" && path.startsWith(rpc)) continue;
      const url = `${gateway.url}${path}${query === "" ? "" : `${path.includes("?") ? "&" : "?"}${query}`}`;
      const answer = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: JSON.stringify(body),
      });
      expect([200, 400, 501], `${place}: ${await answer.text()}`).toContain(answer.status);
      reached += Number(answer.status === 200);
    }
    expect(reached).toBeGreaterThan(0);
    expectNothingOfTheCaller();
    const sent = sentRequests();
    if (!overGrpc.has(provider) && !name.startsWith("tokens")) expect(sent.length).toBeGreaterThan(0);
    expectOneFraming(sent);
  });
});

describe("X15", () => {
  test("fields of other gateways stay here", async () => {
    tap.clear();
    const send = (body: object) =>
      fetch(`${gateway.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${realKey}` },
        body: JSON.stringify(body),
      });
    const answer = await send({ model: "chat/sim-echo", messages, ...agumbe });
    expect(await answer.text()).toContain("hi");
    expect(tap.sent().join("")).toContain("sim-echo");
    expect(tap.sent().join("")).not.toContain("agumb");
  });

  test.each(providers)("metadata of gRPC callers stays here, before %s", async (provider) => {
    tap.clear();
    gateway.sim.clear();
    const client = new Client(new URL(gateway.url).host, credentials.createInsecure());
    const generate = fromJson(GenerateRequestSchema, { model: `${provider}/sim-echo`, ...core });
    const bytes = Buffer.from(toBinary(CompleteRequestSchema, create(CompleteRequestSchema, { generate })));
    for (const place of places.slice(0, -1)) {
      const metadata = new Metadata();
      for (const [name, value] of Object.entries(caller(place).headers)) metadata.set(name, value);
      const answer = await new Promise<Buffer>((resolve, reject) => {
        const heard = (error: ServiceError | null, reply?: Buffer) => (error === null && reply ? resolve(reply) : reject(error));
        client.makeUnaryRequest(`${rpc}/Complete`, asItIs, asItIs, bytes, metadata, heard);
      });
      expect(fromBinary(CompleteResponseSchema, answer).candidates).toHaveLength(1);
    }
    client.close();
    expectNothingOfTheCaller();
    expect(gateway.sim.requests().length).toBeGreaterThanOrEqual(places.length - 1);
  });
});

test("X16: a chunked request in capitals goes out with one length", async () => {
  tap.clear();
  const answer = await new Promise<string>((resolve, reject) => {
    const request = httpRequest(`${gateway.url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        "CONTENT-TYPE": "application/json",
        AUTHORIZATION: `Bearer ${realKey}`,
        "TRANSFER-ENCODING": "chunked",
        CONNECTION: "keep-alive, X-Hop",
        "X-HOP": "hop",
        TE: "trailers",
        "KEEP-ALIVE": "timeout=5",
      },
    });
    request.on("error", reject).on("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
      response.on("end", () => resolve(text));
    });
    const body = JSON.stringify({ model: "chat/sim-echo", messages });
    for (const piece of body.match(/.{1,9}/g) ?? []) request.write(piece);
    request.end();
  });
  expect(answer).toContain('"hi"');
  const sent = sentRequests().filter(({ method }) => method === "POST");
  expect(sent).toHaveLength(1);
  expectOneFraming(sent);
  const names = sent.flatMap(({ headers }) => headers.map(([name]) => name));
  for (const hop of ["x-hop", "te", "keep-alive", "transfer-encoding"]) expect(names).not.toContain(hop);
});
