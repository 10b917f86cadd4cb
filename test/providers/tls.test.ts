import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { Secret } from "../../src/core/secret.ts";
import { HttpClient } from "../../src/providers/http-client.ts";

const cert = readFileSync(new URL("../fixtures/tls/certificate.pem", import.meta.url), "utf8");
const key = readFileSync(new URL("../fixtures/tls/key.pem", import.meta.url), "utf8");

const client = (name: string) => readFileSync(new URL(`../fixtures/tls/${name}.pem`, import.meta.url), "utf8");
const clientCertificate = { certificate: client("client"), key: new Secret(client("client-key")) };

async function startTls({ asks = false } = {}) {
  const sockets: TLSSocket[] = [];
  const requests: string[] = [];
  const asking = asks ? { requestCert: true, ca: client("client-authority") } : {};
  const server = createServer({ cert, key, ...asking }, (request, response) => {
    requests.push(request.url ?? "");
    response.end("hello");
  });
  server.on("secureConnection", (socket) => sockets.push(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, sockets, requests };
}

async function get(origin: string, certificateAuthority?: string, own?: typeof clientCertificate): Promise<string> {
  const client = new HttpClient({
    origin: new URL(origin),
    allowPrivate: true,
    certificateAuthority,
    clientCertificate: own,
    resolve: (_hostname, done) => done(null, [{ address: "127.0.0.1", family: 4 }]),
  });
  onTestFinished(() => client.close());
  const reply = await client.send({ method: "GET", path: "/", headers: {}, signal: new AbortController().signal, whole: true });
  let text = "";
  for await (const chunk of reply.body) text += Buffer.from(chunk).toString("utf8");
  return text;
}

describe("TLS to an upstream", () => {
  test("is made with the name of the origin, HTTP/1.1 and a version that is safe", async () => {
    const { port, sockets } = await startTls();
    expect(await get(`https://upstream.test:${port}`, cert)).toBe("hello");
    expect(sockets[0]).toMatchObject({ servername: "upstream.test", alpnProtocol: "http/1.1" });
    expect(sockets[0]?.getProtocol()).toMatch(/^TLSv1\.[23]$/);
  });

  test("shows an upstream that asks for it the certificate that is configured", async () => {
    const { port, requests, sockets } = await startTls({ asks: true });
    expect(await get(`https://upstream.test:${port}`, cert, clientCertificate)).toBe("hello");
    expect(sockets[0]?.getPeerCertificate().subject.CN).toBe("gateway.test");
    await expect(get(`https://upstream.test:${port}`, cert)).rejects.toMatchObject({ reason: "provider_error" });
    expect(requests).toHaveLength(1);
  });

  test.each([
    ["a certificate that nobody vouches for", "upstream.test", undefined],
    ["a certificate for another name", "other.test", cert],
    ["a certificate for a name, reached by address", "127.0.0.1", cert],
  ])("%s is refused, and why stands in the log only", async (_what, host, authority) => {
    const { port, requests } = await startTls();
    const error = await get(`https://${host}:${port}`, authority).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      reason: "provider_error",
      message: `cannot make a secure connection to https://${host}:${port} (upstream_tls)`,
      details: { undispatched: true, cause: { kind: "upstream_tls" } },
    });
    expect(requests).toEqual([]);
  });
});
