/** One port for both protocols, TLS, start, drain, health and CORS. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import { deltaEvent, startedEvent } from "../../src/core/event.ts";
import { HealthTable, ServingStatus } from "../../src/rpc/health-table.ts";
import { createServer } from "../../src/server/server.ts";
import { ask, memoryLog, serverLimits, startGateway, stopAll, until } from "../rpc/fake-gateway.ts";

afterEach(stopAll);

describe("one port", () => {
  test("takes HTTP/1.1 and HTTP/2 with prior knowledge", async () => {
    const { url } = await startGateway();
    expect(await (await fetch(`${url}/healthz`)).text()).toBe("OK");
    expect((await createClient(InferenceService, createGrpcTransport({ baseUrl: url })).listModels({})).models).toHaveLength(1);
  });

  test("a preface that arrives byte by byte is one too", async () => {
    const { port } = await startGateway();
    const socket = net.connect(port, "127.0.0.1");
    socket.setNoDelay(true);
    for (const byte of "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0") {
      socket.write(byte);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const settings = await new Promise<Buffer>((resolve) => socket.once("data", resolve));
    expect(settings[3]).toBe(4);
    socket.destroy();
  });

  test("a client that closes its half after the request still gets its answer", async () => {
    const { port } = await startGateway();
    const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    socket.end("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
    const answer = await new Promise<string>((resolve) => socket.setEncoding("utf8").once("data", resolve));
    expect(answer).toContain("200 OK");
    socket.destroy();
  });

  test("an address in use is Node's error, and nothing listens then", async () => {
    const { port } = await startGateway();
    const taken = { host: "127.0.0.1", port, handler: () => {} };
    const free = { host: "127.0.0.1", port: 0, handler: () => {} };
    const shared = {
      limits: serverLimits,
      inboundHeaders: [],
      drain: { noticeMs: 0, graceMs: 0 },
      health: new HealthTable(),
      log: memoryLog([]),
    };
    await expect(createServer({ ...shared, data: taken }).listen()).rejects.toMatchObject({ code: "EADDRINUSE", port });
    const half = createServer({ ...shared, data: free, admin: taken });
    await expect(half.listen()).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});

describe("TLS", () => {
  let files: { cert: Buffer; key: Buffer };
  beforeAll(() => {
    const folder = mkdtempSync(join(tmpdir(), "dragoman-tls-"));
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const args = [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=localhost",
    ];
    execFileSync("openssl", [...args, "-keyout", key, "-out", cert], { stdio: "ignore" });
    files = { cert: readFileSync(cert), key: readFileSync(key) };
    rmSync(folder, { recursive: true });
  });

  test("ALPN chooses: HTTP/1.1 for one client, gRPC for the other", async () => {
    const { url } = await startGateway({ tls: files });
    const body = await new Promise<string>((resolve, reject) => {
      const request = https.get(`${url}/healthz`, { rejectUnauthorized: false }, (response) => {
        response.setEncoding("utf8").once("data", (text: string) => resolve(`HTTP/${response.httpVersion} ${text}`));
      });
      request.on("error", reject);
    });
    expect(body).toBe("HTTP/1.1 OK");
    const client = createClient(InferenceService, createGrpcTransport({ baseUrl: url, nodeOptions: { rejectUnauthorized: false } }));
    let text = "";
    for await (const { event } of client.generate(ask("over TLS"))) {
      if (event.case === "blockDelta" && event.value.delta.case === "text") text += event.value.delta.value;
    }
    expect(text).toBe("over TLS");
  });

  test("nothing below TLS 1.2, and a broken handshake harms nobody", async () => {
    const gateway = await startGateway({ tls: files });
    const old = new Promise((_resolve, reject) => {
      https
        .get(`${gateway.url}/healthz`, {
          rejectUnauthorized: false,
          maxVersion: "TLSv1.1",
          minVersion: "TLSv1",
          ciphers: "DEFAULT@SECLEVEL=0",
        })
        .on("error", reject);
    });
    await expect(old).rejects.toThrow();
    const plain = net.connect(gateway.port, "127.0.0.1", () => plain.write("GET / HTTP/1.1\r\nhost: a\r\n\r\n"));
    plain.on("error", () => {});
    await new Promise((resolve) => plain.once("close", resolve));
    const session = http2.connect(gateway.url, { rejectUnauthorized: false });
    await new Promise((resolve) => session.once("connect", resolve));
    session.destroy();
    expect(gateway.log.filter(({ level }) => level === "error")).toEqual([]);
  });
});

describe("stopping", () => {
  /** Streams one token, then waits to be released or stopped. */
  function held() {
    const release = Promise.withResolvers<void>();
    return {
      release: () => release.resolve(),
      operations: {
        async *generate(_request: unknown, { signal }: { signal: AbortSignal }) {
          yield { events: [startedEvent({}), deltaEvent(0, 0, { case: "text", value: "one" })] };
          const stopped = new Promise<never>((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
          await Promise.race([release.promise, stopped]);
          yield { events: [deltaEvent(0, 0, { case: "text", value: "two" })] };
        },
      },
    };
  }

  test("P1: readiness goes off first, the port still takes calls, then running streams finish", async () => {
    const { release, operations } = held();
    const gateway = await startGateway({ operations, drain: { noticeMs: 150, graceMs: 5_000 } });
    const client = createClient(InferenceService, createGrpcTransport({ baseUrl: gateway.url }));
    const stream = client.generate(ask("x"))[Symbol.asyncIterator]();
    await stream.next();
    const health = createClient(Health, createGrpcTransport({ baseUrl: gateway.adminUrl }));
    let goaway = false;
    const watcher = http2.connect(gateway.url);
    watcher.on("goaway", () => {
      goaway = true;
    });
    watcher.on("error", () => {});

    const stopped = gateway.server.stop();
    const ready = await fetch(`${gateway.adminUrl}/readyz`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({ status: "draining" });
    expect((await health.check({})).status).toBe(ServingStatus.NOT_SERVING);
    expect((await fetch(`${gateway.url}/healthz`)).status).toBe(200);

    await until(() => goaway, "GOAWAY");
    await expect(fetch(`${gateway.url}/healthz`)).rejects.toThrow();
    expect((await fetch(`${gateway.adminUrl}/readyz`)).status, "the admin port answers to the end").toBe(503);
    await stream.next();
    release();
    const rest = [];
    for (let next = await stream.next(); !next.done; next = await stream.next()) rest.push(next.value.event.case);
    expect(rest).toEqual(["blockDelta"]);
    await stopped;
    await expect(fetch(`${gateway.adminUrl}/healthz`)).rejects.toThrow();
  });

  test("P1: what runs longer than the grace is told why and ends", async () => {
    const gateway = await startGateway({ operations: held().operations, drain: { noticeMs: 0, graceMs: 80 } });
    const client = createClient(InferenceService, createGrpcTransport({ baseUrl: gateway.url }));
    const reading = (async () => {
      for await (const _ of client.generate(ask("x")));
    })();
    await until(() => gateway.calls.length === 1, "the call");
    const stopped = gateway.server.stop();
    await expect(reading).rejects.toThrow(/unavailable.*shutting down/);
    await stopped;
  });

  test("P2: a second stop does not wait", async () => {
    const gateway = await startGateway({ operations: held().operations, drain: { noticeMs: 60_000, graceMs: 60_000 } });
    const client = createClient(InferenceService, createGrpcTransport({ baseUrl: gateway.url }));
    const reading = (async () => {
      for await (const _ of client.generate(ask("x")));
    })();
    await until(() => gateway.calls.length === 1, "the call");
    const begun = performance.now();
    void gateway.server.stop();
    await Promise.all([gateway.server.stop(), expect(reading).rejects.toThrow()]);
    expect(performance.now() - begun).toBeLessThan(3_000);
  });

  test("a watch and an idle keep-alive connection hold nothing up", async () => {
    const gateway = await startGateway({ drain: { noticeMs: 0, graceMs: 60_000 } });
    const watching = (async () => {
      for await (const _ of createClient(Health, createGrpcTransport({ baseUrl: gateway.url })).watch({}));
    })();
    await (await fetch(`${gateway.url}/healthz`)).text();
    const begun = performance.now();
    await gateway.server.stop();
    await watching;
    expect(performance.now() - begun).toBeLessThan(3_000);
  });
});

describe("health", () => {
  test("is plain, JSON by Accept, without a body for HEAD, and 405 for anything else", async () => {
    const { url, adminUrl } = await startGateway({ keys: ["k"] });
    for (const base of [url, adminUrl]) {
      const plain = await fetch(`${base}/healthz`);
      expect([plain.status, plain.headers.get("content-type"), await plain.text()]).toEqual([200, "text/plain; charset=utf-8", "OK"]);
      expect(await (await fetch(`${base}/healthz`, { headers: { accept: "application/json" } })).json()).toEqual({ status: "ok" });
      const head = await fetch(`${base}/healthz`, { method: "HEAD" });
      expect([head.status, head.headers.get("content-length"), await head.text()]).toEqual([200, "2", ""]);
      const post = await fetch(`${base}/healthz`, { method: "POST" });
      expect([post.status, post.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
      expect(await post.json()).toMatchObject({ error: { code: null, type: "invalid_request_error" } });
    }
  });

  test("readiness is told on the admin port only", async () => {
    const { url, adminUrl } = await startGateway();
    expect((await fetch(`${url}/readyz`)).status).toBe(404);
    expect(await (await fetch(`${adminUrl}/readyz`)).json()).toEqual({ status: "ready" });
    const nowhere = await fetch(`${adminUrl}/else`);
    expect([nowhere.status, nowhere.headers.get("x-dragoman-error-reason")]).toEqual([404, "route_not_found"]);
  });

  test.each([
    [{ away: ["targets"], unenforceable: [] }, 200, { status: "degraded", away: ["targets"] }],
    [{ away: ["x"], unenforceable: ["limits"] }, 503, { status: "unready", unenforceable: ["limits"] }],
  ])("%j", async (readiness, status, body) => {
    const { adminUrl } = await startGateway({ readiness });
    const answer = await fetch(`${adminUrl}/readyz`);
    expect([answer.status, await answer.json()]).toEqual([status, body]);
  });
});

describe("CORS", () => {
  const origin = "https://app.example";
  const preflight = (url: string, from: string) =>
    fetch(`${url}/dragoman.v1.InferenceService/Generate`, {
      method: "OPTIONS",
      headers: { origin: from, "access-control-request-method": "POST", "access-control-request-headers": "connect-protocol-version" },
    });

  test("a named origin may call", async () => {
    const { url } = await startGateway({ origins: [origin] });
    const allowed = await preflight(url, origin);
    expect(allowed.status).toBe(204);
    expect(allowed.headers.get("access-control-allow-origin")).toBe(origin);
    expect(allowed.headers.get("access-control-max-age")).toBe("600");
    expect(allowed.headers.get("access-control-allow-credentials")).toBeNull();
    const names = (allowed.headers.get("access-control-allow-headers") ?? "").split(", ");
    for (const name of [
      "connect-protocol-version",
      "x-grpc-web",
      "grpc-timeout",
      "x-user-agent",
      "authorization",
      "x-request-id",
      "x-dragoman-policy",
      "x-kagu-user-id",
    ]) {
      expect(names).toContain(name);
    }
    const answer = await fetch(`${url}/dragoman.v1.InferenceService/ListModels`, {
      method: "POST",
      headers: { origin, "content-type": "application/json" },
      body: "{}",
    });
    expect(answer.headers.get("access-control-allow-origin")).toBe(origin);
    expect(answer.headers.get("vary")).toBe("origin");
    const exposed = (answer.headers.get("access-control-expose-headers") ?? "").split(", ");
    for (const name of ["grpc-status", "grpc-status-details-bin", "x-request-id", "x-dragoman-translation"])
      expect(exposed).toContain(name);
  });

  test.each(["https://app.example.evil", "https://app.example:444", "http://app.example", "null"])("%s may not", async (foreign) => {
    const { url } = await startGateway({ origins: [origin] });
    const refused = await preflight(url, foreign);
    expect(refused.status).toBe(403);
    expect(refused.headers.get("access-control-allow-origin")).toBeNull();
    const answer = await fetch(`${url}/healthz`, { headers: { origin: foreign } });
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
  });

  test("is off without origins", async () => {
    const { url } = await startGateway();
    const answer = await preflight(url, origin);
    expect(answer.headers.get("access-control-allow-origin")).toBeNull();
    expect(answer.status).toBe(405);
  });
});
