/** A GatewayError as Connect, gRPC and gRPC-Web send it: a code, google.rpc details, and metadata (surfaces.md 2.7). */
import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Code, ConnectError } from "@connectrpc/connect";
import { ErrorReason, type FailureDetail, FailureDetailSchema, UpstreamFailureSchema } from "../../gen/dragoman/v1/errors_pb.ts";
import { SettledSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import type { GatewayError, Reason } from "../core/error.ts";
import type { CallIds } from "./call-ids.ts";

const quotaReasons: ReadonlySet<Reason> = new Set(["rate_limited", "concurrency_limit_exceeded", "quota_exhausted", "queue_full"]);
/** Details travel as one header; gRPC clients take 8 KiB of them all together, and base64 adds a third. */
const maxFailureBytes = 4096;
const maxViolations = 16;

export function toConnectError(error: GatewayError, ids: CallIds): ConnectError {
  const reason = error.reason.toUpperCase() as keyof typeof ErrorReason;
  const {
    fields = [],
    retryAfterMs,
    upstream,
    headers,
    violations = [{ subject: error.reason, description: error.message }],
  } = error.details;
  const details = [
    detail(ErrorInfoSchema, { reason, domain: "dragoman", metadata: upstream === undefined ? {} : { provider: upstream.provider } }),
    detail(RequestInfoSchema, { requestId: ids.requestId }),
  ];
  if (fields.length > 0) {
    const fieldViolations = fields.slice(0, maxViolations).map(({ field, description }) => ({ field, description }));
    details.push(detail(BadRequestSchema, { fieldViolations }));
  }
  if (retryAfterMs !== undefined) details.push(detail(RetryInfoSchema, { retryDelay: toDuration(retryAfterMs) }));
  if (quotaReasons.has(error.reason)) {
    details.push(detail(QuotaFailureSchema, { violations: [...violations.slice(0, maxViolations)] }));
  }
  details.push(detail(FailureDetailSchema, describeFailure(error, ErrorReason[reason], ids)));

  const metadata = new Headers(headers);
  metadata.set("x-request-id", ids.clientRequestId);
  metadata.set("x-dragoman-request-id", ids.requestId);
  metadata.set("x-dragoman-error-reason", error.reason);
  metadata.set("x-should-retry", String(error.retryable));
  if (retryAfterMs !== undefined || error.status === 429) {
    metadata.set("retry-after", String(Math.max(1, Math.ceil((retryAfterMs ?? 1_000) / 1_000))));
  }
  return new ConnectError(error.message, error.code as Code, metadata, details, error.details.cause);
}

function describeFailure(error: GatewayError, reason: ErrorReason, { requestId }: CallIds): FailureDetail {
  const { retryAfterMs, upstream } = error.details;
  const failure = create(FailureDetailSchema, {
    reason,
    committed: error.committed,
    lastSequence: error.lastSequence,
    retryable: error.retryable,
    requestId,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs: Math.round(retryAfterMs) }),
    ...(upstream === undefined ? {} : { upstream: create(UpstreamFailureSchema, upstream) }),
    ...(error.settled === undefined ? {} : { settled: error.settled }),
  });
  return shorten(failure);
}

/** Leaves out the longest and least needed until the rest fits a header. What was billed goes last. */
function shorten(failure: FailureDetail): FailureDetail {
  const fits = (): boolean => toBinary(FailureDetailSchema, failure).byteLength <= maxFailureBytes;
  if (fits()) return failure;
  if (failure.upstream !== undefined) failure.upstream.bodyJson = "";
  if (fits() || failure.settled === undefined) return failure;
  const { usage, costNanoUsd, pricingVersion } = failure.settled;
  failure.settled = create(SettledSchema, {
    pricingVersion,
    ...(usage === undefined ? {} : { usage }),
    ...(costNanoUsd === undefined ? {} : { costNanoUsd }),
  });
  return failure;
}

/** Types a detail's value by its schema; ConnectError itself takes any shape. */
function detail<Desc extends DescMessage>(
  desc: Desc,
  value: MessageInitShape<Desc>,
): { desc: DescMessage; value: MessageInitShape<DescMessage> } {
  return { desc, value };
}

function toDuration(ms: number): { seconds: bigint; nanos: number } {
  const whole = Math.round(ms);
  return { seconds: BigInt(Math.floor(whole / 1_000)), nanos: (whole % 1_000) * 1_000_000 };
}
