import { describe, expect, test } from "vitest";
import { createGeminiCodec, geminiDialect } from "../../../src/codecs/gemini/index.ts";
import { GatewayError, invalidField, type Reason, reasons } from "../../../src/core/error.ts";

const facts = { requestId: "01REQ" };
const statuses: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  409: "ALREADY_EXISTS",
  413: "RESOURCE_EXHAUSTED",
  422: "INVALID_ARGUMENT",
  429: "RESOURCE_EXHAUSTED",
  499: "CANCELLED",
  500: "INTERNAL",
  501: "UNIMPLEMENTED",
  502: "UNAVAILABLE",
  503: "UNAVAILABLE",
  504: "DEADLINE_EXCEEDED",
};
const exceptions: Readonly<Partial<Record<Reason, string>>> = {
  guardrail_blocked: "FAILED_PRECONDITION",
  route_not_found: "UNIMPLEMENTED",
  etag_mismatch: "ABORTED",
};

describe("a failure in Google's envelope", () => {
  test.each(Object.entries(reasons))("%s has its HTTP status and the name of its gRPC status", (name, { status }) => {
    const { error } = geminiDialect.writeError(new GatewayError(name as Reason, "what was wrong"), facts);
    expect(error).toMatchObject({ code: status, message: "what was wrong", status: exceptions[name as Reason] ?? statuses[status] });
    expect(error.details[0]).toEqual({
      "@type": "type.googleapis.com/google.rpc.ErrorInfo",
      reason: name.toUpperCase(),
      domain: "dragoman",
    });
    expect(error.details[1]).toEqual({ "@type": "type.googleapis.com/google.rpc.RequestInfo", requestId: "01REQ" });
  });

  test("names wrong fields and when to come back", () => {
    const { error } = geminiDialect.writeError(invalidField("contents[0].role", "must be user or model"), facts);
    expect(error.details[2]).toEqual({
      "@type": "type.googleapis.com/google.rpc.BadRequest",
      fieldViolations: [{ field: "contents[0].role", description: "must be user or model" }],
    });
    const wait = geminiDialect.writeError(new GatewayError("rate_limited", "m", { retryAfterMs: 12_000 }), facts).error.details[2];
    expect(wait).toEqual({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "12s" });
  });

  test("is read by our own reader for what it is", () => {
    const written = JSON.stringify(geminiDialect.writeError(new GatewayError("rate_limited", "slow down", { retryAfterMs: 2500 }), facts));
    const read = createGeminiCodec().readError(429, written, () => undefined, "google");
    expect(read).toMatchObject({ reason: "rate_limited", details: { retryAfterMs: 2500 } });
  });
});
