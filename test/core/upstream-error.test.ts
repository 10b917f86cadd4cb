import { describe, expect, test } from "vitest";
import type { Reason } from "../../src/core/error.ts";
import { redact } from "../../src/core/redact.ts";
import { maxRetryAfterMs, readRetryAfter } from "../../src/core/retry-after.ts";
import { readErrorWords, upstreamError } from "../../src/core/upstream-error.ts";

const openai = (code: string | null, message = "no", type = "invalid_request_error") =>
  JSON.stringify({ error: { message, type, param: null, code } });

function failure(status: number, body: string, more: { retryAfterMs?: number; reason?: Reason; midStream?: boolean } = {}) {
  return upstreamError({ provider: "acme", status, ...readErrorWords(body), ...more });
}

describe("upstreamError", () => {
  test.each<[number, string, Reason, number, boolean]>([
    [400, openai(null), "invalid_request", 400, false],
    [422, openai(null), "invalid_request", 422, false],
    [413, openai(null), "too_large", 413, false],
    [400, openai("context_length_exceeded"), "context_exceeded", 400, false],
    [
      400,
      '{"object":"error","message":"This model\'s maximum context length is 4096 tokens.","code":40303}',
      "context_exceeded",
      400,
      false,
    ],
    [400, '{"error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens"}}', "context_exceeded", 400, false],
    [400, '{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}', "invalid_request", 400, false],
    [400, openai("invalid_api_key"), "provider_error", 502, false],
    [401, openai("invalid_api_key"), "provider_error", 502, false],
    [403, "forbidden", "provider_error", 502, false],
    [404, openai("model_not_found"), "provider_error", 502, false],
    [402, openai(null), "quota_exhausted", 429, false],
    [429, openai("insufficient_quota", "no", "insufficient_quota"), "quota_exhausted", 429, false],
    [429, openai("rate_limit_exceeded", "slow down", "requests"), "rate_limited", 429, true],
    [408, "", "provider_error", 502, true],
    [409, "", "provider_error", 502, false],
    [418, "", "provider_error", 502, false],
    [424, "", "provider_error", 502, true],
    [500, openai(null, "oops", "server_error"), "provider_error", 502, true],
    [501, "", "provider_error", 502, false],
    [502, "<html>bad gateway</html>", "provider_error", 502, true],
    [503, "", "provider_error", 502, true],
    [529, '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "provider_error", 502, true],
    [302, "", "provider_error", 502, false],
  ])("status %i with %s is %s", (status, body, reason, ours, retryable) => {
    const error = failure(status, body);
    expect({ reason: error.reason, status: error.status, retryable: error.retryable }).toEqual({ reason, status: ours, retryable });
    expect(error.details.upstream).toMatchObject({ provider: "acme", httpStatus: status, midStream: false });
  });

  test.each<[string, Reason, boolean]>([
    [openai(null, "overloaded", "server_error"), "provider_error", true],
    [openai("rate_limit_exceeded", "slow", "requests"), "rate_limited", true],
    ['{"error":{"code":429,"message":"slow"}}', "rate_limited", true],
    ['{"error":{"code":"502","message":"upstream away"}}', "provider_error", true],
    ['{"error":{"message":"who knows"}}', "provider_error", true],
    ['{"error":{"type":"invalid_request_error","message":"bad"}}', "invalid_request", false],
  ])("a failure inside a stream is judged by its words: %s", (body, reason, retryable) => {
    const error = failure(0, body, { midStream: true });
    expect(error.reason).toBe(reason);
    expect(error.retryable).toBe(retryable);
    expect(error.details.upstream).toMatchObject({ httpStatus: 0, midStream: true });
  });

  test("keeps the vendor's words, and lets the codec name the reason", () => {
    const error = failure(400, '{"error":{"message":"bad","type":"t","code":"c","param":"messages[0]","n":12345678901234567890}}', {
      reason: "quota_exhausted",
      retryAfterMs: 1500,
    });
    expect(error.reason).toBe("quota_exhausted");
    expect(error.details.retryAfterMs).toBe(1500);
    expect(error.details.upstream).toMatchObject({ message: "bad", type: "t", code: "c", param: "messages[0]" });
    expect(error.details.upstream?.bodyJson).toContain("12345678901234567890");
  });

  test("no credential survives, wherever the vendor put it", () => {
    const key = "sk-proj-abcdefgh1234567890";
    const unprefixed = "0123456789abcdef0123456789abcdef";
    for (const secret of [key, unprefixed]) {
      const error = failure(401, openai("invalid_api_key", `Incorrect API key provided: ${secret}. Bearer ${secret}`));
      expect(`${error.message}${JSON.stringify(error.details)}`).not.toContain(secret);
    }
    const error = failure(500, openai(null, `header x-api-key: ${unprefixed} and ?key=${unprefixed} and ${key}`));
    expect(`${error.message}${JSON.stringify(error.details)}`).not.toMatch(/0123456789abcdef|sk-proj/);
  });

  test("long words are cut at a character, and a cut JSON body is left out", () => {
    const error = failure(500, JSON.stringify({ error: { message: `a${"😀".repeat(20_000)}` } }));
    expect(error.details.upstream?.message).toHaveLength(2047);
    expect(error.details.upstream?.message.isWellFormed()).toBe(true);
    expect(error.details.upstream?.bodyJson).toBe("");
  });
});

describe("readErrorWords", () => {
  test.each([
    ['{"error":"model not found"}', "model not found"],
    ['{"message":"no"}', "no"],
    ['{"detail":"Not authenticated"}', "Not authenticated"],
    ['{"detail":[{"loc":["body","messages",0],"msg":"field required","input":"my secret prompt"}]}', "body.messages.0: field required"],
    ['[{"error":{"code":503,"message":"away","status":"UNAVAILABLE"}}]', "away"],
    ["plain words\n", "plain words"],
    ["<!doctype html><html>502</html>", undefined],
    ["", ""],
    ["{", "{"],
    ["null", undefined],
  ])("%s", (body, message) => {
    expect(readErrorWords(body).message).toBe(message);
  });
});

describe("readRetryAfter", () => {
  const read = (headers: Record<string, string>) => readRetryAfter((name) => headers[name], Date.parse("2026-01-01T00:00:00Z"));
  test.each<[Record<string, string>, number | undefined]>([
    [{ "retry-after": "2" }, 2000],
    [{ "retry-after": "0" }, 0],
    [{ "retry-after": "1.5" }, 1500],
    [{ "retry-after-ms": "250", "retry-after": "1" }, 250],
    [{ "retry-after": "Thu, 01 Jan 2026 00:00:07 GMT" }, 7000],
    [{ "retry-after": "Thu, 01 Jan 2026 00:00:07 GMT", date: "Thu, 01 Jan 2026 00:00:04 GMT" }, 3000],
    [{ "retry-after": "Wed, 31 Dec 2025 00:00:00 GMT" }, 0],
    [{ "retry-after": "1000000000" }, maxRetryAfterMs],
    [{ "retry-after": "-1" }, undefined],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "1e9" }, undefined],
    [{ "retry-after": "" }, undefined],
    [{}, undefined],
  ])("%j is %s", (headers, wanted) => {
    expect(read(headers)).toBe(wanted);
  });
});

describe("redact", () => {
  test("leaves ordinary text alone", () => {
    for (const text of [
      "Unknown key: response_format",
      "max tokens: 128000 exceeded",
      "the task-list is risk-free",
      "model gpt-4o-mini-2024-07-18",
    ]) {
      expect(redact(text)).toBe(text);
    }
  });

  test("JSON stays JSON", () => {
    const json = JSON.stringify({
      message: 'api_key: "abcdefgh12345678"',
      header: "Bearer abcdefgh12345678",
      key: "AIzaSyA-1234567890abcdef",
    });
    expect(Object.keys(JSON.parse(redact(json)))).toEqual(["message", "header", "key"]);
    expect(redact(json)).not.toMatch(/12345678/);
  });
});

test("what a provider says is for the caller, and stays out of logs", () => {
  const error = upstreamError({ provider: "vendor", status: 400, message: "your prompt 'my secret plan' is not allowed" });
  expect(error.message).toContain("my secret plan");
  expect(error.messageForLog).toBe("provider vendor refused the request");
  expect(upstreamError({ provider: "vendor", status: 500 }).messageForLog).toBe("provider vendor failed with status 500");
});
