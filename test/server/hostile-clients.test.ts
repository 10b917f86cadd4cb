/** Clients that are slow, silent or violent (reliability.md CL3, CL6, CL10, CL15, CL16). Times are scaled down. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import http2 from "node:http2";
import net from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { type FakeGateway, startGateway, stopAll, until } from "../rpc/fake-gateway.ts";
import { connectFrames, exchange, frame, literals, opening, parseAnswer } from "./raw-client.ts";

afterEach(stopAll);

const serves = async ({ url }: FakeGateway) => expect((await fetch(`${url}/healthz`)).status).toBe(200);
const requestHead = literals([
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/dragoman.v1.InferenceService/Complete"],
  [":authority", "a"],
  ["content-type", "application/grpc"],
]);
const goaway = 7;
const headers = 1;
const endHeaders = 4;
const endStream = 1;

describe("slow clients", () => {
  test("headers that never end are answered 408, and a silent connection is closed", async () => {
    const gateway = await startGateway({ limits: { headerTimeoutMs: 80 } });
    const slow = parseAnswer(await exchange(gateway.port, "GET / HTTP/1.1\r\nhost: a\r\n"));
    expect(slow.status).toBe(408);
    expect(JSON.parse(slow.body)).toMatchObject({ error: { code: null } });
    expect(await exchange(gateway.port, "PRI * HT")).toBe("");
    await serves(gateway);
  });

  test("a body that never ends is answered, over HTTP/1.1 and gRPC", async () => {
    const gateway = await startGateway({ limits: { headerTimeoutMs: 60, bodyTimeoutMs: 120 } });
    const head =
      "POST /dragoman.v1.InferenceService/Complete HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    expect(parseAnswer(await exchange(gateway.port, head)).status).toBe(408);

    const session = http2.connect(gateway.url);
    const stream = session.request({
      ":method": "POST",
      ":path": "/dragoman.v1.InferenceService/Complete",
      "content-type": "application/grpc",
    });
    // A length of 4 GiB less one, and then nothing.
    stream.write(Buffer.from([0, 0xff, 0xff, 0xff, 0xff]));
    const [sent] = (await once(stream, "trailers")) as [http2.IncomingHttpHeaders];
    expect(sent["grpc-status"]).toBe("8");
    session.destroy();

    const quiet = http2.connect(gateway.url);
    const unsent = quiet.request({
      ":method": "POST",
      ":path": "/dragoman.v1.InferenceService/Complete",
      "content-type": "application/grpc",
    });
    const [late] = (await once(unsent, "response")) as [http2.IncomingHttpHeaders];
    expect(late).toMatchObject({ "grpc-status": "3", "grpc-message": "the request's body did not arrive in time" });
    quiet.destroy();
    expect(gateway.calls).toEqual([]);
    await serves(gateway);
  });

  test("a client that never reads is reset, and its call stops", async () => {
    let written = 0;
    const gateway = await startGateway({
      limits: { http1WriteStallMs: 100, http2WriteStallMs: 100 },
      fallback: (_request, response) => {
        const chunk = Buffer.alloc(8_192, 0x20);
        const writable = response as ServerResponse; // HTTP/2 answers have the same write
        const pump = () => {
          while (written < 400 << 20 && !writable.destroyed) {
            written += chunk.length;
            if (!writable.write(chunk)) return void writable.once("drain", pump);
          }
        };
        pump();
      },
    });
    const h1 = net.connect(gateway.port, "127.0.0.1", () => h1.write("GET /big HTTP/1.1\r\nhost: a\r\n\r\n"));
    h1.pause();
    h1.on("error", () => {});
    await until(() => gateway.log.some(({ message }) => message.includes("stopped reading")), "the HTTP/1.1 reset");
    expect(written).toBeLessThan(64 << 20);
    h1.destroy();

    written = 0;
    const { socket, frames } = connectFrames(gateway.port);
    const path = literals([
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/big"],
      [":authority", "a"],
    ]);
    socket.write(Buffer.concat([opening, frame(headers, endHeaders | endStream, 1, path)]));
    const reset = 3;
    await until(() => frames.some(({ type, stream }) => type === reset && stream === 1), "the HTTP/2 reset");
    expect(written).toBeLessThan(1 << 20);
    socket.destroy();
    await serves(gateway);
  });

  test("an idle connection ends, HTTP/2 by GOAWAY, but not while a stream waits for its upstream", async () => {
    const gateway = await startGateway({
      limits: { idleTimeoutMs: 60 },
      fallback: (_request, response) => void setTimeout(() => (response as ServerResponse).end("late"), 200),
    });
    const session = http2.connect(gateway.url);
    const stream = session.request({ ":path": "/slow" });
    stream.setEncoding("utf8");
    const [text] = (await once(stream, "data")) as [string];
    expect(text).toBe("late");
    await once(session, "goaway");
    await once(session, "close");
    // Node allows a second more than it tells HTTP/1.1 clients.
    await exchange(gateway.port, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
  });

  test("an old HTTP/1.1 connection ends with its next answer", async () => {
    const gateway = await startGateway({ limits: { connectionAgeMs: 40 } });
    const socket = net.connect(gateway.port, "127.0.0.1");
    socket.setEncoding("latin1");
    const ask = async () => {
      socket.write("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n");
      const [answer] = (await once(socket, "data")) as [string];
      return answer.toLowerCase();
    };
    expect(await ask()).toContain("connection: keep-alive");
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(await ask()).toContain("connection: close");
    socket.destroy();
  });

  test("an old connection is asked to end, running streams finish", async () => {
    const release = Promise.withResolvers<void>();
    const gateway = await startGateway({
      limits: { connectionAgeMs: 60 },
      fallback: (_request, response) =>
        void release.promise.then(() => ("stream" in response ? response.stream.end("done") : response.end("done"))),
    });
    const session = http2.connect(gateway.url);
    const stream = session.request({ ":path": "/slow" });
    stream.setEncoding("utf8");
    await once(session, "goaway");
    release.resolve();
    const [text] = (await once(stream, "data")) as [string];
    expect(text).toBe("done");
  });

  test("a client that vanished without a word is noticed", async () => {
    const gateway = await startGateway({ limits: { pingIntervalMs: 40 }, fallback: () => {} });
    const { socket, closed } = connectFrames(gateway.port);
    const path = literals([
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/wait"],
      [":authority", "a"],
    ]);
    // It answers no PING, as a dead peer would.
    socket.write(Buffer.concat([opening, frame(headers, endHeaders | endStream, 1, path)]));
    await closed;
  });
});

describe("violent clients", () => {
  test("rapid resets end the connection with GOAWAY, and only that one", async () => {
    const gateway = await startGateway();
    const { socket, frames, closed } = connectFrames(gateway.port);
    const resets: Buffer[] = [opening];
    for (let stream = 1; stream < 600; stream += 2) {
      resets.push(frame(headers, endHeaders, stream, requestHead), frame(3, 0, stream, Buffer.from([0, 0, 0, 8])));
    }
    socket.write(Buffer.concat(resets));
    await closed;
    expect(frames.some(({ type }) => type === goaway)).toBe(true);
    await serves(gateway);
  });

  test("a hundred cancelled calls are no attack", async () => {
    const gateway = await startGateway({ fallback: () => {} });
    const session = http2.connect(gateway.url);
    for (let count = 0; count < 90; count++) {
      const stream = session.request({ ":path": "/wait" });
      stream.on("error", () => {});
      stream.close(http2.constants.NGHTTP2_CANCEL);
      await once(stream, "close");
    }
    const stream = session.request({ ":path": "/healthz" });
    const [sent] = (await once(stream, "response")) as [http2.IncomingHttpHeaders];
    expect(sent[":status"]).toBe(200);
    session.destroy();
  });

  test.each([
    ["a frame that is too large", frame(0, 0, 1, Buffer.alloc(20_000))],
    ["junk where header fields belong", frame(headers, endHeaders | endStream, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))],
    ["data on a stream that is not open", frame(0, 0, 99, Buffer.from("x"))],
    ["a window that overflows", Buffer.concat([frame(8, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))])],
    ["settings of a wrong length", frame(4, 0, 0, Buffer.alloc(5))],
  ])("%s", async (_name, bytes) => {
    const gateway = await startGateway();
    const { socket, closed } = connectFrames(gateway.port);
    socket.write(Buffer.concat([opening, bytes]));
    await closed;
    await serves(gateway);
    expect(gateway.log.filter(({ level }) => level === "error")).toEqual([]);
  });

  test("more connections than allowed are closed as they come", async () => {
    const gateway = await startGateway({ limits: { connectionsPerAddress: 2 } });
    const first = [net.connect(gateway.port, "127.0.0.1"), net.connect(gateway.port, "127.0.0.1")];
    await Promise.all(first.map((socket) => once(socket, "connect")));
    expect(await exchange(gateway.port, "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n")).toBe("");
    for (const socket of first) socket.destroy();
    await until(() => first.every((socket) => socket.closed), "the end of the first");
    await new Promise((resolve) => setTimeout(resolve, 20));
    await serves(gateway);
  });
});
