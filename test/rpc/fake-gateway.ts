/** A whole server over real sockets, with hand-written operations instead of the pipeline. */
import { create } from "@bufbuild/protobuf";
import { EmbedResponseSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { BlockKind, FinishReason, type GenerateRequest, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { CountTokensResponseSchema } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { ListModelsResponseSchema } from "../../gen/dragoman/v1/model_pb.ts";
import { SettledSchema, TranslationAction } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Access } from "../../src/core/access.ts";
import type { Call } from "../../src/core/call.ts";
import { systemClock } from "../../src/core/clock.ts";
import { GatewayError } from "../../src/core/error.ts";
import { type EventBatch, EventBuilder, finishedEvent, type GenerateEvent, settledEvent, startedEvent } from "../../src/core/event.ts";
import { Fold } from "../../src/core/fold.ts";
import type { Logger } from "../../src/core/log.ts";
import type { NodeHandler } from "../../src/core/node-handler.ts";
import type { Operations } from "../../src/core/operations.ts";
import { createPrincipal, type Principal } from "../../src/core/principal.ts";
import { createCallStarter, inboundHeaders } from "../../src/pipeline/call-starter.ts";
import { HealthTable } from "../../src/rpc/health-table.ts";
import { createRpcHandler } from "../../src/rpc/rpc-handler.ts";
import type { RpcLimits } from "../../src/rpc/rpc-limits.ts";
import { createAdminHandler } from "../../src/server/admin-handler.ts";
import { createCors } from "../../src/server/cors.ts";
import { createHealthHandler, type ReadinessFacts } from "../../src/server/health-handler.ts";
import type { ServerLimits } from "../../src/server/limits.ts";
import type { TlsFiles } from "../../src/server/one-port.ts";
import { createServer, type Server } from "../../src/server/server.ts";

export const serverLimits: ServerLimits = {
  headerBytes: 16_384,
  headerFields: 100,
  urlBytes: 8_192,
  headerTimeoutMs: 10_000,
  bodyTimeoutMs: 30_000,
  idleTimeoutMs: 120_000,
  h2Streams: 1_000,
  h2StreamWindowBytes: 65_536,
  h2ConnectionWindowBytes: 1 << 20,
  h2Resets: 100,
  h2ResetWindowMs: 10_000,
  http1WriteStallMs: 60_000,
  http2WriteStallMs: 30_000,
  pingIntervalMs: 20_000,
  connections: 10_000,
  connectionAgeMs: 3_600_000,
};

export const rpcLimits: RpcLimits = {
  inferenceMessageBytes: 10 << 20,
  controlMessageBytes: 4 << 20,
  answerMessageBytes: 64 << 20,
  maxTimeoutMs: 600_000,
  json: { maxDepth: 64, maxNodes: 200_000 },
};

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields?: Record<string, unknown> | undefined;
}

export interface FakeOptions {
  readonly operations?: Partial<Operations>;
  /** Credentials that are known; none at all means auth is off. */
  readonly keys?: readonly string[];
  readonly limits?: Partial<ServerLimits>;
  readonly tls?: TlsFiles;
  readonly origins?: readonly string[];
  readonly drain?: { readonly noticeMs: number; readonly graceMs: number };
  readonly readiness?: ReadinessFacts;
  readonly reflection?: boolean;
  readonly fallback?: NodeHandler;
}

export interface FakeGateway {
  readonly port: number;
  readonly adminPort: number;
  readonly url: string;
  readonly adminUrl: string;
  readonly health: HealthTable;
  readonly server: Server;
  readonly log: readonly LogLine[];
  /** The calls that reached an operation, in order. */
  readonly calls: readonly Call[];
}

const running: Server[] = [];

/** For `afterEach`: stops what was started, at once. */
export async function stopAll(): Promise<void> {
  const servers = running.splice(0);
  for (const server of servers) void server.stop();
  await Promise.all(servers.map((server) => server.stop()));
}

