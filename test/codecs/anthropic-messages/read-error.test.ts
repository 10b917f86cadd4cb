import { describe, expect, test } from "vitest";
import { createAnthropicMessagesCodec } from "../../../src/codecs/anthropic-messages/index.ts";

const codec = createAnthropicMessagesCodec();

function read(status: number, error: object | string, headers: Record<string, string> = {}) {
  const body = typeof error === "string" ? error : JSON.stringify({ type: "error", error, request_id: "req_body" });
  return codec.readError(status, body, (name) => headers[name], "anthropic");
}

describe("readError", () => {
  test.each([
    [400, "invalid_request_error", "max_tokens: required", "invalid_request", false],
    [400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum", "context_exceeded", false],
    [401, "authentication_error", "invalid x-api-key", "provider_error", false],
    [402, "billing_error", "add credit", "quota_exhausted", false],
    [403, "permission_error", "no", "provider_error", false],
    [404, "not_found_error", "model: nope", "provider_error", false],
    [413, "request_too_large", "too large", "too_large", false],
    [429, "rate_limit_error", "slow down", "rate_limited", true],
    [500, "api_error", "oops", "provider_error", true],
    [504, "timeout_error", "late", "provider_error", true],
    [529, "overloaded_error", "Overloaded", "provider_error", true],
  ])("%i %s (%s) is %s", (status, type, message, reason, retryable) => {
    const error = read(status, { type, message });
    expect(error).toMatchObject({ reason, retryable });
    expect(error.details.upstream).toMatchObject({
      provider: "anthropic",
      httpStatus: status,
      type,
      requestId: "req_body",
      midStream: false,
    });
  });

  test("the finer code, the header's request id and the wait are kept", () => {
    const error = read(
      429,
      { type: "rate_limit_error", message: "slow down", details: { error_code: "ramp_limit_exceeded" } },
      { "request-id": "req_head", "retry-after": "7" },
    );
    expect(error.details.upstream).toMatchObject({ code: "ramp_limit_exceeded", requestId: "req_head" });
    expect(error.details.retryAfterMs).toBe(7000);
  });

  test.each(["", "<html>Bad gateway</html>", "[]", "{", "null"])("a body of %j is no reason to fail", (body) => {
    expect(read(502, body)).toMatchObject({ reason: "provider_error", retryable: true });
  });
});
