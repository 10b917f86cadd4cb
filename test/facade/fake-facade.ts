/** The HTTP surfaces over a socket, with a pipeline that answers whatever a test says. */

import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { create } from "@bufbuild/protobuf";
import { afterEach } from "vitest";
import { EmbeddingSchema, EmbedResponseSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { BlockKind, FinishReason, type GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { CountTokensResponseSchema } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { type ListModelsResponse, ListModelsResponseSchema, type Model, ModelSchema } from "../../gen/dragoman/v1/model_pb.ts";
import { UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../../src/core/call.ts";
import { systemClock } from "../../src/core/clock.ts";
import { GatewayError } from "../../src/core/error.ts";
import { type EventBatch, EventBuilder, finishedEvent, startedEvent, usageEvent } from "../../src/core/event.ts";
import { Fold } from "../../src/core/fold.ts";
import { silentLog } from "../../src/core/log.ts";
import type { Operations } from "../../src/core/operations.ts";
import { createPrincipal } from "../../src/core/principal.ts";
import type { Scope } from "../../src/core/scope.ts";
import { createHttpFacade } from "../../src/facade/http-facade.ts";
import { createCallStarter } from "../../src/pipeline/call-starter.ts";
import { listModels } from "../../src/pipeline/list-models.ts";
import { createMemoryResponses } from "../../src/stores/memory-responses.ts";

export type Generate = (request: GenerateRequest, call: Call) => AsyncGenerator<EventBatch>;

export interface FacadeSetup {
  readonly generate?: Generate;
  readonly operations?: Partial<Operations>;
  readonly defaultStream?: boolean;
  /** Keys and what each may do; without any, everybody may do everything. */
  readonly keys?: Readonly<Record<string, readonly Scope[]>>;
}

/** "Hello" in two pieces, cut off by its length. */
export async function* hello(): AsyncGenerator<EventBatch> {
  const events = new EventBuilder();
  events.push(startedEvent({ generationId: "g1", provider: "p", node: "p/m", servedModel: "m", upstreamId: "chatcmpl-up" }));
  const text = events.startBlock(0, BlockKind.TEXT);
  events.text(0, text, "Hel");
  yield { events: events.take() };
  events.text(0, text, "lo");
  yield { events: events.take() };
  events.endOpenBlocks();
  events.push(usageEvent(create(UsageSchema, { inputTokens: 3, outputTokens: 2, basis: UsageBasis.PROVIDER })));
  events.push(finishedEvent({ reason: FinishReason.LENGTH }));
  yield { events: events.take() };
}

const running: Server[] = [];
afterEach(() => {
  for (const server of running.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** Gives the URL. Closed after the test. */
export async function startFacade({ generate = hello, operations, defaultStream = false, keys }: FacadeSetup = {}): Promise<string> {
  const facade = createHttpFacade({
    operations: { ...fakeOperations(generate), ...operations },
    access: {
      enabled: keys !== undefined,
      authenticate(credential = "") {
        if (keys === undefined) return createPrincipal({ id: "anonymous", scopes: new Set(["*" as const]) });
        const scopes = keys[credential];
        if (scopes === undefined) throw new GatewayError("unauthenticated", "the API key is missing or not valid");
        return createPrincipal({ id: `owner of ${credential}`, scopes: new Set(scopes) });
      },
    },
    starter: createCallStarter({ clock: systemClock, maxTimeoutMs: 10_000 }),
    responses: createMemoryResponses({ maxBytes: 1 << 20, ttlMs: 60_000, clock: systemClock }),
    clock: systemClock,
    log: silentLog,
    body: { maxBytes: 1 << 20, json: { maxDepth: 64, maxNodes: 200_000 } },
    defaultStream,
  });
  const server = createServer(facade);
  running.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return `http://127.0.0.1:${address.port}`;
}

function fakeOperations(generate: Generate): Operations {
  return {
    generate,
    async complete(request, call) {
      const fold = new Fold();
      const raws: Uint8Array[] = [];
      for await (const { events, raw } of generate(request, call)) {
        fold.addAll(events);
        if (raw !== undefined) raws.push(raw);
      }
      return raws.length === 0 ? { response: fold.response() } : { response: fold.response(), raw: Buffer.concat(raws) };
    },
    embed: async ({ inputs }) =>
      create(EmbedResponseSchema, {
        embeddings: inputs.map((_, index) => create(EmbeddingSchema, { index, type: 1, values: [0.5, -1] })),
        usage: create(UsageSchema, { inputTokens: 4 }),
        servedModel: "vectors",
        provider: "p",
      }),
    countTokens: async () => create(CountTokensResponseSchema, { inputTokens: 11, basis: UsageBasis.COUNTED, provider: "p" }),
    listModels: async (request): Promise<ListModelsResponse> => create(ListModelsResponseSchema, listModels(request, fakeModels)),
  };
}

const fakeModels: readonly Model[] = ["smart", "meta-llama/Llama-3", "llama3:8b"].map((id) =>
  create(ModelSchema, { id, ownedBy: "p", contextWindow: 1000 }),
);

export const json = { "content-type": "application/json" };

export function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const bytes = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
  return fetch(url, { method: "POST", headers: { ...json, ...headers }, body: bytes as BodyInit });
}
