/** The procedures of each port. Start here: what is served, and who may ask. */
import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import type { Access } from "../core/access.ts";
import type { Operation } from "../core/call.ts";
import type { CallStarter } from "../core/incoming.ts";
import type { CallerPace } from "../core/limits.ts";
import type { Logger } from "../core/log.ts";
import type { Metrics } from "../core/metrics.ts";
import type { NodeHandler } from "../core/node-handler.ts";
import type { Operations } from "../core/operations.ts";
import type { OverloadGate } from "../core/overload.ts";
import type { RequestLog } from "../core/request-log.ts";
import { type AdminOptions, serveAdmin } from "./admin/serve-admin.ts";
import { createConnectHandler } from "./connect-handler.ts";
import { createGate, type GateOptions } from "./gate.ts";
import { type HealthTable, ServingStatus } from "./health-table.ts";
import { createInferenceService } from "./inference-service.ts";
import { strictJson } from "./json-decoder.ts";
import { recordRefused } from "./record-refused.ts";
import { serveReflection } from "./reflection.ts";
import { createRequestValidator } from "./request-validator.ts";
import type { RpcLimits } from "./rpc-limits.ts";

export interface OpsRpcOptions {
  readonly health: HealthTable;
  /** Whether clients may ask for the schema. No key is needed for it. */
  readonly reflection: boolean;
  readonly limits: RpcLimits;
  readonly shutdownSignal?: AbortSignal | undefined;
  readonly log: Logger;
  /** Takes everything that is no procedure. */
  readonly fallback: NodeHandler;
}

export interface RpcOptions extends OpsRpcOptions {
  readonly operations: Operations;
  readonly starter: CallStarter;
  readonly access: Access;
  /** Absent: what is refused before it runs leaves no record. */
  readonly requestLog?: RequestLog | undefined;
  /** Absent: nothing is counted. */
  readonly metrics?: Metrics | undefined;
  /** Absent: callers may come as often as they like. */
  readonly pace?: CallerPace | undefined;
  /** Absent: calls are taken however busy the process is. */
  readonly overload?: OverloadGate | undefined;
  /** Whether the request log is to hold SHA-256 of answers. */
  readonly hashBodies?: boolean | undefined;
}

/** The data port: inference for callers with a credential, health and reflection for everyone. */
export function createRpcHandler(options: RpcOptions): NodeHandler {
  const { health, reflection, log } = options;
  health.set(InferenceService.typeName, ServingStatus.SERVING);
  return createConnectHandler({
    ...options,
    routes(router) {
      serveInference(router, options, log);
      router.service(Health, health.service);
      if (reflection) serveReflection(router, [InferenceService, Health]);
    },
  });
}

export interface AdminRpcOptions extends OpsRpcOptions {
  /** Absent: health and reflection only. */
  readonly admin?: AdminOptions | undefined;
}

/** The admin port: the admin services for callers who may, health and reflection for everyone. */
export function createAdminRpcHandler(options: AdminRpcOptions): NodeHandler {
  const { health, reflection, admin } = options;
  const services = admin?.services.map(({ service }) => service) ?? [];
  for (const { typeName } of services) health.set(typeName, ServingStatus.SERVING);
  return createConnectHandler({
    ...options,
    routes(router) {
      if (admin !== undefined) serveAdmin(router, admin, options);
      router.service(Health, health.service);
      if (reflection) serveReflection(router, [...services, Health]);
    },
  });
}

/** Method by method, because the JSON of each is held against its own message. */
function serveInference(router: ConnectRouter, options: RpcOptions, log: Logger): void {
  const { operations, starter, access, limits, metrics, requestLog, pace, overload } = options;
  const service = createInferenceService({ operations, starter, validate: createRequestValidator(), metrics, requestLog, log });
  const { generate, complete, embed, countTokens, listModels } = InferenceService.method;
  const gateOf = (operation: Operation | undefined): GateOptions => {
    if (operation === undefined) return { metrics, pace };
    return { metrics, pace, overload, onRefused: requestLog === undefined ? undefined : recordRefused(operation, { starter, requestLog }) };
  };
  const optionsOf = (method: DescMethod, operation?: Operation) => ({
    readMaxBytes: limits.inferenceMessageBytes,
    jsonOptions: strictJson(method.input, limits.json),
    requestGate: createGate(access, method, "data", gateOf(operation)),
  });
  router.rpc(generate, service.generate, optionsOf(generate, "generate"));
  router.rpc(complete, service.complete, optionsOf(complete, "complete"));
  router.rpc(embed, service.embed, optionsOf(embed, "embed"));
  router.rpc(countTokens, service.countTokens, optionsOf(countTokens, "count_tokens"));
  router.rpc(listModels, service.listModels, optionsOf(listModels));
}
