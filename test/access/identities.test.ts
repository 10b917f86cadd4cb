/** Who calls, beside keys: certificates, addresses behind proxies, tokens and keys side by side. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, describe, expect, onTestFinished, test } from "vitest";
import { createAccess } from "../../src/access/access.ts";
import { clientAddress, createAddressList } from "../../src/access/address-list.ts";
import { openPeppers } from "../../src/access/pepper-file.ts";
import { startApp } from "../../src/app/start-app.ts";
import { loadConfig } from "../../src/config/load.ts";
import { silentLog } from "../../src/core/log.ts";
import { isAddressOrRange, noPeer, plainAddress } from "../../src/core/peer.ts";
import { Secret } from "../../src/core/secret.ts";

let directories: string[] = [];

afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "dragoman-identities-"));
  directories = [...directories, directory];
  return directory;
}

async function start(directory: string, config: Record<string, unknown>) {
  const file = join(directory, "dragoman.json");
  const base = { listen: "127.0.0.1:0", listen_admin: "127.0.0.1:0", drain_notice_seconds: 0, drain_seconds: 0 };
  const quiet = { discovery: { enabled: false }, local_embeddings: { enabled: false } };
  const { server = {}, ...rest } = config as { server?: object };
  writeFileSync(file, JSON.stringify({ ...quiet, ...rest, server: { ...base, ...server } }));
  const app = await startApp({ config: loadConfig({ file, env: {}, cwd: directory }), env: {}, log: silentLog });
  onTestFinished(() => app.stop());
  return app;
}

describe("addresses", () => {
  test("X7, AUTH-5: of proxies that are trusted count, from the right; nobody else's words do", () => {
    const proxies = createAddressList(["10.0.0.0/8", "::1"]);
    const from = (address: string, forwardedFor: string) => clientAddress({ address, forwardedFor }, proxies);
    expect(from("192.0.2.1", "198.51.100.1")).toBe("192.0.2.1");
    expect(from("10.0.0.1", "198.51.100.1")).toBe("198.51.100.1");
    expect(from("10.0.0.1", "203.0.113.9, 198.51.100.1, 10.9.9.9")).toBe("198.51.100.1");
    expect(from("10.0.0.1", "198.51.100.1, junk")).toBe("10.0.0.1");
    expect(from("10.0.0.1", "")).toBe("10.0.0.1");
    expect(from("10.0.0.1", "198.51.100.1:5555")).toBe("198.51.100.1");
    expect(from("10.0.0.1", "[2001:db8::1]:443")).toBe("2001:db8::1");
    expect(from("10.0.0.1", "198.51.100.1, ::ffff:10.9.9.9")).toBe("198.51.100.1");
    expect(clientAddress({ address: "10.0.0.1", forwardedFor: "198.51.100.1" }, undefined)).toBe("10.0.0.1");
  });

  test("of IPv4 are the same in IPv6's clothes, in lists and from sockets", () => {
    const list = createAddressList(["10.0.0.0/8", "::ffff:192.0.2.0/120"]);
    for (const address of ["10.1.2.3", "::ffff:10.1.2.3", "::ffff:a01:203", "192.0.2.9", "::ffff:192.0.2.9"]) {
      expect(list.has(address), address).toBe(true);
    }
    for (const address of ["11.1.2.3", "::ffff:11.1.2.3", "::10.1.2.3", "64:ff9b::a01:203", "192.0.3.9"]) {
      expect(list.has(address), address).toBe(false);
    }
  });

  test("are read in every form a socket gives them", () => {
    expect([plainAddress("::ffff:10.1.2.3"), plainAddress("fe80::1%eth0"), plainAddress("::1")]).toEqual(["10.1.2.3", "fe80::1", "::1"]);
    for (const text of ["10.0.0.0/33", "10.0.0.0/", "10.0.0", "a/8", "::/129", "10.0.0.0/8/8", "", "fe80::1%eth0"]) {
      expect(isAddressOrRange(text), text).toBe(false);
    }
    for (const text of ["10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"]) expect(isAddressOrRange(text), text).toBe(true);
  });
});

test("the pepper is a file that only its owner reads, the same for everybody who opens it", () => {
  const directory = join(newDirectory(), "data");
  const first = openPeppers({}, directory).current;
  const second = openPeppers({}, directory).current;
  expect(second.id).toBe(first.id);
  expect(second.matches("secret", first.hash("secret"))).toBe(true);
  expect(second.matches("other", first.hash("secret"))).toBe(false);
  expect(statSync(join(directory, "pepper")).mode & 0o777).toBe(0o600);
  expect(openPeppers({ pepper: new Secret("another-pepper-of-some-length-0123456789") }, directory).current.id).not.toBe(first.id);
});

test("without auth everybody is anonymous; with it an empty credential is nobody", () => {
  const open = createAccess({ enabled: false });
  expect(open.authenticate(undefined, noPeer)).toMatchObject({ kind: "anonymous" });
  const closed = createAccess({ enabled: true, api_key: new Secret("caller-key-0123456789") });
  expect(() => closed.authenticate(undefined, noPeer)).toThrow("a valid API key is needed");
});

test("a token of the configured issuer works on every surface, and nothing else is sent there", async () => {
  const pair = await generateKeyPair("ES256");
  const asked: string[] = [];
  let issuer = "";
  const server = http.createServer((request, response) => {
    asked.push(request.url ?? "");
    void exportJWK(pair.publicKey).then((jwk) => {
      const body = request.url === "/keys" ? { keys: [{ ...jwk, kid: "k1" }] } : { issuer, jwks_uri: `${issuer}/keys` };
      response.setHeader("content-type", "application/json").end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const app = await start(newDirectory(), { auth: { oidc_issuer: issuer, oidc_audience: "dragoman", oidc_roles: { boss: "admin" } } });
  const token = await new SignJWT({ roles: ["boss"] })
    .setProtectedHeader({ alg: "ES256", kid: "k1" })
    .setIssuer(issuer)
    .setAudience("dragoman")
    .setSubject("ann")
    .setExpirationTime("5m")
    .sign(pair.privateKey);
  const ask = async (url: string, headers: Record<string, string>, method = "GET") =>
    (
      await fetch(url, {
        method,
        headers: { ...headers, "content-type": "application/json" },
        ...(method === "POST" ? { body: "{}" } : {}),
      })
    ).status;

  expect(await ask(`${app.dataUrl}/v1/models`, { authorization: "Bearer not-a-token-but-long-enough" })).toBe(401);
  expect(await ask(`${app.dataUrl}/v1/models`, { authorization: `Bearer sk.${"x".repeat(40)}` })).toBe(401);
  expect(asked).toEqual([]);
  expect(await ask(`${app.dataUrl}/v1/models`, { authorization: `Bearer ${token}` })).toBe(200);
  expect(await ask(`${app.dataUrl}/v1beta/models`, { "x-goog-api-key": token })).toBe(200);
  expect(await ask(`${app.dataUrl}/dragoman.v1.InferenceService/ListModels`, { authorization: `Bearer ${token}` }, "POST")).toBe(200);
  expect(await ask(`${app.adminUrl}/dragoman.admin.v1.KeyService/ListKeys`, { authorization: `Bearer ${token}` }, "POST")).toBe(200);
  expect(await ask(`${app.dataUrl}/v1/models`, { authorization: `Bearer ${token.slice(0, -4)}AAAA` })).toBe(401);
  // A key of another gateway that happens to look like a token is a key.
  const threeParts = "team.secret.of-some-length";
  expect(await ask(`${app.dataUrl}/v1/models`, { authorization: `Bearer ${threeParts}` })).toBe(401);
  const imported = await fetch(`${app.adminUrl}/dragoman.admin.v1.KeyService/ImportKeys`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ keys: [{ secret: threeParts }] }),
  });
  expect(imported.status).toBe(200);
  expect(await ask(`${app.dataUrl}/v1/models`, { authorization: `Bearer ${threeParts}` })).toBe(200);
  expect(asked).toEqual(["/.well-known/openid-configuration", "/keys"]);

  // A project that is disabled is closed to tokens as it is to keys; nobody closes their own.
  const tell = (method: string, body: object, key = token) =>
    fetch(`${app.adminUrl}/dragoman.admin.v1.${method}`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
  await tell("TenantService/CreateProject", { project: { id: "default" } });
  const made = await tell("KeyService/CreateKey", { key: { roles: ["ACCESS_ROLE_ADMIN"], project: "operations" } });
  const { secret } = (await made.json()) as { secret: string };
  const close = { project: { id: "default", enabled: false }, updateMask: "enabled" };
  expect((await tell("TenantService/UpdateProject", close)).status).toBe(400);
  expect((await tell("TenantService/UpdateProject", close, secret)).status).toBe(200);
  expect(await ask(`${app.dataUrl}/v1/models`, { authorization: `Bearer ${token}` })).toBe(401);
});

const hasOpenssl = (() => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

test.skipIf(!hasOpenssl)(
  "a client certificate is who the configuration says, and one of another authority is nobody",
  async () => {
    const directory = newDirectory();
    const openssl = (...words: string[]) => execFileSync("openssl", words, { cwd: directory, stdio: "ignore" });
    const makeAuthority = (name: string) =>
      openssl(
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
        "-subj",
        `/CN=${name}`,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.pem`,
      );
    const makeCertificate = (authority: string, name: string, san: string) => {
      openssl(
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-subj",
        `/CN=${name}`,
        "-keyout",
        `${name}.key`,
        "-out",
        `${name}.csr`,
      );
      writeFileSync(join(directory, `${name}.ext`), `subjectAltName=${san}\n`);
      openssl(
        "x509",
        "-req",
        "-in",
        `${name}.csr`,
        "-CA",
        `${authority}.pem`,
        "-CAkey",
        `${authority}.key`,
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        `${name}.ext`,
        "-out",
        `${name}.pem`,
      );
    };
    makeAuthority("ours");
    makeAuthority("theirs");
    makeCertificate("ours", "server", "IP:127.0.0.1");
    makeCertificate("ours", "worker", "URI:spiffe://example/worker");
    makeCertificate("ours", "stranger", "URI:spiffe://example/stranger");
    makeCertificate("theirs", "forger", "URI:spiffe://example/worker");
    const app = await start(directory, {
      server: { tls: { cert_file: "server.pem", key_file: "server.key", client_ca_file: "ours.pem" } },
      auth: { mtls: { "spiffe://example/worker": { scopes: ["chat"] } }, api_key: "caller-key-0123456789" },
    });
    const file = (name: string) => readFileSync(join(directory, name));
    const statusOf = (name: string | undefined, headers: Record<string, string> = {}, path = "/v1/models", body?: object) =>
      new Promise<number>((resolve, reject) => {
        const shown = name === undefined ? {} : { cert: file(`${name}.pem`), key: file(`${name}.key`) };
        const sent = { method: body === undefined ? "GET" : "POST", headers: { ...headers, "content-type": "application/json" } };
        https
          .request(`${app.dataUrl}${path}`, { ...shown, ...sent, ca: file("ours.pem"), agent: false }, (response) => {
            response.resume();
            resolve(response.statusCode ?? 0);
          })
          .on("error", reject)
          .end(body === undefined ? undefined : JSON.stringify(body));
      });
    expect(await statusOf("worker")).toBe(200);
    // The same caller on every surface: with its scope, and with no other.
    const chat = { model: "sim/echo", messages: [{ role: "user", content: "hi" }] };
    const generate = { generate: { model: "sim/echo", messages: [{ role: "ROLE_USER", parts: [{ text: "hi" }] }] } };
    const embed = { model: "sim/embed", input: "hi" };
    const rpc = "/dragoman.v1.InferenceService";
    expect(await statusOf("worker", {}, "/v1/chat/completions", chat)).toBe(200);
    expect(await statusOf("worker", {}, `${rpc}/Complete`, generate)).toBe(200);
    expect(await statusOf("worker", {}, "/v1/embeddings", embed)).toBe(403);
    expect(await statusOf("worker", {}, `${rpc}/Embed`, { model: "sim/embed", inputs: [{ text: "hi" }] })).toBe(403);
    expect(await statusOf("stranger", {}, `${rpc}/Complete`, generate)).toBe(401);
    // A wrong key is not made good by a certificate.
    expect(await statusOf("worker", { authorization: "Bearer another-key-0123456789" })).toBe(401);
    expect(await statusOf("stranger")).toBe(401);
    expect(await statusOf("forger")).toBe(401);
    expect(await statusOf(undefined)).toBe(401);
    expect(await statusOf(undefined, { authorization: "Bearer caller-key-0123456789" })).toBe(200);
  },
  20_000,
);
