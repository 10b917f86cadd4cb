import { expect, test } from "vitest";
import { writeChatError } from "../../../src/codecs/openai-chat/write-error.ts";
import { GatewayError, invalidField, type Reason } from "../../../src/core/error.ts";
import { upstreamError } from "../../../src/core/upstream-error.ts";

test.each<[Reason, number, string, string | null, string]>([
  ["unauthenticated", 401, "auth_error", "invalid_api_key", "auth_failed"],
  ["forbidden", 403, "auth_error", null, "auth_failed"],
  ["invalid_request", 400, "invalid_request_error", null, "invalid_request"],
  ["untranslatable", 400, "invalid_request_error", "unsupported_parameter", "invalid_request"],
  ["model_not_found", 404, "model_not_found", "model_not_found", "model_not_found"],
  ["route_not_found", 404, "invalid_request_error", null, "invalid_request"],
  ["idempotency_mismatch", 422, "invalid_request_error", null, "invalid_request"],
  ["guardrail_blocked", 400, "invalid_request_error", null, "bouncer_error"],
  ["context_exceeded", 400, "invalid_request_error", "context_length_exceeded", "context_exceeded"],
  ["rate_limited", 429, "rate_limit", "rate_limit_exceeded", "rate_limited"],
  ["concurrency_limit_exceeded", 429, "rate_limit", "rate_limit_exceeded", "rate_limited"],
  ["quota_exhausted", 429, "rate_limit", "insufficient_quota", "quota_exhausted"],
  ["queue_full", 429, "server_error", null, "rate_limited"],
  ["too_large", 413, "invalid_request_error", null, "payload_too_large"],
  ["no_target", 503, "server_error", null, "provider_error"],
  ["provider_error", 502, "server_error", null, "network_error"],
  ["timeout", 504, "server_error", null, "provider_timeout"],
  ["unsupported", 501, "server_error", null, "invalid_request"],
  ["internal", 500, "server_error", null, "internal_error"],
])("%s", (reason, status, type, code, kind) => {
  const error = new GatewayError(reason, "m");
  expect(error.status).toBe(status);
  expect(JSON.stringify(writeChatError(error))).toBe(JSON.stringify({ error: { code, message: "m", type }, error_kind: kind }));
});

test("the field at fault is the param", () => {
  expect(writeChatError(invalidField("messages[0].content", "is wrong"))).toEqual({
    error: { code: null, message: "messages[0].content: is wrong", type: "invalid_request_error", param: "messages[0].content" },
    error_kind: "invalid_request",
  });
});

test("a provider's 400 keeps its param and the code that clients act on", () => {
  const words = {
    type: "invalid_request_error",
    code: "unsupported_parameter",
    message: "Unsupported parameter: 'max_tokens'",
    param: "max_tokens",
  };
  const error = upstreamError({ provider: "openai", status: 400, ...words });
  expect(writeChatError(error)).toMatchObject({
    error: { code: "unsupported_parameter", param: "max_tokens" },
    error_kind: "invalid_request",
  });
  expect(writeChatError(upstreamError({ provider: "openai", status: 503 })).error_kind).toBe("provider_error");
});
