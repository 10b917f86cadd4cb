import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { GetRequestResponseSchema, RequestStatus } from "../../gen/dragoman/admin/v1/request_log_service_pb.ts";
import { showRecord } from "../../src/cli/show-record.ts";

test("one call reads in 80 columns, and what is not known takes no line", () => {
  const shown = showRecord(
    create(GetRequestResponseSchema, {
      request: {
        requestId: "01M7YW7BREKKCBVKPS714962GJ",
        createTime: { seconds: 1_763_722_822n, nanos: 442_000_000 },
        tenant: "acme",
        project: "default",
        keyId: "k3h5",
        callerAgent: "billing-bot",
        requestKind: "chat",
        surface: "v1",
        stream: true,
        requestedModel: "fast",
        provider: "openai",
        upstreamModel: "gpt-x",
        usedFallback: true,
        attempts: [
          { target: "other/gpt-x", status: "error", error: "provider_error", durationMs: 3.456 },
          { target: "openai/gpt-x", status: "success", durationMs: 1_210 },
        ],
        status: RequestStatus.SUCCESS,
        httpStatus: 200,
        latencyMs: 1_234.5,
        ttftMs: 18,
        timings: { gatewayOverhead: 1.5 },
        promptTokens: 12_345,
        completionTokens: 67,
        cachedTokens: 1_000,
        finishReason: "stop",
        costUsd: "0.0123",
        upstreamBodySha256: "a".repeat(64),
        sentBodySha256: "b".repeat(64),
      },
      content: { requestSummary: "how much is it?", findingsJson: "[]", toolsJson: "[]" },
    }),
  );
  expect(shown).toBe(`01M7YW7BREKKCBVKPS714962GJ  2025-11-21 11:00:22.442 UTC
ok, HTTP 200

  asked for     fast (chat over v1, streamed)
  answered by   openai/gpt-x, not the first choice
  ended with    stop
  tokens        12,345 in (1,000 cached), 67 out
  cost          0.0123 USD
  caller        tenant acme, project default, key k3h5
  on behalf of  agent billing-bot
  attempt 1     other/gpt-x: provider_error, 3.46 ms
  attempt 2     openai/gpt-x: success, 1,210 ms
  took          1,235 ms, 18 ms to the first content
  of this       the gateway 1.5 ms
  sha-256 in    ${"a".repeat(64)}
  sha-256 out   ${"b".repeat(64)}

said:
how much is it?
`);
  for (const line of shown.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
});

test("a call that failed says why, and one whose bytes went through unchanged says that", () => {
  const failed = showRecord(
    create(GetRequestResponseSchema, {
      request: { requestId: "r", status: RequestStatus.ERROR, errorCode: "model_not_found", httpStatus: 404 },
    }),
  );
  expect(failed).toContain("model_not_found, HTTP 404");
  expect(failed).not.toContain("answered by");
  const hash = "c".repeat(64);
  const same = create(GetRequestResponseSchema, { request: { upstreamBodySha256: hash, sentBodySha256: hash } });
  expect(showRecord(same)).toContain("as the provider sent it");
});
