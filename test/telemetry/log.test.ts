import { describe, expect, test } from "vitest";
import { GatewayError } from "../../src/core/error.ts";
import type { Logger } from "../../src/core/log.ts";
import { Secret } from "../../src/core/secret.ts";
import { createLogger } from "../../src/telemetry/log.ts";

const canary = "sk-canary-3f9a1c7e5b2d";

/** What one call of the log writes; undefined where nothing. */
function written(write: (log: Logger) => void, level = "debug"): Record<string, unknown> | undefined {
  const lines: string[] = [];
  write(createLogger({ level, destination: { write: (line: string) => void lines.push(line) } }));
  expect(lines.join("")).not.toContain("canary");
  return lines[0] === undefined ? undefined : JSON.parse(lines[0]);
}

test("a line has time, level, message and fields in snake_case", () => {
  expect(written((log) => log.info("attempt", { request_id: "r1", inputTokens: 3, target: undefined }))).toEqual({
    level: "info",
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    pid: process.pid,
    request_id: "r1",
    input_tokens: 3,
    msg: "attempt",
  });
});

test("lines below the level are not written", () => {
  expect(written((log) => log.info("x"), "warn")).toBeUndefined();
  expect(written((log) => log.warn("x"), "warn")).toMatchObject({ level: "warn" });
});

describe("what must not be seen is not", () => {
  test("fields that are not listed, at any depth", () => {
    expect(
      written((log) => log.info("x", { authorization: canary, target: { headers: canary, name: "a" }, targets: [{ body: canary }] })),
    ).toMatchObject({
      authorization: "[not listed]",
      target: { headers: "[not listed]", name: "a" },
      targets: [{ body: "[not listed]" }],
    });
  });
  test("secrets, buffers and other classes", () => {
    expect(
      written((log) => log.info("x", { name: new Secret(canary), file: Buffer.from(canary), names: new Map([[canary, canary]]) })),
    ).toMatchObject({
      name: "[Secret]",
      file: "[Buffer]",
      names: "[Map]",
    });
  });
  test("queries and users of addresses", () => {
    expect(
      written((log) => log.info("x", { url: `https://user:${canary}@host:8/a/b?key=${canary}#c`, origin: new URL("http://h/?k=1") })),
    ).toMatchObject({
      url: "https://host:8/a/b",
      origin: "http://h/",
    });
  });
  test("credentials that a provider quotes, and text as long as a body", () => {
    const line = written((log) => log.info("x", { error_message: `Incorrect API key: ${canary}`, reason: "a".repeat(5_000) }));
    expect(line?.error_message).toContain("[redacted]");
    expect(String(line?.reason).length).toBeLessThan(1_100);
  });
});

describe("errors", () => {
  test("name, reason, message, code and the chain of causes", () => {
    const refused = Object.assign(new Error("connect ECONNREFUSED 10.0.0.5:443"), { code: "ECONNREFUSED" });
    const failed = new TypeError(`fetch of https://api.example/v1?key=${canary} failed`, { cause: refused });
    const line = written((log) => log.error("call failed", { error: new GatewayError("provider_error", "no answer", { cause: failed }) }));
    expect(line?.error).toMatchObject({
      name: "GatewayError",
      reason: "provider_error",
      message: "no answer",
      cause: {
        name: "TypeError",
        message: "fetch of https://api.example/v1 failed",
        cause: { code: "ECONNREFUSED", message: refused.message },
      },
    });
    expect(line?.error).not.toHaveProperty("stack");
  });
  test("a fault of the program says where, a thrown value says what it is", () => {
    expect(written((log) => log.error("x", { error: new RangeError("bad") }))?.error).toMatchObject({
      stack: expect.stringMatching(/^at .*log\.test\.ts/s),
    });
    expect(written((log) => log.error("x", { error: { secret: canary } }))?.error).toEqual({ secret: "[not listed]" });
    expect(written((log) => log.error("x", { error: "plain" }))?.error).toBe("plain");
  });
  test("causes that go round in a circle end", () => {
    const error = new Error("a");
    error.cause = error;
    expect(written((log) => log.error("x", { error }))).toBeDefined();
  });
});
