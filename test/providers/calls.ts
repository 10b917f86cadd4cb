/** Calls, targets and requests for tests of providers. */

import { create } from "@bufbuild/protobuf";
import { type CallOptions, CallOptionsSchema } from "../../gen/dragoman/v1/call_pb.ts";
import { type GenerateRequest, GenerateRequestSchema, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { AttemptSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { AttemptCall } from "../../src/core/call.ts";
import { createPrincipal } from "../../src/core/principal.ts";
import type { Target } from "../../src/core/target.ts";

interface CallInit {
  readonly signal?: AbortSignal;
  readonly buffered?: boolean;
  readonly traceparent?: string;
  readonly options?: CallOptions;
}

export function startCall({
  signal = new AbortController().signal,
  buffered = false,
  traceparent = "",
  options,
}: CallInit = {}): AttemptCall {
  return {
    requestId: "01J00000000000000000000000",
    clientRequestId: "client-1",
    operation: buffered ? "complete" : "generate",
    surface: "rpc",
    dialect: "dragoman",
    principal: createPrincipal({ id: "anonymous", scopes: new Set(["*"]) }),
    signal,
    startedAt: performance.now(),
    deadline: performance.now() + 60_000,
    traceparent,
    attribution: undefined,
    options,
    attempts: [],
    translation: [],
    targets: [],
    maxAttempts: 3,
    route: "",
    attempt: create(AttemptSchema),
    buffered,
  };
}

export function strict(): CallOptions {
  return create(CallOptionsSchema, { strict: true });
}

export function targetOf(provider: string, model: string): Target {
  return { id: `${provider}/${model}`, provider, model, traits: {} };
}

export function ask(text: string, model = "m"): GenerateRequest {
  return create(GenerateRequestSchema, { model, messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: text } }] }] });
}
