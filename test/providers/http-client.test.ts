import { once } from "node:events";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { GatewayError } from "../../src/core/error.ts";
import { HttpClient, type HttpReply } from "../../src/providers/http-client.ts";
import type { HttpTimeouts } from "../../src/providers/http-limits.ts";
import { openBody, readErrorText, readText } from "../../src/providers/http-reply.ts";
import { startServer, until } from "./local-server.ts";

function open(origin: string, timeouts: Partial<HttpTimeouts> = {}, poolSize = 4): HttpClient {
  const client = new HttpClient({ origin: new URL(origin), allowPrivate: true, timeouts, poolSize });
  onTestFinished(() => client.close());
  return client;
}

function send(client: HttpClient, { signal = new AbortController().signal, whole = false, path = "/" } = {}): Promise<HttpReply> {
  return client.send({ method: "POST", path, headers: { "content-type": "application/json" }, body: "{}", signal, whole });
}

async function drainText(reply: HttpReply): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of reply.body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

/** A server that speaks bytes, for answers that node:http would not send. */
async function startRaw(onRequest: (socket: Socket) => void): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => onRequest(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("HttpClient", () => {
  test("gives status, headers and bytes, and uses sockets again", async () => {
    const server = await startServer((_request, response) => {
      response.setHeader("x-request-id", "r1");
      response.end("hello");
    });
    const client = open(server.origin);
    for (let round = 0; round < 6; round++) {
      const reply = await send(client);
      expect(reply.status).toBe(200);
      expect(reply.header("x-request-id")).toBe("r1");
      expect(await drainText(reply)).toBe("hello");
    }
    // A socket is free one turn after its answer ended, so that the next request may open a second one.
    expect(server.sockets.length).toBeLessThanOrEqual(2);
  });

  test("pauses the upstream while nobody reads", async () => {
    const total = 64 << 20;
    const server = await startServer(async (_request, response) => {
      const chunk = Buffer.alloc(64 << 10, "x");
      for (let sent = 0; sent < total && !response.destroyed; sent += chunk.length) {
        if (!response.write(chunk)) await once(response, "drain").catch(() => {});
      }
      response.end();
    });
    const reply = await send(open(server.origin));
    await reply.body.next();
    await new Promise((resolve) => setTimeout(resolve, 300));
    const written = server.sockets[0]?.bytesWritten ?? 0;
    // What the kernel's own buffers hold on both sides comes on top of what the client queues.
    expect(written).toBeLessThan(total / 4);
    let received = 0;
    for await (const chunk of reply.body) received += chunk.length;
    expect(received).toBeGreaterThan(total - (1 << 20));
  });

  test("an abort closes the socket at once, before and after the answer began", async () => {
    for (const begun of [false, true]) {
      const server = await startServer((_request, response) => {
        if (begun) response.write("data: 1\n\n");
      });
      const stop = new AbortController();
      const client = open(server.origin);
      const sent = send(client, { signal: stop.signal });
      if (begun) await (await sent).body.next();
      else await until(() => server.seen.length === 1);
      const reason = new GatewayError("cancelled", "the client went away");
      const waiting = begun ? (await sent).body.next() : sent;
      const rejected = expect(waiting).rejects.toBe(reason);
      stop.abort(reason);
      await rejected;
      await until(() => server.sockets[0]?.destroyed === true, 2_000);
    }
  });

  test("leaving the loop closes the socket", async () => {
    const server = await startServer((_request, response) => {
      response.write("data: 1\n\n");
    });
    for await (const _ of (await send(open(server.origin))).body) break;
    await until(() => server.sockets[0]?.destroyed === true, 2_000);
  });

  test("drain lets a little rest pass and keeps the socket", async () => {
    const server = await startServer((_request, response) => {
      response.write("data: [DONE]\n\n");
      setTimeout(() => response.end(), 20);
    });
    const client = open(server.origin);
    const reply = await send(client);
    await reply.body.next();
    reply.body.drain();
    await new Promise((resolve) => setTimeout(resolve, 100));
    await drainText(await send(client));
    expect(server.sockets).toHaveLength(1);
  });

  test("drain gives the socket up where the upstream does not end", async () => {
    const server = await startServer((_request, response) => {
      response.write("data: [DONE]\n\n");
    });
    const reply = await send(open(server.origin));
    await reply.body.next();
    reply.body.drain();
    await until(() => server.sockets[0]?.destroyed === true, 3_000);
  });

  test("a request that waits for a socket can be given up, and is never sent", async () => {
    const server = await startServer((_request, response) => {
      response.write("data: 1\n\n");
    });
    const client = open(server.origin, {}, 1);
    const first = await send(client);
    const stop = new AbortController();
    const second = send(client, { signal: stop.signal, path: "/second" });
    const rejected = expect(second).rejects.toMatchObject({ reason: "cancelled" });
    stop.abort();
    await rejected;
    await first.body.return();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(server.seen.map(({ url }) => url)).toEqual(["/"]);
  });
});

describe("timeouts", () => {
  test("silence before the first byte", async () => {
    const server = await startServer(() => {});
    await expect(send(open(server.origin, { firstByteMs: 80 }))).rejects.toMatchObject({
      reason: "timeout",
      retryable: true,
      message: `${server.origin} did not begin its answer within 80 ms`,
    });
    await until(() => server.sockets[0]?.destroyed === true);
  });

  test("headers alone are no first byte of a stream", async () => {
    const server = await startServer((_request, response) => response.flushHeaders());
    const reply = await send(open(server.origin, { firstByteMs: 80 }));
    await expect(reply.body.next()).rejects.toMatchObject({ reason: "timeout" });
  });

  test("a whole answer may take longer than the first byte of a stream", async () => {
    const server = await startServer((_request, response) => {
      setTimeout(() => response.end("{}"), 200);
    });
    expect(await drainText(await send(open(server.origin, { firstByteMs: 50 }), { whole: true }))).toBe("{}");
  });

  test("silence in the middle", async () => {
    const server = await startServer((_request, response) => {
      response.write("data: 1\n\n");
    });
    const reply = await send(open(server.origin, { idleMs: 80 }));
    await reply.body.next();
    await expect(reply.body.next()).rejects.toMatchObject({ reason: "timeout", message: expect.stringContaining("silent for 80 ms") });
    await until(() => server.sockets[0]?.destroyed === true);
  });

  test("a slow reader is not the upstream's silence", async () => {
    const server = await startServer((_request, response) => {
      response.end(Buffer.alloc(4 << 20));
    });
    const reply = await send(open(server.origin, { idleMs: 60 }));
    await reply.body.next();
    await new Promise((resolve) => setTimeout(resolve, 250));
    let received = 0;
    for await (const chunk of reply.body) received += chunk.length;
    expect(received).toBeGreaterThan(3 << 20);
  });

  test("the total holds for an upstream that drips", async () => {
    const server = await startServer((_request, response) => {
      const timer = setInterval(() => response.write("."), 10);
      response.on("close", () => clearInterval(timer));
    });
    const reply = await send(open(server.origin, { totalMs: 150 }));
    await expect(drainText(reply)).rejects.toMatchObject({ reason: "timeout", message: expect.stringContaining("within 150 ms") });
  });

  test("no free socket in time is known to have sent nothing", async () => {
    const server = await startServer((_request, response) => {
      response.write(".");
    });
    const client = open(server.origin, { firstByteMs: 80, idleMs: 5_000 }, 1);
    await (await send(client)).body.next();
    await expect(send(client)).rejects.toMatchObject({ reason: "timeout", details: { undispatched: true } });
  });
});

describe("transport failures", () => {
  test("connection refused", async () => {
    const server = await startServer(() => {});
    server.server.close();
    await expect(send(open(server.origin))).rejects.toMatchObject({
      reason: "provider_error",
      retryable: true,
      message: `cannot connect to ${server.origin}: the connection was refused`,
      details: { undispatched: true },
    });
  });

  test("reset in the middle: what came is given first", async () => {
    const server = await startServer((_request, response) => {
      response.write("data: 1\n\n", () => setTimeout(() => response.socket?.resetAndDestroy(), 20));
    });
    const reply = await send(open(server.origin));
    expect(Buffer.from((await reply.body.next()).value ?? []).toString()).toBe("data: 1\n\n");
    await expect(reply.body.next()).rejects.toMatchObject({
      reason: "provider_error",
      message: `${server.origin} broke the connection off`,
    });
  });

  test.each([
    ["not HTTP at all", "SSH-2.0-OpenSSH\r\n"],
    ["a chunk size that is none", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc"],
    ["fewer bytes than announced", "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc"],
    ["a flood of 1xx", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100)],
  ])("%s is a provider error", async (_what, bytes) => {
    const origin = await startRaw((socket) => socket.end(bytes));
    await expect(send(open(origin, { totalMs: 3_000 })).then(drainText)).rejects.toMatchObject({ reason: "provider_error" });
  });

  test("TLS with a plain server", async () => {
    const origin = await startRaw((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    await expect(send(open(origin.replace("http:", "https:")))).rejects.toMatchObject({
      reason: "provider_error",
      message: expect.stringContaining("upstream_tls"),
      details: { undispatched: true },
    });
  });

  test("a TLS handshake that never comes", async () => {
    const origin = await startRaw(() => {});
    await expect(send(open(origin.replace("http:", "https:"), { tlsMs: 80 }))).rejects.toMatchObject({ reason: "timeout" });
  });
});

describe("compression", () => {
  async function answered(encoding: string, body: Buffer): Promise<{ reply: HttpReply; origin: string }> {
    const server = await startServer((_request, response) => {
      response.writeHead(200, { "content-type": "application/json", "content-encoding": encoding });
      response.end(body);
    });
    return { reply: await send(open(server.origin), { whole: true }), origin: server.origin };
  }

  test.each([
    ["gzip", gzipSync],
    ["zstd", zstdCompressSync],
  ])("%s that was not asked for is read", async (encoding, compress) => {
    const { reply, origin } = await answered(encoding, compress(Buffer.from('{"a":1}')));
    expect(await readText(reply, origin)).toBe('{"a":1}');
  });

  test("a bomb is refused before it is unpacked", async () => {
    const { reply, origin } = await answered("gzip", gzipSync(Buffer.alloc(200 << 20)));
    await expect(readText(reply, origin, 1 << 30)).rejects.toMatchObject({
      reason: "provider_error",
      message: expect.stringContaining("100 times"),
    });
  });

  test.each(["gzip, gzip", "sdch", "__proto__"])("the encoding %s is refused", async (encoding) => {
    const { reply, origin } = await answered(encoding, Buffer.from("x"));
    expect(() => openBody(reply, origin)).toThrow(GatewayError);
  });

  test("broken data is a provider error", async () => {
    const { reply, origin } = await answered("gzip", Buffer.from("no gzip"));
    await expect(readText(reply, origin)).rejects.toMatchObject({ reason: "provider_error" });
  });
});

describe("reading whole answers", () => {
  test("too long, announced or not", async () => {
    for (const announced of [true, false]) {
      const server = await startServer((_request, response) => {
        if (announced) response.setHeader("content-length", 2_000);
        response.end("x".repeat(2_000));
      });
      const reply = await send(open(server.origin), { whole: true });
      await expect(readText(reply, server.origin, 1_000)).rejects.toMatchObject({ reason: "provider_error" });
    }
  });

  test("what is not UTF-8", async () => {
    const server = await startServer((_request, response) => {
      response.end(Buffer.from([0xc3, 0x28]));
    });
    await expect(readText(await send(open(server.origin), { whole: true }), server.origin)).rejects.toMatchObject({
      reason: "provider_error",
    });
  });

  test("of an error only the beginning is read, and the rest is not waited for", async () => {
    const server = await startServer((_request, response) => {
      response.writeHead(500);
      const timer = setInterval(() => response.write("x".repeat(16 << 10)), 1);
      response.on("close", () => clearInterval(timer));
    });
    const text = await readErrorText(await send(open(server.origin)), server.origin);
    expect(text).toHaveLength(64 << 10);
    await until(() => server.sockets[0]?.destroyed === true);
  });

  test("of a broken error what came is kept", async () => {
    const server = await startServer((_request, response) => {
      response.writeHead(500, { "content-length": 100 });
      response.write("half", () => setTimeout(() => response.socket?.destroy(), 20));
    });
    expect(await readErrorText(await send(open(server.origin)), server.origin)).toBe("half");
  });
});
