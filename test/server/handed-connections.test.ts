/** A port whose connections another process accepts, and what it does when its process is replaced. */
import { readFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net from "node:net";
import { afterEach, expect, test } from "vitest";
import type { ConnectionSource } from "../../src/core/connection-source.ts";
import { silentLog } from "../../src/core/log.ts";
import type { NodeHandler } from "../../src/core/node-handler.ts";
import { createOnePort, type OnePort, type TlsFiles } from "../../src/server/one-port.ts";
import { serverLimits } from "../rpc/fake-gateway.ts";

const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const tlsFiles: TlsFiles = {
  cert: readFileSync(new URL("../fixtures/tls/certificate.pem", import.meta.url)),
  key: readFileSync(new URL("../fixtures/tls/key.pem", import.meta.url)),
};

const answer: NodeHandler = (request, response) => {
  const text = `served over ${request.httpVersion}`;
  if ("stream" in response) response.writeHead(200).end(text);
  else response.writeHead(200).end(text);
};

/** The accepting half is a server of this process that hands its sockets on unread. */
async function open(tls?: TlsFiles): Promise<{ readonly port: OnePort; readonly number: number; readonly isOpen: () => boolean }> {
  let take: ((socket: net.Socket) => void) | undefined;
  const acceptor = net.createServer({ allowHalfOpen: true }, (socket) => {
    if (take === undefined) socket.destroy();
    else take(socket);
  });
  await new Promise<void>((resolve) => acceptor.listen(0, "127.0.0.1", resolve));
  const address = acceptor.address() as net.AddressInfo;
  const source: ConnectionSource = {
    address,
    open: (given) => (take = given),
    close: async () => (take = undefined),
  };
  const port = createOnePort({ handler: answer, limits: serverLimits, tls, source, log: silentLog });
  closers.push(() => {
    port.cut();
    void port.close();
    acceptor.close();
  });
  expect(await port.listen("ignored", 1)).toEqual(address);
  return { port, number: address.port, isOpen: () => take !== undefined };
}

function get(
  number: number,
  agent: http.Agent | false = false,
): Promise<{ readonly body: string; readonly connection: string | undefined }> {
  return new Promise((resolve, reject) => {
    const request = http.get({ port: number, host: "127.0.0.1", agent }, (response) => {
      let body = "";
      response.on("data", (piece) => (body += piece));
      response.on("end", () => resolve({ body, connection: response.headers.connection }));
    });
    request.on("error", reject);
  });
}

function ask(session: http2.ClientHttp2Session): Promise<string> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":path": "/" });
    let body = "";
    stream.on("data", (piece) => (body += piece));
    stream.on("end", () => resolve(body));
    stream.on("error", reject);
  });
}

test("HTTP/1.1 and h2c are told apart on connections that were handed over", async () => {
  const { number } = await open();
  expect((await get(number)).body).toBe("served over 1.1");
  const session = http2.connect(`http://127.0.0.1:${number}`);
  expect(await ask(session)).toBe("served over 2.0");
  session.close();
});

test("TLS ends here, not where the connection was accepted", async () => {
  const { number } = await open(tlsFiles);
  const body = await new Promise<string>((resolve, reject) => {
    const request = https.get({ port: number, host: "127.0.0.1", rejectUnauthorized: false, agent: false }, (response) => {
      response.setEncoding("utf8").once("data", resolve);
    });
    request.on("error", reject);
  });
  expect(body).toBe("served over 1.1");
});

test("a retired port serves what its clients still ask, and asks them to go", async () => {
  const { port, number, isOpen } = await open();
  const agent = new http.Agent({ keepAlive: true });
  closers.push(() => agent.destroy());
  expect((await get(number, agent)).connection).toBe("keep-alive");
  const session = http2.connect(`http://127.0.0.1:${number}`);
  session.on("error", () => {});
  expect(await ask(session)).toBe("served over 2.0");

  const toldToGo = new Promise<number | undefined>((resolve) => session.once("goaway", (_code, last) => resolve(last)));
  await port.retire();
  expect(isOpen()).toBe(false);
  expect(await toldToGo).toBe(2 ** 31 - 1);
  expect(await get(number, agent)).toEqual({ body: "served over 1.1", connection: "close" });
});

test("close resolves when the last connection has ended", async () => {
  const { port, number, isOpen } = await open();
  const client = net.connect(number, "127.0.0.1");
  client.on("error", () => {});
  client.write("GET / HTTP/1.1\r\n"); // an unfinished request is not idle
  await new Promise<void>((resolve) => client.once("connect", resolve));
  await get(number);
  let closed = false;
  const closing = port.close().then(() => (closed = true));
  await get(number).catch(() => undefined);
  expect([isOpen(), closed]).toEqual([false, false]);
  client.destroy();
  await closing;
});
