import { describe, expect, test } from "vitest";
import { createCohereChatCodec } from "../../../src/codecs/cohere-chat/index.ts";

const codec = createCohereChatCodec();
const read = (status: number, message: string, headers: Record<string, string> = {}) =>
  codec.readError(status, JSON.stringify({ id: "e1", message }), (name) => headers[name], "cohere");

describe("a status", () => {
  test.each<[number, string, string, boolean, number]>([
    [400, "invalid request: messages must not be empty", "invalid_request", false, 400],
    [422, "unknown field: parameter 'x' is not a valid field", "invalid_request", false, 422],
    [400, "too many tokens: total number of tokens in the prompt cannot exceed 4081", "context_exceeded", false, 400],
    [401, "invalid api token", "provider_error", false, 502],
    [498, "invalid token", "provider_error", false, 502],
    [403, "forbidden", "provider_error", false, 502],
    [402, "Please add a payment method", "quota_exhausted", false, 429],
    [404, "model 'x' not found", "provider_error", false, 502],
    [429, "limited to 20 API calls / minute", "rate_limited", true, 429],
    [429, "You are using a Trial key, which is limited to 1000 API calls / month", "quota_exhausted", false, 429],
    [500, "internal server error", "provider_error", true, 502],
    [503, "overloaded", "provider_error", true, 502],
    [504, "timeout", "provider_error", true, 502],
    [501, "not implemented", "provider_error", false, 502],
  ])("%i %s", (status, message, reason, retryable, shown) => {
    const error = read(status, message);
    expect({ reason: error.reason, retryable: error.retryable, status: error.status }).toEqual({ reason, retryable, status: shown });
    expect(error.details.upstream).toMatchObject({ provider: "cohere", httpStatus: status });
  });

  test("what the gateway's own key did is nothing for the caller", () => {
    for (const status of [401, 498]) expect(read(status, "token co-secret-1234 is invalid").message).not.toContain("secret");
  });

  test("when to come back, and the vendor's id of the request", () => {
    const error = read(429, "slow down", { "retry-after": "3", "x-debug-trace-id": "trace" });
    expect(error.details).toMatchObject({ retryAfterMs: 3_000, upstream: { requestId: "trace", message: "slow down" } });
  });

  test("any body", () => {
    for (const body of ["", "<html>", "[]", "null", '{"message":5}']) {
      expect(codec.readError(502, body, () => undefined, "cohere")).toMatchObject({ reason: "provider_error", retryable: true });
    }
  });
});
