/** A failure of another Dragoman: it speaks our own words, so they are passed on. */
import { FailureDetailSchema } from "../../gen/dragoman/v1/errors_pb.ts";
import type { Usage } from "../../gen/dragoman/v1/usage_pb.ts";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { type ErrorDetails, GatewayError, type Reason, reasons, type UpstreamWords } from "../core/error.ts";
import { type GrpcFailure, vendorError } from "./grpc-failure.ts";

/** About this gateway's own key there: nothing for the caller. */
const ownCredential: ReadonlySet<string> = new Set(["unauthenticated", "forbidden", "app_mismatch", "integration_mode_mismatch"]);
/** To the inner gateway, this one is the client; here they mean that the provider failed. */
const providersFault: ReadonlySet<string> = new Set(["cancelled", "internal"]);

/** `name` is the inner gateway's configured name here. */
export function readDragomanFailure(failure: GrpcFailure, name: string): GatewayError {
  const info = failure.detail(ErrorInfoSchema);
  const said = info?.domain === "dragoman" ? info.reason.toLowerCase() : "";
  if (!isReason(said) || ownCredential.has(said)) return vendorError(failure, name);
  const reason = providersFault.has(said) ? "provider_error" : said;
  const detail = failure.detail(FailureDetailSchema);
  const fields = (failure.detail(BadRequestSchema)?.fieldViolations ?? []).map(({ field, description }) => ({ field, description }));
  const retryAfterMs = failure.retryAfterMs ?? detail?.retryAfterMs;
  const details: ErrorDetails = {
    upstream: wordsOf(failure, name),
    ...(fields.length === 0 ? {} : { fields }),
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(detail === undefined || reason !== said ? {} : { retryable: detail.retryable }),
    ...(detail?.settled === undefined ? {} : { translation: detail.settled.translation }),
  };
  return new GatewayError(reason, failure.message, details);
}

/** What the inner gateway was billed for the failed call; undefined where it was nothing, or it did not say. */
export function billedUsage(thrown: GrpcFailure): { readonly usage: Usage; readonly costNanoUsd: bigint | undefined } | undefined {
  const settled = thrown.detail(FailureDetailSchema)?.settled;
  if (settled?.usage === undefined) return undefined;
  const { inputTokens = 0, outputTokens = 0 } = settled.usage;
  return inputTokens + outputTokens === 0 ? undefined : { usage: settled.usage, costNanoUsd: settled.costNanoUsd };
}

function isReason(word: string): word is Reason {
  return Object.hasOwn(reasons, word);
}

/** The words of the provider behind the inner gateway, else those of the gateway itself. */
function wordsOf(failure: GrpcFailure, name: string): UpstreamWords {
  const inner = failure.detail(FailureDetailSchema)?.upstream;
  if (inner !== undefined) {
    const { httpStatus, type, code, message, param, requestId, midStream, bodyJson } = inner;
    return { provider: `${name}/${inner.provider}`, httpStatus, type, code, message, param, requestId, midStream, bodyJson };
  }
  return {
    provider: name,
    httpStatus: 0,
    type: failure.codeName,
    code: failure.detail(ErrorInfoSchema)?.reason ?? "",
    message: failure.message.slice(0, 2_048),
    param: failure.detail(BadRequestSchema)?.fieldViolations[0]?.field ?? "",
    requestId: failure.requestId,
    midStream: failure.midStream,
    bodyJson: "",
  };
}
