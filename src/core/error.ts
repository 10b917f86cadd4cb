/**
 * The one error of the gateway. Every failure that a caller may see is a GatewayError: codecs and surfaces render it,
 * the pipeline decides by it whether another target is tried. Reasons and their codes: surfaces.md 2.7.
 */
import type { Settled, TranslationNote } from "../../gen/dragoman/v1/usage_pb.ts";

/** The status codes of gRPC by name; https://grpc.io/docs/guides/status-codes/ */
export const grpcCodes = {
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  aborted: 10,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  unauthenticated: 16,
} as const;

export interface ReasonFacts {
  /** gRPC status code. */
  readonly code: number;
  /** HTTP status on the /v1 surface. */
  readonly status: number;
  /** Whether repeating the same call can help; a GatewayError may know better. */
  readonly retryable: boolean;
}

/** One table from reason to gRPC code, HTTP status, retryable. A name here is an ErrorReason in lower case. */
export const reasons = {
  unauthenticated: { code: grpcCodes.unauthenticated, status: 401, retryable: false },
  forbidden: { code: grpcCodes.permissionDenied, status: 403, retryable: false },
  app_mismatch: { code: grpcCodes.permissionDenied, status: 403, retryable: false },
  policy_blocked: { code: grpcCodes.permissionDenied, status: 403, retryable: false },
  integration_mode_mismatch: { code: grpcCodes.permissionDenied, status: 403, retryable: false },
  invalid_request: { code: grpcCodes.invalidArgument, status: 400, retryable: false },
  conflicting_attribution: { code: grpcCodes.invalidArgument, status: 400, retryable: false },
  untranslatable: { code: grpcCodes.invalidArgument, status: 400, retryable: false },
  policy_not_found: { code: grpcCodes.notFound, status: 404, retryable: false },
  model_not_found: { code: grpcCodes.notFound, status: 404, retryable: false },
  route_not_found: { code: grpcCodes.unimplemented, status: 404, retryable: false },
  request_id_conflict: { code: grpcCodes.alreadyExists, status: 409, retryable: false },
  idempotency_mismatch: { code: grpcCodes.invalidArgument, status: 422, retryable: false },
  idempotency_in_flight: { code: grpcCodes.alreadyExists, status: 409, retryable: true },
  not_replayable: { code: grpcCodes.alreadyExists, status: 409, retryable: false },
  guardrail_blocked: { code: grpcCodes.failedPrecondition, status: 400, retryable: false },
  context_exceeded: { code: grpcCodes.invalidArgument, status: 400, retryable: false },
  rate_limited: { code: grpcCodes.resourceExhausted, status: 429, retryable: true },
  concurrency_limit_exceeded: { code: grpcCodes.resourceExhausted, status: 429, retryable: true },
  quota_exhausted: { code: grpcCodes.resourceExhausted, status: 429, retryable: false },
  queue_full: { code: grpcCodes.resourceExhausted, status: 429, retryable: true },
  too_large: { code: grpcCodes.resourceExhausted, status: 413, retryable: false },
  no_target: { code: grpcCodes.unavailable, status: 503, retryable: true },
  provider_error: { code: grpcCodes.unavailable, status: 502, retryable: true },
  timeout: { code: grpcCodes.deadlineExceeded, status: 504, retryable: true },
  cancelled: { code: grpcCodes.cancelled, status: 499, retryable: false },
  unsupported: { code: grpcCodes.unimplemented, status: 501, retryable: false },
  ledger_unavailable: { code: grpcCodes.unavailable, status: 503, retryable: true },
  store_unavailable: { code: grpcCodes.unavailable, status: 503, retryable: true },
  not_found: { code: grpcCodes.notFound, status: 404, retryable: false },
  already_exists: { code: grpcCodes.alreadyExists, status: 409, retryable: false },
  etag_mismatch: { code: grpcCodes.aborted, status: 412, retryable: false },
  internal: { code: grpcCodes.internal, status: 500, retryable: false },
} as const satisfies Record<string, ReasonFacts>;

export type Reason = keyof typeof reasons;