export async function startGateway(options: FakeOptions = {}): Promise<FakeGateway> {
  const log: LogLine[] = [];
  const logger = memoryLog(log);
  const health = new HealthTable();
  const limits = { ...serverLimits, ...options.limits };
  const calls: Call[] = [];
  const shutdown = new AbortController();
  const notFound: NodeHandler = (_request, response) => {
    if ("stream" in response) response.writeHead(404).end("not found");
    else response.writeHead(404).end("not found");
  };
  const shared = { health, reflection: options.reflection ?? true, limits: rpcLimits, shutdownSignal: shutdown.signal, log: logger };
  const rpc = createRpcHandler({
    ...shared,
    operations: recording({ ...echoOperations, ...options.operations }, calls),
    starter: createCallStarter({ clock: systemClock, maxTimeoutMs: 600_000 }),
    access: fakeAccess(options.keys),
    fallback: options.fallback ?? notFound,
  });
  const cors = createCors({ origins: options.origins ?? [], inboundHeaders });
  const answerHealth = createHealthHandler({ health });
  const server = createServer({
    data: {
      host: "127.0.0.1",
      port: 0,
      tls: options.tls,
      handler: (request, response) => {
        if (!cors(request, response) && !answerHealth(request, response)) rpc(request, response);
      },
    },
    admin: {
      host: "127.0.0.1",
      port: 0,
      handler: createAdminHandler({ ...shared, readiness: () => options.readiness ?? { away: [], unenforceable: [] } }),
    },
    limits,
    inboundHeaders,
    drain: options.drain ?? { noticeMs: 0, graceMs: 0 },
    health,
    abortCalls: () => shutdown.abort(new GatewayError("no_target", "the gateway is shutting down; repeat the call")),
    log: logger,
  });
  running.push(server);
  const { data, admin } = await server.listen();
  const scheme = options.tls === undefined ? "http" : "https";
  return {
    port: data.port,
    adminPort: admin?.port ?? 0,
    url: `${scheme}://127.0.0.1:${data.port}`,
    adminUrl: `http://127.0.0.1:${admin?.port ?? 0}`,
    health,
    server,
    log,
    calls,
  };
}

export function memoryLog(lines: LogLine[]): Logger {
  const at = (level: string) => (message: string, fields?: Record<string, unknown>) => void lines.push({ level, message, fields });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

function fakeAccess(keys: readonly string[] | undefined): Access {
  const scopes: Principal["scopes"] = new Set(["*"]);
  return {
    enabled: keys !== undefined,
    authenticate(credential) {
      if (keys === undefined) return createPrincipal({ id: "anonymous", scopes });
      if (credential === undefined || !keys.includes(credential))
        throw new GatewayError("unauthenticated", "the credential is missing or not valid");
      return createPrincipal({ id: `apikey:${keys.indexOf(credential)}`, scopes });
    },
  };
}

function recording(operations: Operations, calls: Call[]): Operations {
  const record =
    <Request, Reply>(run: (request: Request, call: Call) => Reply) =>
    (request: Request, call: Call): Reply => {
      calls.push(call);
      return run(request, call);
    };
  return {
    generate: record(operations.generate),
    complete: record(operations.complete),
    embed: record(operations.embed),
    countTokens: record(operations.countTokens),
    listModels: record(operations.listModels),
  };
}

/** Streams the last text of the request back, word by word, one batch each. */
export const echoOperations: Operations = {
  async *generate(request, call) {
    yield* number(echo(request, call));
  },
  async complete(request, call) {
    const fold = new Fold();
    for await (const { events } of number(echo(request, call))) fold.addAll(events);
    return { response: fold.response() };
  },
  embed: async ({ model }) => create(EmbedResponseSchema, { requestedModel: model, embeddings: [{ values: [1, 0] }] }),
  countTokens: async () => create(CountTokensResponseSchema, { inputTokens: 7 }),
  listModels: async () => create(ListModelsResponseSchema, { models: [{ id: "echo" }] }),
};

async function* echo(request: GenerateRequest, call: Call): AsyncGenerator<EventBatch> {
  const builder = new EventBuilder();
  builder.push(startedEvent({ requestId: call.requestId, requestedModel: request.model }));
  const index = builder.startBlock(0, BlockKind.TEXT);
  for (const word of lastText(request).split(/(?<= )/)) {
    builder.text(0, index, word);
    yield { events: builder.take() };
  }
  builder.endBlock(0, index);
  builder.push(finishedEvent({ reason: FinishReason.STOP }));
  builder.push(settledEvent(create(SettledSchema, { translation: [{ action: TranslationAction.DROPPED, path: "sampling.top_k" }] })));
  yield { events: builder.take() };
}

function lastText(request: GenerateRequest): string {
  const part = request.messages.at(-1)?.parts.at(-1)?.part;
  return part?.case === "text" ? part.value : "";
}

/** Sets the sequences, as the pipeline does. */
export async function* number(batches: AsyncIterable<EventBatch>): AsyncGenerator<EventBatch> {
  let sequence = 0;
  for await (const batch of batches) {
    for (const event of batch.events as GenerateEvent[]) event.sequence = ++sequence;
    yield batch;
  }
}

/** A request that the contract takes. */
export function ask(text: string) {
  return { model: "echo", messages: [{ role: Role.USER, parts: [{ part: { case: "text" as const, value: text } }] }] };
}

/** The same in JSON. */
export function askJson(text: string): string {
  return JSON.stringify({ model: "echo", messages: [{ role: "ROLE_USER", parts: [{ text }] }] });
}

/** Resolves when the condition holds; fails after two seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 2_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`still waiting: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
