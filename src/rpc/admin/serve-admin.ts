/**
 * The frame of the admin services: every procedure is authenticated and authorised by the rule that stands at it in the
 * contract, its message is held against the contract, its failure is rendered, and what it changed is noted.
 */
import type { DescMessage, DescMethod, MessageShape } from "@bufbuild/protobuf";
import type { ConnectError, ConnectRouter, HandlerContext, MethodImpl } from "@connectrpc/connect";
import type { Access } from "../../core/access.ts";
import type { AuditStore } from "../../core/audit-store.ts";
import type { Clock } from "../../core/clock.ts";
import { GatewayError } from "../../core/error.ts";
import type { Logger } from "../../core/log.ts";
import type { Principal } from "../../core/principal.ts";
import { type CallIds, idsWithoutCall, writeIds } from "../call-ids.ts";
import { toConnectError } from "../connect-error.ts";
import { createGate, createJudge, type Judge, peerKey, principalOf } from "../gate.ts";
import { strictJson } from "../json-decoder.ts";
import { createRequestValidator, type ValidateRequest } from "../request-validator.ts";
import type { RpcLimits } from "../rpc-limits.ts";
import { AdminCall, adminCallKey } from "./admin-call.ts";
import type { AdminService } from "./admin-service.ts";
import { AuditTrail, changes } from "./audit-trail.ts";
import { endWithAccess } from "./end-with-access.ts";

export interface AdminOptions {
  readonly services: readonly AdminService[];
  readonly access: Access;
  readonly audit: Pick<AuditStore, "append">;
  readonly clock: Clock;
}

interface Frame {
  readonly validate: ValidateRequest;
  readonly trail: AuditTrail;
  readonly log: Logger;
}

type Message = MessageShape<DescMessage>;
type Unary = (request: Message, context: HandlerContext) => Promise<Message> | Message;
type Streaming = (request: Message, context: HandlerContext) => AsyncIterable<Message>;

/** Throws where a method has no rule, no implementation, or streams requests. */
export function serveAdmin(router: ConnectRouter, options: AdminOptions, { limits, log }: { limits: RpcLimits; log: Logger }): void {
  const { services, access, audit, clock } = options;
  const frame: Frame = { validate: createRequestValidator(), trail: new AuditTrail({ audit, clock, log }), log };
  for (const { service, implementation } of services) {
    for (const method of service.methods) {
      const run = implementation[method.localName];
      if (typeof run !== "function") throw new Error(`${service.typeName}.${method.name} is not implemented`);
      router.rpc(method, wrap(frame, method, run.bind(implementation), createJudge(access, method, "admin")), {
        readMaxBytes: limits.controlMessageBytes,
        jsonOptions: strictJson(method.input, limits.json),
        requestGate: createGate(access, method, "admin", {
          async onRefused(principal, error, context) {
            const { call } = beginAs(principal, method, context);
            await frame.trail.note(method, call, context.values.get(peerKey).address, error);
          },
        }),
      });
    }
  }
}

function wrap(frame: Frame, method: DescMethod, run: unknown, judge: Judge): MethodImpl<DescMethod> {
  switch (method.methodKind) {
    case "unary":
      return answerOnce(frame, method, run as Unary) as MethodImpl<DescMethod>;
    case "server_streaming":
      return answerStream(frame, method, run as Streaming, judge) as MethodImpl<DescMethod>;
    default:
      throw new Error(`${method.parent.typeName}.${method.name} streams requests; admin procedures take one message`);
  }
}

function answerOnce(frame: Frame, method: DescMethod, run: Unary) {
  return async (request: Message, context: HandlerContext): Promise<Message> => {
    const begun = begin(method, context);
    try {
      frame.validate(method.input, request);
      const response = await run(request, context);
      await note(frame, method, begun, context);
      writeIds(context.responseHeader, begun.ids);
      return response;
    } catch (thrown) {
      throw await fail(frame, method, begun, context, thrown);
    }
  };
}

function answerStream(frame: Frame, method: DescMethod, run: Streaming, judge: Judge) {
  return async function* (request: Message, context: HandlerContext): AsyncGenerator<Message> {
    const begun = begin(method, context);
    // Headers leave with the first message, so they are set before it.
    writeIds(context.responseHeader, begun.ids);
    try {
      frame.validate(method.input, request);
      yield* endWithAccess(judge, context, (watched) => run(request, watched));
      await note(frame, method, begun, context);
    } catch (thrown) {
      throw await fail(frame, method, begun, context, thrown);
    }
  };
}

interface Begun {
  readonly call: AdminCall;
  readonly ids: CallIds;
}

function begin(method: DescMethod, context: HandlerContext): Begun {
  return beginAs(principalOf(context), method, context);
}

function beginAs(principal: Principal, method: DescMethod, context: HandlerContext): Begun {
  const ids = idsWithoutCall(context.requestHeader.get("x-request-id"));
  const call = new AdminCall(principal, ids.requestId, !changes(method));
  context.values.set(adminCallKey, call);
  return { call, ids };
}

function note({ trail }: Frame, method: DescMethod, { call }: Begun, { values }: HandlerContext, failure?: GatewayError): Promise<void> {
  return trail.note(method, call, values.get(peerKey).address, failure);
}

async function fail(frame: Frame, method: DescMethod, begun: Begun, context: HandlerContext, thrown: unknown): Promise<ConnectError> {
  const error = GatewayError.from(thrown);
  if (error.reason === "internal") {
    frame.log.error("a procedure failed", {
      method: method.name,
      request_id: begun.ids.requestId,
      error: error.details.cause ?? error,
    });
  }
  await note(frame, method, begun, context, error);
  const failure = toConnectError(error, begun.ids);
  // Clients join headers and trailers: what stands in both would come out twice.
  for (const name of context.responseHeader.keys()) if (name !== "content-type") failure.metadata.delete(name);
  return failure;
}
