/** The status with which a gRPC upstream ended a call, and the GatewayError that it means (contract.md 7). */
import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { type Any, anyIs } from "@bufbuild/protobuf/wkt";
import { BadRequestSchema, ErrorInfoSchema, QuotaFailureSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import type { GatewayError } from "../core/error.ts";
import { clampRetryAfter } from "../core/retry-after.ts";
import { type UpstreamFailureFacts, upstreamError } from "../core/upstream-error.ts";

/** Names by number: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto */
const codeNames = [
  "OK",
  "CANCELLED",
  "UNKNOWN",
  "INVALID_ARGUMENT",
  "DEADLINE_EXCEEDED",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "PERMISSION_DENIED",
  "RESOURCE_EXHAUSTED",
  "FAILED_PRECONDITION",
  "ABORTED",
  "OUT_OF_RANGE",
  "UNIMPLEMENTED",
  "INTERNAL",
  "UNAVAILABLE",
  "DATA_LOSS",
  "UNAUTHENTICATED",
] as const;

/** The HTTP status that code.proto gives each code, by number. */
const httpStatuses = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401] as const;

export interface GrpcFailureFacts {
  readonly code: number;
  readonly message: string;
  /** Of `grpc-status-details-bin`; undefined where there was none. */
  readonly details: Uint8Array | undefined;
  /** Whether the answer had begun. */
  readonly midStream: boolean;
  readonly requestId: string;
}

/** An upstream's own status, as it came. The provider makes a GatewayError of it. */
export class GrpcFailure extends Error {
  override readonly name = "GrpcFailure";
  readonly code: number;
  readonly midStream: boolean;
  readonly requestId: string;
  readonly #details: readonly Any[];

  constructor({ code, message, details, midStream, requestId }: GrpcFailureFacts) {
    const status = readStatus(details);
    // Some servers damage the text in the header: characters are escaped that need not be.
    super(status?.message || message);
    this.code = code;
    this.midStream = midStream;
    this.requestId = requestId;
    this.#details = status?.details ?? [];
  }

  /** `RESOURCE_EXHAUSTED`. */
  get codeName(): string {
    return codeNames[this.code] ?? "UNKNOWN";
  }

  /** The HTTP status that means the same. */
  get httpStatus(): number {
    return httpStatuses[this.code] ?? 500;
  }

  /** The first detail of a type; undefined where there is none that can be read. */
  detail<Desc extends DescMessage>(schema: Desc): MessageShape<Desc> | undefined {
    const found = this.#details.find((detail) => anyIs(detail, schema));
    if (found === undefined) return undefined;
    try {
      return fromBinary(schema, found.value);
    } catch {
      return undefined;
    }
  }

  /** Milliseconds; undefined where the upstream did not say. */
  get retryAfterMs(): number | undefined {
    const delay = this.detail(RetryInfoSchema)?.retryDelay;
    return delay === undefined ? undefined : clampRetryAfter(Number(delay.seconds) * 1_000 + delay.nanos / 1e6);
  }
}

function readStatus(bytes: Uint8Array | undefined) {
  if (bytes === undefined) return undefined;
  try {
    return fromBinary(StatusSchema, bytes);
  } catch {
    return undefined;
  }
}

/** A vendor's status as an error. `changes` are what the vendor's own words mean beyond the code. */
export function vendorError(
  failure: GrpcFailure,
  provider: string,
  changes: Partial<Pick<UpstreamFailureFacts, "reason" | "retryable" | "code">> = {},
): GatewayError {
  const reason = failure.detail(ErrorInfoSchema)?.reason;
  const param = failure.detail(BadRequestSchema)?.fieldViolations[0]?.field;
  // A quota of a day does not come back within any time that a client would wait.
  const isUsedUp =
    failure.detail(QuotaFailureSchema)?.violations.some(({ quotaId, subject }) => /PerDay/i.test(quotaId + subject)) ?? false;
  return upstreamError({
    provider,
    status: 0,
    type: failure.codeName,
    code: reason,
    message: failure.message,
    param,
    requestId: failure.requestId,
    midStream: failure.midStream,
    retryAfterMs: isUsedUp ? undefined : failure.retryAfterMs,
    ...(isUsedUp ? { reason: "quota_exhausted", retryable: false } : {}),
    ...changes,
  });
}
