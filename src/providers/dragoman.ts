/**
 * Another Dragoman as a provider, over gRPC: requests, events, errors and reports are the same messages there. Models are
 * named as that gateway names them, so `inner/claude/claude-x` here is `claude/claude-x` there.
 */
import { create } from "@bufbuild/protobuf";
import { type Attribution, type CallOptions, CallOptionsSchema } from "../../gen/dragoman/v1/call_pb.ts";
import type { EmbedRequest, EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { type CountTokensResponse, InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import type { Settled, Usage } from "../../gen/dragoman/v1/usage_pb.ts";
import { type AttemptCall, throwIfStopped } from "../core/call.ts";
import { GatewayError } from "../core/error.ts";
import { type EventBatch, type GenerateEvent, usageEvent } from "../core/event.ts";
import type { Provider } from "../core/provider.ts";
import type { Target } from "../core/target.ts";
import { TranslationReport } from "../core/translation.ts";
import { billedUsage, readDragomanFailure } from "./dragoman-failure.ts";
import { ChainNames } from "./dragoman-names.ts";
import { GrpcConnection } from "./grpc-connection.ts";
import { GrpcFailure } from "./grpc-failure.ts";
import { httpLimits } from "./http-limits.ts";
import { bearer, type ProviderKind, type ProviderSetup } from "./provider-kind.ts";
import { UnknownFieldReader } from "./unknown-fields.ts";

/** Most models of one page of the list; the contract's maximum. */
const pageSize = 10_000;

export const dragoman: ProviderKind = {
  type: "dragoman",
  keyVariables: [],
  baseUrlVariables: [],
  needsKey: false,
  credential: bearer,
  create: createDragomanProvider,
};

function createDragomanProvider(setup: ProviderSetup): Provider {
  const { name } = setup.settings;
  const connection = new GrpcConnection(
    setup,
    (failure) => readDragomanFailure(failure, name),
    ({ requestId }) => ({ "x-request-id": requestId }),
  );
  const upstream = new DragomanUpstream(connection);
  return {
    name,
    traits: () => ({}),
    generate: (request, target, call) => upstream.generate(request, target, call),
    embed: (request, target, call) => upstream.embed(request, target, call),
    countTokens: (request, target, call) => upstream.countTokens(request, target, call),
    listModels: (signal) => upstream.listModels(signal),
    close: () => connection.close(),
  };
}

class DragomanUpstream {
  readonly #connection: GrpcConnection;
  readonly #names: ChainNames;

  constructor(connection: GrpcConnection) {
    this.#connection = connection;
    this.#names = new ChainNames(connection.name);
  }

  async *generate(request: GenerateRequest, target: Target, call: AttemptCall): AsyncGenerator<EventBatch> {
    throwIfStopped(call);
    const source = await this.#connection.stream(InferenceService.method.generate, this.#write(request, target, call), call);
    const answer = new Answer(this.#names, call);
    try {
      for (;;) {
        const { done, value: responses } = await source.next();
        if (done === true) break;
        call.attempt.httpStatus = 200;
        call.attempt.upstreamRequestId = source.header("x-dragoman-request-id") ?? "";
        const events = responses.flatMap((response) => answer.read(response));
        if (events.length > 0) yield { events };
      }
      if (!answer.isSettled) throw new GatewayError("provider_error", `${this.#connection.name} ended its answer without its account`);
    } catch (thrown) {
      const events = answer.abandon();
      const failure = this.#connection.failure(thrown, call);
      const billed = thrown instanceof GrpcFailure ? billedUsage(thrown) : undefined;
      if (billed !== undefined) {
        // A refusal costs nothing, but that gateway says that it was billed.
        call.attempt.httpStatus = 0;
        events.push(usageEvent(withCost(billed.usage, billed.costNanoUsd)));
      }
      if (events.length > 0) yield { events };
      throw failure;
    } finally {
      source.return();
    }
  }

  async embed(request: EmbedRequest, target: Target, call: AttemptCall): Promise<EmbedResponse> {
    throwIfStopped(call);
    const report = new TranslationReport("dragoman");
    const inputs = this.#names.inputsInward(request.inputs, report);
    report.settle(false);
    const { attribution, options, ...rest } = request;
    const message = { ...rest, model: target.model, inputs, ...factsOf(call) };
    const { message: response, header } = await this.#connection.unary(InferenceService.method.embed, message, call);
    call.attempt.upstreamRequestId = header("x-dragoman-request-id") ?? "";
    const { settled, ...vectors } = response;
    call.translation.push(...(settled?.translation ?? []));
    const usage = settled?.usage ?? response.usage;
    return { ...vectors, ...(usage === undefined ? {} : { usage: withCost(usage, settled?.costNanoUsd) }) };
  }

  async countTokens(request: GenerateRequest, target: Target, call: AttemptCall): Promise<CountTokensResponse> {
    throwIfStopped(call);
    const generate = this.#write(request, target, call);
    const { message } = await this.#connection.unary(InferenceService.method.countTokens, { generate }, call);
    call.translation.push(...message.translation);
    return message;
  }

  async listModels(signal: AbortSignal): Promise<Model[]> {
    const models: Model[] = [];
    let pageToken = "";
    for (let page = 0; page < httpLimits.maxModelListPages; page++) {
      const reply = await this.#connection.ask(InferenceService.method.listModels, { pageSize, pageToken }, signal);
      for (const model of reply.models) {
        // A route there is a model here.
        models.push({ ...model, providers: [this.#connection.name], isRoute: false, routingStrategy: "" });
      }
      if (reply.nextPageToken === "" || reply.nextPageToken === pageToken) break;
      pageToken = reply.nextPageToken;
    }
    return models;
  }

  #write(request: GenerateRequest, target: Target, call: AttemptCall): GenerateRequest {
    const report = new TranslationReport("dragoman");
    const messages = this.#names.messagesInward(request.messages, report);
    report.settle(false);
    const { attribution, options, ...rest } = request;
    return { ...rest, model: target.model, messages, ...factsOf(call) };
  }
}

/**
 * What of the call's facts goes on. Both gateways have one owner, so attribution does. Not sent: the policy, the preferred
 * provider and the idempotency key, which are this gateway's to apply, and the time, which travels as the deadline.
 */
function factsOf({ attribution, options }: AttemptCall): { attribution?: Attribution; options?: CallOptions } {
  const sent = options && {
    strict: options.strict,
    explain: options.explain,
    retention: options.retention,
    bypassCache: options.bypassCache,
    groundingContext: options.groundingContext,
  };
  return {
    ...(attribution === undefined ? {} : { attribution }),
    ...(sent === undefined ? {} : { options: create(CallOptionsSchema, sent) }),
  };
}

/** The events of one answer: as they are, without the inner account, and with open blocks known. */
class Answer {
  readonly #names: ChainNames;
  readonly #call: AttemptCall;
  /** Open blocks, as candidate and index. */
  readonly #open = new Map<string, { readonly candidate: number; readonly index: number }>();
  readonly #unknown = new UnknownFieldReader("dragoman");
  isSettled = false;

  constructor(names: ChainNames, call: AttemptCall) {
    this.#names = names;
    this.#call = call;
  }

  read(response: GenerateEvent): GenerateEvent[] {
    const { event } = response;
    if (event.case === "settled") return this.#settle(event.value);
    if (event.case === "blockStarted") {
      const { candidate, index } = event.value;
      this.#open.set(`${candidate}/${index}`, { candidate, index });
    } else if (event.case === "blockEnded") this.#open.delete(`${event.value.candidate}/${event.value.index}`);
    else if (event.case === "started") this.#call.translation.push(...event.value.translation);
    this.#names.renameEvent(response);
    response.sequence = 0;
    // Of a newer gateway. Streams pass it on as it is; of an answer that is put together from events, blocks would lose it.
    return this.#call.buffered && !isKeptWhole(event.case) ? [response, ...this.#unknown.read(response)] : [response];
  }

  /** Ends open blocks as incomplete. */
  abandon(): GenerateEvent[] {
    const events = [...this.#open.values()].map(({ candidate, index }) => incompleteBlock(candidate, index));
    this.#open.clear();
    return events;
  }

  /** All that the inner gateway was billed for is what this attempt costs, its failed tries included. */
  #settle({ usage, costNanoUsd }: Settled): GenerateEvent[] {
    this.isSettled = true;
    return usage === undefined ? [] : [usageEvent(withCost(usage, costNanoUsd))];
  }
}

/** Events whose message is a member of the folded answer. */
function isKeptWhole(kind: GenerateEvent["event"]["case"]): boolean {
  return kind === "started" || kind === "usage" || kind === "finished" || kind === "opaque";
}

function incompleteBlock(candidate: number, index: number): GenerateEvent {
  return {
    $typeName: "dragoman.v1.GenerateResponse",
    sequence: 0,
    event: { case: "blockEnded", value: { $typeName: "dragoman.v1.BlockEnded", candidate, index, incomplete: true, redacted: false } },
    extrasJson: {},
  };
}

/** The price there is the price that this provider states. */
function withCost(usage: Usage, costNanoUsd: bigint | undefined): Usage {
  return costNanoUsd === undefined ? usage : { ...usage, providerCostNanoUsd: costNanoUsd };
}
