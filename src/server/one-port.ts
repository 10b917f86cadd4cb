/**
 * One TCP port for HTTP/1.1 (SDKs, browsers) and HTTP/2 (gRPC). In plaintext the first bytes decide, with TLS the
 * handshake (ALPN); the socket is then given to an http or an http2 server that never listens itself, so that limits
 * and shutdown are the same either way.
 *
 * What is easy to get wrong, each seen to fail:
 * - Bytes must be read and unshifted before `emit("connection")`; peeking with a "data" listener ends calls with RST_STREAM 2.
 * - An http.Server that never listens enforces no timeout, and closeIdleConnections() does nothing, until it has seen
 *   a "listening" event.
 * - http.Server accepts with allowHalfOpen and noDelay; a plain net.Server does not, and then a client that
 *   half-closes after its request gets no answer.
 */
import http from "node:http";
import http2 from "node:http2";
import net from "node:net";
import tls from "node:tls";
import type { ConnectionSource } from "../core/connection-source.ts";
import type { Logger } from "../core/log.ts";
import type { NodeHandler } from "../core/node-handler.ts";
import { limitSession, spread } from "./h2-session.ts";
import { answerClientError } from "./http1-errors.ts";
import type { ServerLimits } from "./limits.ts";

export interface TlsFiles {
  /** PEM, the whole chain. */
  readonly cert: string | Buffer;
  /** PEM. */
  readonly key: string | Buffer;
  /** PEM of the authorities whose client certificates are asked for; who shows none is still served. */
  readonly clientCa?: string | Buffer | undefined;
}

export interface OnePortOptions {
  readonly handler: NodeHandler;
  readonly limits: ServerLimits;
  readonly tls?: TlsFiles | undefined;
  /** Where connections come from if another process has bound the port. */
  readonly source?: ConnectionSource | undefined;
  readonly log: Logger;
}

export interface OnePort {
  /**
   * Resolves with the bound address, so that port 0 can be asked for. Rejects with Node's error (EADDRINUSE, EACCES). With a
   * source host and port are its own.
   */
  listen(host: string, port: number): Promise<net.AddressInfo>;
  /**
   * Stops accepting, while others accept for this port; clients are asked to take their next request elsewhere (GOAWAY,
   * `Connection: close`), and what they send nevertheless is served. Before close(), so that no request meets a closing
   * connection.
   */
  retire(): Promise<void>;
  /** Stops accepting, sends GOAWAY, closes idle connections. Resolves when the last running exchange has ended. */
  close(): Promise<void>;
  /** Cuts every connection. */
  cut(): void;
}

/** The first line of the HTTP/2 preface (RFC 9113 section 3.4); no HTTP/1.1 request can begin with it. */
const preface = Buffer.from("PRI * HTTP/2.0\r\n");
/** A GOAWAY that refuses no stream: the client learns that it should go before it has to (RFC 9113 section 6.8). */
const anyStream = 2 ** 31 - 1;
/** Header lists are measured by HPACK with 32 bytes per field more (RFC 9113 section 10.5.1). */
const hpackFieldBytes = 32;
/** Beyond the limits there is room for a refusal in words; beyond this room the stream is reset. */
const roomForRefusal = 28;