/** One wrong field of a request. */
export interface FieldViolation {
  /** Path in the words of whoever reads it: a dialect's on its surface, the contract's on RPC. `messages[0].content`. */
  readonly field: string;
  /** What is wrong and what would be right. No client content. */
  readonly description: string;
}

/** A provider's own words, credentials removed. Shapes as in dragoman.v1.UpstreamFailure. */
export interface UpstreamWords {
  readonly provider: string;
  /** 0 where the failure came inside a stream. */
  readonly httpStatus: number;
  readonly type: string;
  readonly code: string;
  /** At most 2048 characters. */
  readonly message: string;
  readonly param: string;
  readonly requestId: string;
  readonly midStream: boolean;
  /** JSON text of the error object, at most 16 KiB; empty where there was none. */
  readonly bodyJson: string;
}

export interface ErrorDetails {
  readonly fields?: readonly FieldViolation[];
  /** Whether the paths of `fields` are the contract's whoever reads them, for surfaces to name in their words; always so of untranslatable. */
  readonly contractPaths?: boolean;
  /** After how many milliseconds a repeat makes sense. */
  readonly retryAfterMs?: number;
  /** Overrides the reason's default. */
  readonly retryable?: boolean;
  /** HTTP status instead of the reason's own, where an upstream's 400, 413 or 422 is passed on, or a 405 or 415 is meant. */
  readonly status?: number;
  readonly upstream?: UpstreamWords;
  /** What a translated call could not carry, with reason untranslatable. */
  readonly translation?: readonly TranslationNote[];
  /** The limits that refused the call, in words without content: google.rpc.QuotaFailure. */
  readonly violations?: readonly { readonly subject: string; readonly description: string }[];
  /** Headers of the answer, lower case: allow, www-authenticate. */
  readonly headers?: Readonly<Record<string, string>>;
  /** True where for certain nothing reached the provider's model: connect refused, TLS failure, a refusal of our own. */
  readonly undispatched?: boolean;
  /** True where the provider's stream ended well and held nothing. */
  readonly empty?: boolean;
  /** Logged, never sent. */
  readonly cause?: unknown;
}

/**
 * A failure that a caller may see. The message is for people: it says what was wrong and what to do, and holds no
 * secret and no content of the request.
 */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  readonly reason: Reason;
  readonly details: ErrorDetails;
  /** What the call had cost when it failed; set once by the pipeline's outermost stage. */
  settled: Settled | undefined;
  /** Whether content had reached the client; set once by the pipeline. */
  committed = false;
  /** Sequence of the last event that was sent; set once by the pipeline. */
  lastSequence = 0;

  constructor(reason: Reason, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.reason = reason;
    this.details = details;
  }

  get retryable(): boolean {
    return this.details.retryable ?? reasons[this.reason].retryable;
  }

  /** HTTP status on the /v1 surface. */
  get status(): number {
    return this.details.status ?? reasons[this.reason].status;
  }

  get code(): number {
    return reasons[this.reason].code;
  }

  /** The message without what a provider said, which may be the client's own words again: what a log may hold. */
  get messageForLog(): string {
    const said = this.details.upstream?.message ?? "";
    return said === "" ? this.message : this.message.replace(`: ${said}`, "");
  }

  /** The same failure with other field paths, and a message that names them. */
  withFields(fields: readonly FieldViolation[], message: string): GatewayError {
    const error = new GatewayError(this.reason, message, { ...this.details, fields });
    error.settled = this.settled;
    error.committed = this.committed;
    error.lastSequence = this.lastSequence;
    return error;
  }

  /** Anything thrown as a GatewayError; what is not one already is a fault of the gateway. */
  static from(thrown: unknown): GatewayError {
    if (thrown instanceof GatewayError) return thrown;
    return new GatewayError("internal", "the gateway failed on this call", { cause: thrown });
  }
}

/** A request whose field is wrong. */
export function invalidField(field: string, description: string): GatewayError {
  return new GatewayError("invalid_request", `${field}: ${description}`, { fields: [{ field, description }] });
}
