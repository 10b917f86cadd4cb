import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { ErrorReason, FailureDetailSchema } from "../../gen/dragoman/v1/errors_pb.ts";
import { AttemptSchema, SettledSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { GatewayError, type Reason, reasons } from "../../src/core/error.ts";
import { toConnectError } from "../../src/rpc/connect-error.ts";
import { encodeGrpcMessage } from "../../src/rpc/grpc-status.ts";

const ids = { requestId: "01H", clientRequestId: "mine" };

describe("toConnectError", () => {
  test.each(Object.keys(reasons) as Reason[])("%s has its code and its name in the contract", (reason) => {
    const error = toConnectError(new GatewayError(reason, "words"), ids);
    expect(error).toBeInstanceOf(ConnectError);
    expect(error.code).toBe(reasons[reason].code);
    expect(Code[error.code]).toBeTypeOf("string");
    const [failure] = error.findDetails(FailureDetailSchema);
    expect(failure?.reason).toBeGreaterThan(0);
    expect(failure?.reason).toBe(ErrorReason[reason.toUpperCase() as keyof typeof ErrorReason]);
    expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({ reason: reason.toUpperCase(), domain: "dragoman" });
    expect(error.metadata.get("x-dragoman-error-reason")).toBe(reason);
    expect(error.metadata.get("x-should-retry")).toBe(String(reasons[reason].retryable));
    expect(error.metadata.get("x-request-id")).toBe("mine");
    expect(error.metadata.has("retry-after")).toBe(reasons[reason].status === 429);
  });

  test("keeps a wait under a second apart in RetryInfo and whole in Retry-After", () => {
    const error = toConnectError(new GatewayError("queue_full", "full", { retryAfterMs: 120 }), ids);
    expect(error.findDetails(RetryInfoSchema)[0]?.retryDelay).toMatchObject({ seconds: 0n, nanos: 120_000_000 });
    expect(error.metadata.get("retry-after")).toBe("1");
  });

  test("stays small enough for a header, and keeps what was billed", () => {
    const upstream = {
      provider: "p",
      httpStatus: 500,
      type: "",
      code: "",
      message: "m".repeat(2_048),
      param: "",
      requestId: "",
      midStream: true,
      bodyJson: `"${"b".repeat(16_000)}"`,
    };
    const fields = Array.from({ length: 100 }, (_, index) => ({ field: `f[${index}]`, description: "wrong" }));
    const failure = new GatewayError("provider_error", "it failed", { upstream, fields });
    const attempts = Array.from({ length: 100 }, () => create(AttemptSchema, { target: "t".repeat(100) }));
    failure.settled = create(SettledSchema, { costNanoUsd: 7n, attempts });
    const error = toConnectError(failure, ids);
    const [detail] = error.findDetails(FailureDetailSchema);
    if (detail === undefined) throw new Error("no FailureDetail");
    expect(toBinary(FailureDetailSchema, detail).byteLength).toBeLessThanOrEqual(4_096);
    expect(detail.settled?.costNanoUsd).toBe(7n);
    expect(detail.upstream?.message).toHaveLength(2_048);
    expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations).toHaveLength(16);
    expect(failure.settled.attempts, "the pipeline's own record is not touched").toHaveLength(100);
    expect(upstream.bodyJson).toHaveLength(16_002);
  });
});

test.each([
  ["plain: words / & signs, 100%", "plain: words / & signs, 100%25"],
  ["caf\u00e9\nnext", "caf%C3%A9%0Anext"],
  ["half \ud800 pair", "half %EF%BF%BD pair"],
])("encodeGrpcMessage(%j)", (message, encoded) => {
  expect(encodeGrpcMessage(message)).toBe(encoded);
});
