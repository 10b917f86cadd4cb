/** The procedures of each port. Start here: what is served, and who may ask. */
import type { ConnectRouter } from "@connectrpc/connect";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { Health } from "../../gen/grpc/health/v1/health_pb.ts";
import type { Access } from "../core/access.ts";
import { readCredential } from "../core/credential.ts";
import { GatewayError } from "../core/error.ts";
import type { CallStarter } from "../core/incoming.ts";
import type { Logger } from "../core/log.ts";
import type { NodeHandler } from "../core/node-handler.ts";
import type { Operations } from "../core/operations.ts";
import { idsWithoutCall } from "./call-ids.ts";
import { toConnectError } from "./connect-error.ts";
import { createConnectHandler } from "./connect-handler.ts";
import { type HealthTable, ServingStatus } from "./health-table.ts";
import { createInferenceService, principalKey } from "./inference-service.ts";
import { strictJson } from "./json-decoder.ts";
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

/** The admin port: health and reflection. */
export function createOpsRpcHandler(options: OpsRpcOptions): NodeHandler {
  const { health, reflection } = options;
  return createConnectHandler({
    ...options,
    routes(router) {
      router.service(Health, health.service);
      if (reflection) serveReflection(router, [Health]);
    },
  });
}

/** Method by method, because the JSON of each is held against its own message. */
function serveInference(router: ConnectRouter, { operations, starter, access, limits }: RpcOptions, log: Logger): void {
  const service = createInferenceService({ operations, starter, validate: createRequestValidator(), log });
  const { generate, complete, embed, countTokens, listModels } = InferenceService.method;
  const optionsOf = ({ input }: { input: Parameters<typeof strictJson>[0] }) => ({
    readMaxBytes: limits.inferenceMessageBytes,
    jsonOptions: strictJson(input, limits.json),
    requestGate: createGate(access),
  });
  router.rpc(generate, service.generate, optionsOf(generate));
  router.rpc(complete, service.complete, optionsOf(complete));
  router.rpc(embed, service.embed, optionsOf(embed));
  router.rpc(countTokens, service.countTokens, optionsOf(countTokens));
  router.rpc(listModels, service.listModels, optionsOf(listModels));
}

/** Runs when the headers are there, before a message is read. */
function createGate(access: Access): NonNullable<NonNullable<Parameters<ConnectRouter["rpc"]>[2]>["requestGate"]> {
  return async ({ requestHeader, values }) => {
    try {
      values.set(principalKey, await access.authenticate(readCredential((name) => requestHeader.get(name))));
    } catch (thrown) {
      throw toConnectError(GatewayError.from(thrown), idsWithoutCall(requestHeader.get("x-request-id")));
    }
  };
}