export function createOnePort({ handler, limits, tls: files, source, log }: OnePortOptions): OnePort {
  let closing = false;
  let retired = false;
  /** Called when the last connection ends. */
  let onEmpty = (): void => {};
  const sockets = new Set<net.Socket>();
  const perAddress = new Map<string, number>();
  const sessions = new Set<http2.ServerHttp2Session>();
  /** HTTP/1.1 connections whose time is up: the next answer on them is the last. */
  const aged = new WeakSet<object>();
  /** The newest answer per HTTP/1.1 connection. */
  const answers = new WeakMap<object, http.ServerResponse>();

  const h1 = createHttp1();
  const h2 = createHttp2();
  const listener = files === undefined ? net.createServer({ allowHalfOpen: true, noDelay: true }, detect) : createTlsListener(files);
  listener.maxConnections = limits.connections;
  // With TLS this is the raw connection, before the handshake.
  listener.on("connection", track);

  return {
    listen(host, port) {
      if (source !== undefined) {
        source.open(takeOver);
        return Promise.resolve(source.address);
      }
      return new Promise((resolve, reject) => {
        listener.once("error", reject);
        listener.listen(port, host, () => {
          listener.off("error", reject);
          listener.on("error", (error) => log.warn("a connection could not be accepted", { error: error.message }));
          resolve(listener.address() as net.AddressInfo);
        });
      });
    },

    async retire() {
      retired = true;
      await source?.close();
      for (const session of sessions) session.goaway(http2.constants.NGHTTP2_NO_ERROR, anyStream);
    },

    async close() {
      closing = true;
      const closed =
        source === undefined ? new Promise<void>((resolve) => listener.close(() => resolve())) : source.close().then(untilEmpty);
      for (const session of sessions) session.close();
      h1.closeIdleConnections();
      // A connection that was busy when closing began turns idle later.
      const sweep = setInterval(() => h1.closeIdleConnections(), 50);
      await closed;
      clearInterval(sweep);
      h1.close(); // stops its own timer; it never listened, so there is no callback to wait for
      h2.close();
    },

    cut() {
      for (const socket of sockets) socket.destroy();
    },
  };

  function createHttp1(): http.Server {
    const server = http.createServer(
      {
        // Node counts the request line too.
        maxHeaderSize: limits.headerBytes + limits.urlBytes,
        headersTimeout: limits.headerTimeoutMs,
        requestTimeout: limits.headerTimeoutMs + limits.bodyTimeoutMs,
        keepAliveTimeout: limits.idleTimeoutMs,
        connectionsCheckingInterval: Math.min(5_000, Math.max(10, limits.headerTimeoutMs / 4)),
      },
      (request, response) => {
        answers.set(request.socket, response);
        if (closing || retired || aged.has(request.socket)) response.shouldKeepAlive = false; // answers with Connection: close
        handler(request, response);
      },
    );
    // One more than allowed, so that too many are seen and refused rather than cut off in silence.
    server.maxHeadersCount = limits.headerFields + 1;
    server.on("clientError", (error, socket) => {
      const answer = answers.get(socket);
      answerClientError(error, socket, answer?.headersSent === true && !answer.writableFinished);
    });
    server.emit("listening"); // arms the timeouts and the list behind closeIdleConnections()
    return server;
  }

  function createHttp2(): http2.Http2Server {
    const server = http2.createServer(
      {
        settings: {
          maxConcurrentStreams: limits.h2Streams,
          initialWindowSize: limits.h2StreamWindowBytes,
          enablePush: false,
          maxHeaderListSize: limits.headerBytes + limits.urlBytes + hpackFieldBytes * (limits.headerFields + roomForRefusal),
        },
        maxHeaderListPairs: limits.headerFields + roomForRefusal,
        maxSessionInvalidFrames: 100,
        maxSessionMemory: 64, // megabytes: one buffer of 16 KiB for each of 1,000 streams, four times
      },
      handler,
    );
    server.on("session", (session) => {
      sessions.add(session);
      session.once("close", () => sessions.delete(session));
      limitSession(session, limits, log);
      if (closing) session.close();
    });
    // One peer's protocol error; its session is already gone.
    server.on("sessionError", (error) => log.debug("an HTTP/2 connection failed", { error: error.message }));
    return server;
  }

  function createTlsListener({ cert, key, clientCa }: TlsFiles): tls.Server {
    const server = tls.createServer({
      cert,
      key,
      minVersion: "TLSv1.2",
      ALPNProtocols: ["h2", "http/1.1"],
      handshakeTimeout: limits.headerTimeoutMs,
      noDelay: true,
      // A certificate that is not of these authorities says nothing; the caller then needs a key as everybody else.
      ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false }),
    });
    server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      if (socket.alpnProtocol === "h2") h2.emit("connection", socket);
      else startHttp1(socket);
    });
    server.on("tlsClientError", (error) => log.debug("a TLS handshake failed", { error: error.message }));
    return server;
  }

  /** What the listener does with what it accepts itself. */
  function takeOver(socket: net.Socket): void {
    if (sockets.size >= limits.connections) {
      socket.destroy();
      return;
    }
    if (files === undefined) socket.allowHalfOpen = true;
    socket.setNoDelay(true);
    listener.emit("connection", socket);
  }

  function untilEmpty(): Promise<void> {
    return new Promise((resolve) => {
      onEmpty = resolve;
      if (sockets.size === 0) resolve();
    });
  }

  function track(socket: net.Socket): void {
    const address = socket.remoteAddress ?? "";
    const count = (perAddress.get(address) ?? 0) + 1;
    if (count > (limits.connectionsPerAddress ?? Number.POSITIVE_INFINITY)) {
      socket.destroy();
      return;
    }
    perAddress.set(address, count);
    sockets.add(socket);
    socket.once("close", () => {
      sockets.delete(socket);
      if (sockets.size === 0) onEmpty();
      const left = (perAddress.get(address) ?? 1) - 1;
      if (left === 0) perAddress.delete(address);
      else perAddress.set(address, left);
    });
    socket.on("error", () => socket.destroy()); // resets before and after the hand-over
  }

  function startHttp1(socket: net.Socket): void {
    const age = setTimeout(() => aged.add(socket), spread(limits.connectionAgeMs));
    age.unref();
    socket.once("close", () => clearTimeout(age));
    h1.emit("connection", socket);
  }

  /** Reads until the protocol is certain (a single byte usually decides), then hands the socket over. */
  function detect(socket: net.Socket): void {
    let head = Buffer.alloc(0);
    const timer = setTimeout(() => socket.destroy(), limits.headerTimeoutMs);
    socket.once("close", () => clearTimeout(timer));
    socket.on("readable", onReadable);
    socket.once("end", onEnd);

    function onReadable(): void {
      const bytes: Buffer | null = socket.read();
      if (bytes === null) return;
      head = Buffer.concat([head, bytes]);
      const length = Math.min(head.length, preface.length);
      const matches = head.subarray(0, length).equals(preface.subarray(0, length));
      if (matches && length < preface.length) return; // "PRI * HT": wait for the rest
      clearTimeout(timer);
      socket.off("readable", onReadable);
      socket.off("end", onEnd);
      // Node's HTTP/1.1 parser knows this method too, and then waits for ever for the rest of a preface.
      if (!matches && head.subarray(0, 4).equals(preface.subarray(0, 4))) {
        answerClientError(new Error("not an HTTP/2 preface"), socket, false);
        return;
      }
      socket.unshift(head);
      if (!matches) {
        startHttp1(socket);
        return;
      }
      socket.allowHalfOpen = false; // as http2's own listener accepts
      h2.emit("connection", socket);
    }

    function onEnd(): void {
      socket.destroy(); // closed before it said anything (a TCP health check)
    }
  }
}
