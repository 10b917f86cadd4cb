import { expect, test } from "vitest";
import { createAnthropicMessagesCodec, anthropicMessagesDialect as dialect } from "../../../src/codecs/anthropic-messages/index.ts";
import { GatewayError, invalidField, type Reason } from "../../../src/core/error.ts";

const facts = { requestId: "01REQ" };

test.each<[Reason, string]>([
  ["invalid_request", "invalid_request_error"],
  ["untranslatable", "invalid_request_error"],
  ["context_exceeded", "invalid_request_error"],
  ["guardrail_blocked", "invalid_request_error"],
  ["request_id_conflict", "invalid_request_error"],
  ["idempotency_mismatch", "invalid_request_error"],
  ["unauthenticated", "authentication_error"],
  ["forbidden", "permission_error"],
  ["model_not_found", "not_found_error"],
  ["route_not_found", "not_found_error"],
  ["too_large", "request_too_large"],
  ["rate_limited", "rate_limit_error"],
  ["quota_exhausted", "rate_limit_error"],
  ["queue_full", "rate_limit_error"],
  ["timeout", "timeout_error"],
  ["no_target", "api_error"],
  ["provider_error", "api_error"],
  ["unsupported", "api_error"],
  ["internal", "api_error"],
])("%s is a %s", (reason, type) => {
  expect(dialect.writeError(new GatewayError(reason, "words"), facts)).toEqual({
    type: "error",
    error: { type, message: "words" },
    request_id: "01REQ",
  });
});

test("a field's path is in the message", () => {
  const error = dialect.writeError(invalidField("messages[0].content[1].text", "is required"), facts);
  expect(error.error.message).toBe("messages[0].content[1].text: is required");
});

test("the provider's code of a refused request reaches the client, those of the gateway's own trouble do not", () => {
  const { readError } = createAnthropicMessagesCodec();
  const body = (type: string) =>
    JSON.stringify({ type: "error", error: { type, message: "m", details: { error_code: "thread_not_found", at: 1 } } });
  const refused = readError(400, body("invalid_request_error"), () => undefined, "anthropic");
  expect(dialect.writeError(refused, facts).error.details).toEqual({ error_code: "thread_not_found", at: 1 });
  const credential = readError(401, body("authentication_error"), () => undefined, "anthropic");
  expect(dialect.writeError(credential, facts).error).not.toHaveProperty("details");
});
