import { describe, expect, test } from "vitest";
import { createGeminiCodec } from "../../../src/codecs/gemini/index.ts";

const { readError } = createGeminiCodec();

function google(code: number, status: string, message: string, ...details: object[]): object {
  return { error: { code, message, status, details } };
}
const of = (type: string, members: object) => ({ "@type": `type.googleapis.com/google.rpc.${type}`, ...members });

function read(status: number, body: object | string, headers: Record<string, string> = {}) {
  return readError(status, typeof body === "string" ? body : JSON.stringify(body), (name) => headers[name], "google");
}

describe("failures", () => {
  test("a wrong field is the client's mistake, with its place", () => {
    const violations = { fieldViolations: [{ field: "contents[0].parts", description: "x" }] };
    const error = read(400, google(400, "INVALID_ARGUMENT", "Invalid value", of("BadRequest", violations)));
    expect(error).toMatchObject({ reason: "invalid_request", status: 400, retryable: false });
    expect(error.details.upstream).toMatchObject({
      type: "INVALID_ARGUMENT",
      param: "contents[0].parts",
      message: "Invalid value",
      httpStatus: 400,
    });
  });

  test.each([
    google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", of("ErrorInfo", { reason: "API_KEY_INVALID" })),
    google(400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
    google(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers"),
  ])("a wrong key is not the client's mistake", (body) => {
    const { code } = (body as { error: { code: number } }).error;
    expect(read(code, body)).toMatchObject({ reason: "provider_error", retryable: false, status: 502 });
  });

  test("a key in the provider's words goes no further", () => {
    const key = `AIza${"x".repeat(35)}`;
    const error = read(403, google(403, "PERMISSION_DENIED", `Consumer 'api_key:${key}' has been suspended.`));
    expect(JSON.stringify([error.message, error.details.upstream])).not.toContain(key);
  });

  test("a rate limit says when to come back", () => {
    const details = [
      of("QuotaFailure", { violations: [{ quotaId: "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", quotaValue: "10" }] }),
      of("RetryInfo", { retryDelay: "34.074824224s" }),
    ];
    const error = read(429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded", ...details), { "retry-after": "1" });
    expect(error).toMatchObject({ reason: "rate_limited", retryable: true, details: { retryAfterMs: 34_075 } });
    expect(read(429, "slow down", { "retry-after": "2" })).toMatchObject({ reason: "rate_limited", details: { retryAfterMs: 2000 } });
  });

  test("a quota of the day does not come back", () => {
    const details = [
      of("QuotaFailure", { violations: [{ quotaId: "GenerateRequestsPerDayPerProjectPerModel-FreeTier" }] }),
      of("RetryInfo", { retryDelay: "5s" }),
    ];
    const error = read(429, google(429, "RESOURCE_EXHAUSTED", "Quota exceeded", ...details));
    expect(error).toMatchObject({ reason: "quota_exhausted", retryable: false });
    expect(error.details.retryAfterMs).toBeUndefined();
  });

  test("a prompt that is too long is named so", () => {
    const message = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576).";
    expect(read(400, google(400, "INVALID_ARGUMENT", message)).reason).toBe("context_exceeded");
  });

  test("failures of the service may be tried elsewhere, in an array too", () => {
    for (const body of [
      google(503, "UNAVAILABLE", "overloaded"),
      [google(503, "UNAVAILABLE", "overloaded")],
      "<html>bad gateway</html>",
      "",
    ]) {
      expect(read(503, body)).toMatchObject({ reason: "provider_error", retryable: true });
    }
    expect(read(503, [google(503, "UNAVAILABLE", "overloaded")]).details.upstream?.type).toBe("UNAVAILABLE");
  });

  test.each(['{"error":{"details":[null,5,{"@type":7}]}}', '{"error":null}', "[[]]", "[]", "5", "null", '{"error":"x"}'])(
    "%s is read without complaint",
    (body) => {
      expect(read(500, body).reason).toBe("provider_error");
    },
  );
});
