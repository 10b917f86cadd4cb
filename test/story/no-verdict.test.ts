/**
 * X10, X3, X7 (reliability.md 4.7): no route reaches a model without a verdict on its caller, whatever stands in its headers, and
 * no header changes which operation is judged or who is asking.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createFileRegistry, type DescMethod, type DescService, fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { makeKeyParts, writeKey } from "../../src/access/key-format.ts";
import { createEndpoints } from "../../src/facade/endpoints.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const good = "a-key-that-may-do-everything-0123456789";
const embedsOnly = "a-key-that-may-only-embed-0123456789";
const file = join(tmpdir(), `dragoman-verdict-${process.pid}-${Date.now()}`);

let gateway: Gateway;
beforeAll(async () => {
  writeFileSync(file, `${good} *\n${embedsOnly} embed\n`);
  gateway = await startGateway({ config: { auth: { api_keys_file: file } } });
});
afterAll(async () => {
  await gateway?.close();
  rmSync(file, { force: true });
});
afterEach(() => gateway.reset());

interface Route {
  readonly port: "data" | "admin";
  readonly method: string;
  readonly path: string;
  readonly scope: string;
}

const model = "chat/sim-echo";
const messages = [{ role: "user", content: "hi" }];
const contents = [{ role: "user", parts: [{ text: "hi" }] }];
/** What each kind of path runs with; the first that fits. */
const bodies: readonly (readonly [RegExp, object])[] = [
  [/Embed$/, { model: "chat/sim-embed", inputs: [{ text: "hi" }] }],
  [/Service\//, { generate: { model, messages: [{ role: "ROLE_USER", parts: [{ text: "hi" }] }] } }],
  [/\/embeddings$/, { model: "chat/sim-embed", input: "hi" }],
  [/\/chat\/completions$/, { model, messages }],
  [/\/completions$/, { model, prompt: "hi" }],
  [/\/responses/, { model, input: "hi" }],
  [/\/messages$/, { model, messages, max_tokens: 9 }],
  [/\/messages/, { model, messages }],
  [/:embedContent$/, { content: contents[0] }],
  [/:batchEmbedContents$/, { requests: [{ model: `models/${model}`, content: contents[0] }] }],
  [/:/, { contents }],
];
const bodyFor = (path: string) => JSON.stringify(bodies.find(([pattern]) => pattern.test(path))?.[1] ?? {});

const endpoints: readonly Route[] = createEndpoints().map(({ method, path, scope }) => ({
  port: "data",
  method,
  path: path
    .replace(/\{model\+?\}/, model)
    .replace(/\{id\}/, "resp_1")
    .replace(/\{verb\}/, "generateContent"),
  scope,
}));

const registry = createFileRegistry(
  fromBinary(FileDescriptorSetSchema, readFileSync(new URL("../../gen/dragoman.binpb", import.meta.url))),
);
const procedures: readonly Route[] = [...registry]
  .filter((desc): desc is DescService => desc.kind === "service" && desc.typeName.startsWith("dragoman."))
  .flatMap((service) => service.methods.map((method: DescMethod) => routeOf(service, method)));

function routeOf(service: DescService, { name }: DescMethod): Route {
  const port = service.typeName.startsWith("dragoman.admin.") ? "admin" : "data";
  return { port, method: "POST", path: `/${service.typeName}/${name}`, scope: name === "Embed" ? "embed" : "chat" };
}

interface Sending extends Pick<Route, "port" | "method" | "path"> {
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The status, 0 where the connection was closed without one. */
function send({ port, method, path, headers, body: text }: Sending): Promise<number> {
  const { hostname, port: number } = new URL(port === "data" ? gateway.url : gateway.adminUrl);
  return new Promise((resolve) => {
    const request = httpRequest({ hostname, port: number, method, path, setHost: headers.host === undefined, agent: false }, (response) => {
      response.resume().on("close", () => resolve(response.statusCode ?? 0));
    });
    for (const [name, value] of Object.entries(headers)) request.setHeader(name, value);
    request.on("error", () => resolve(0)).end(method === "GET" ? undefined : text);
  });
}

const wrongKeys = [
  ...["", "Bearer", "x", good.slice(0, -1), `${good}x`, good.toUpperCase(), `Basic ${good}`, "null", "undefined", "*", "admin"],
  ...["' OR 1=1 --", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.", writeKey(makeKeyParts("live")), writeKey(makeKeyParts("once"))],
];
const keyHeader = fc.constantFrom("authorization", "x-api-key", "x-goog-api-key", "api-key", "x-dragoman-api-key");
const wrongCredential = fc
  .tuple(keyHeader, fc.oneof(fc.constantFrom(...wrongKeys), fc.stringMatching(/^[!-~]{1,60}$/)), fc.constantFrom("Bearer ", "bearer ", ""))
  .map(([name, value, scheme]) => ({ [name]: name === "authorization" ? scheme + value : value }));

/** Headers by which servers behind other proxies are told who asks, and what for. */
const claims = fc.dictionary(
  fc.constantFrom(
    ...["x-forwarded-user", "x-remote-user", "x-authenticated-userid", "x-ms-client-principal", "x-consumer-username", "x-user-id"],
    ...["x-forwarded-for", "x-real-ip", "forwarded", "x-client-cert", "x-forwarded-client-cert", "x-spiffe-id", "x-internal-auth"],
    ...["x-original-url", "x-rewrite-url", "x-forwarded-uri", "x-forwarded-path", "x-forwarded-host", "x-forwarded-prefix"],
    ...["x-http-method-override", "x-method-override", "x-dragoman-user-id", "x-dragoman-tenant", "x-dragoman-scopes", "x-dragoman-role"],
    ...["x-dragoman-subject", "x-cgn-subject", "x-kagu-user-id", "x-kurral-agent", "cookie", "host", "origin", "content-type"],
  ),
  fc.constantFrom(
    ...["admin", "root", "127.0.0.1", "localhost", "for=127.0.0.1", "/v1/embeddings", "/healthz", "http://127.0.0.1/v1/models", "GET", "*"],
    ...[
      "127.0.0.1/v1/embeddings?",
      "a@b",
      "application/json",
      "application/grpc",
      "application/grpc-web+proto",
      "application/connect+json",
    ],
    ...[good.slice(0, 20), "spiffe://a/admin", "default", "session=1"],
  ),
  { maxKeys: 6 },
);

/** The path, or another way to write it. */
const writings: readonly ((path: string) => string)[] = [
  ...[(path: string) => path, (path: string) => path, (path: string) => path, (path: string) => `${path}/`, (path: string) => `/${path}`],
  ...[(path: string) => `/healthz/..${path}`, (path: string) => `/healthz%2f..${path}`, (path: string) => path.replace("/v1", "/V1")],
  ...[(path: string) => `${path}?key=wrong&api_key=${embedsOnly.slice(0, 12)}`, (path: string) => `${path};/healthz`],
  ...[(path: string) => `${path}%00`, (path: string) => path.replace("o", "%6f"), (path: string) => `${path}?alt=sse`],
];

/** RPC says in its own words, after a 200, that it refuses. */
const speaksRpc = (headers: Readonly<Record<string, string>>) => /^application\/(?:grpc|connect\+)/.test(headers["content-type"] ?? "");

const refusals = new Set([0, 400, 401, 403, 404, 405, 408, 413, 415, 421, 431, 501]);

function expectNothingRan(): void {
  expect(gateway.attempts()).toEqual([]);
  expect(gateway.sim.requests().filter(({ method }) => method === "POST")).toEqual([]);
}

const json = { "content-type": "application/json" };

describe("X10", () => {
  test("there are routes, and with a good key they reach models", async () => {
    expect(procedures.length).toBeGreaterThan(30);
    const runs = /completions$|responses$|messages$|\/embeddings$|\/Complete$|:(?:streamG|g)enerateContent$/;
    const routes = [...endpoints, ...procedures].filter(({ path }) => runs.test(path));
    expect(routes.length).toBeGreaterThanOrEqual(12);
    for (const { port, method, path } of routes) {
      gateway.reset();
      const headers = { ...json, authorization: `Bearer ${good}` };
      expect(await send({ port, method, path, headers, body: bodyFor(path) }), path).toBe(200);
      await vi.waitFor(() => expect(gateway.attempts().length, path).toBe(1));
    }
  }, 60_000);

  test("no route of any port runs anything for a caller whom nobody knows", async () => {
    const routes = [...endpoints, ...procedures];
    const sending = fc.record({
      route: fc.constantFrom(...routes),
      write: fc.constantFrom(...writings),
      port: fc.constantFrom("data", "admin", undefined),
      credential: fc.option(wrongCredential, { nil: {} }),
      said: claims,
    });
    await fc.assert(
      fc.asyncProperty(sending, async ({ route, write, port = route.port, credential, said }) => {
        const { method, path } = route;
        const status = await send({ port, method, path: write(path), headers: { ...json, ...said, ...credential }, body: bodyFor(path) });
        if (!speaksRpc(said)) expect([...refusals]).toContain(status);
        expectNothingRan();
      }),
      { numRuns: 600 },
    );
    expectNothingRan();
  }, 120_000);
});

describe("X3, X7, AUTH-5", () => {
  test("neither Host nor any other header makes a key do what it may not", async () => {
    const forbidden = [...endpoints, ...procedures].filter(({ scope, port }) => scope === "chat" && port === "data");
    const calls = forbidden.filter(({ path }) => !/\/ListModels$|\/Embed$/.test(path));
    const sending = fc.record({
      route: fc.constantFrom(...calls),
      said: claims,
      host: fc.option(fc.constantFrom("127.0.0.1/v1/embeddings?", "a/../v1/embeddings", "localhost:1/v1/models#", "v1.embeddings"), {
        nil: undefined,
      }),
    });
    await fc.assert(
      fc.asyncProperty(sending, async ({ route: { port, method, path }, said, host }) => {
        const headers = { ...json, ...said, ...(host === undefined ? {} : { host }), authorization: `Bearer ${embedsOnly}` };
        const status = await send({ port, method, path, headers, body: bodyFor(path) });
        if (!speaksRpc(said)) expect([400, 403, 415, 421]).toContain(status);
        expectNothingRan();
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  test.each(["x-dragoman-subject", "x-cgn-subject"])("%s is refused, with a good key too", async (name) => {
    const headers = { ...json, authorization: `Bearer ${good}`, [name]: "admin" };
    expect(await send({ port: "data", method: "POST", path: "/v1/chat/completions", headers, body: bodyFor("/v1/chat/completions") })).toBe(
      400,
    );
    expectNothingRan();
  });
});
