import { describe, expect, test } from "vitest";
import { checkBind } from "../../src/config/check-bind.ts";
import { isLoopback, readListenAddress, writeListenAddress } from "../../src/config/listen-address.ts";
import { loadConfig } from "../../src/config/load.ts";

const safe = "24.21.0";
const key = { DRAGOMAN_API_KEY: "0123456789abcdef" };

function refusal(env: NodeJS.ProcessEnv, version = safe): string {
  try {
    checkBind(loadConfig({ env, cwd: "/" }), version);
    return "";
  } catch (error) {
    expect(error).toMatchObject({ exitCode: 78 });
    return error instanceof Error ? error.message : "";
  }
}

describe("beyond loopback", () => {
  test("the data port needs auth", () => {
    expect(refusal({ HOST: "0.0.0.0" })).toBe(
      "server.listen: 0.0.0.0:8080 is reachable from other machines, but auth is off; set DRAGOMAN_API_KEY or auth.api_keys_file, or listen on 127.0.0.1",
    );
    expect(refusal({ HOST: "0.0.0.0", ...key })).toBe("");
    expect(refusal({ HOST: "::" })).toContain("[::]:8080 is reachable");
  });
  test("the admin port needs TLS or auth", () => {
    expect(refusal({ ADMIN_HOST: "10.0.0.1" })).toContain(
      "server.listen_admin: 10.0.0.1:9091 is reachable from other machines, but has neither TLS nor auth",
    );
    expect(refusal({ ADMIN_HOST: "10.0.0.1", ...key })).toBe("");
  });
  test("a vulnerable runtime is refused unless that is wanted", () => {
    expect(refusal({ HOST: "0.0.0.0", ...key }, "22.19.0")).toContain("Node 22.19.0 has known security holes");
    expect(refusal({ HOST: "0.0.0.0", ...key, DRAGOMAN__SERVER__ALLOW_VULNERABLE_RUNTIME: "true" }, "22.19.0")).toBe("");
    expect(refusal({}, "22.19.0")).toBe("");
  });
  test("all of it is told at once", () => {
    expect(refusal({ HOST: "0.0.0.0", ADMIN_HOST: "0.0.0.0" }, "24.0.0").split("\n")).toHaveLength(3);
  });
});

test.each([
  ["22.22.1", true],
  ["22.22.2", false],
  ["23.11.0", true],
  ["24.14.0", true],
  ["24.14.1", false],
  ["25.0.0", false],
  ["20.20.0", true],
])("Node %s vulnerable: %s", (version, vulnerable) => {
  expect(refusal({ HOST: "0.0.0.0", ...key }, version).includes("known security holes")).toBe(vulnerable);
});

test.each([
  ["localhost", true],
  ["LOCALHOST", true],
  ["127.0.0.1", true],
  ["127.8.9.10", true],
  ["::1", true],
  ["0:0:0:0:0:0:0:1", true],
  ["0.0.0.0", false],
  ["::", false],
  ["1::1", false],
  ["10.0.0.1", false],
  ["127.1", false],
  ["127.0.0.1.example.com", false],
  ["::ffff:10.0.0.1", false],
])("%s is loopback: %s", (host, loopback) => {
  expect(isLoopback(host)).toBe(loopback);
});

test("addresses are read as they are written", () => {
  for (const text of ["127.0.0.1:0", "[::1]:65535", "gateway.internal:80"]) {
    const address = readListenAddress(text);
    expect(address && writeListenAddress(address)).toBe(text);
  }
  for (const text of ["8080", ":8080", "::1:80", "[::g]:1", "host:65536", "http://host:1", "a b:1", "host:"])
    expect(readListenAddress(text)).toBeUndefined();
});
