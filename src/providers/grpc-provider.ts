/**
 * A vendor that is reached by gRPC: a codec over its messages, its methods and a connection. What all such vendors share;
 * what sets one apart is its GrpcService, which is loaded at the first call: generated code is not small.
 */
import type { DescMessage, DescMethodServerStreaming, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { EmbedRequest, EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { CountTokensResponse } from "../../gen/dragoman/v1/inference_service_pb.ts";
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import { type AttemptCall, throwIfStopped } from "../core/call.ts";
import { type EventBatch, type GenerateEvent, startedEvent } from "../core/event.ts";
import type { MessageCodec, MessageRequest } from "../core/message-codec.ts";
import type { Provider } from "../core/provider.ts";
import type { ModelTraits, Target } from "../core/target.ts";
import type { TranslationReport } from "../core/translation.ts";
import { joinEmbeddings, runInLanes, splitInputs } from "./embed-split.ts";
import type { GrpcConnection } from "./grpc-connection.ts";
import { inlineUntaken, type MediaFetching, settleInlined } from "./inline-media.ts";
import { settleReport } from "./settle-report.ts";
import { UnknownFieldReader, unknownFieldsText } from "./unknown-fields.ts";

/** Sends one message and gives the answer's. Throws GatewayError. */
export type Send = <Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodUnary<Input, Output>,
  message: MessageInitShape<Input>,
) => Promise<MessageShape<Output>>;

/** A request that is written and not yet sent. */
export interface PreparedCall<Reply> {
  readonly report: TranslationReport;
  /** Throws GatewayError. */
  send(send: Send): Promise<Reply>;
}

export interface GrpcService<Input extends DescMessage, Chunk extends DescMessage, Output extends DescMessage> {
  readonly codec: MessageCodec<MessageShape<Input>, MessageShape<Chunk>, MessageShape<Output>>;
  readonly stream: DescMethodServerStreaming<Input, Chunk>;
  readonly unary: DescMethodUnary<Input, Output>;
  /** Most inputs of one request, and how one is written. */
  readonly embedding?: {
    readonly maxInputs: number;
    prepare(request: EmbedRequest, target: Target, provider: string): PreparedCall<EmbedResponse>;
  };
  readonly counting?: (request: GenerateRequest, target: Target, provider: string) => PreparedCall<CountTokensResponse>;
  readonly listing?: (send: Send, provider: string) => Promise<Model[]>;
}

export interface GrpcProviderOptions<Input extends DescMessage, Chunk extends DescMessage, Output extends DescMessage> {
  readonly connection: GrpcConnection;
  load(): Promise<GrpcService<Input, Chunk, Output>>;
  /** What the service will turn out to have. */
  readonly has: { readonly embedding: boolean; readonly counting: boolean; readonly listing: boolean };
  /** Absent: what a target does not take by its address is refused. */
  readonly media: MediaFetching | undefined;
  readonly traits: (model: string) => ModelTraits;
  readonly claims?: ((model: string) => boolean) | undefined;
}

/** Requests of one split call that run at once. */
const embedLanes = 4;

export function createGrpcProvider<Input extends DescMessage, Chunk extends DescMessage, Output extends DescMessage>(
  options: GrpcProviderOptions<Input, Chunk, Output>,
): Provider {
  const { connection, has, traits, claims } = options;
  const upstream = new GrpcUpstream(options);
  return {
    name: connection.name,
    traits,
    generate: (request, target, call) => upstream.generate(request, target, call),
    ...(has.embedding ? { embed: (request, target, call) => upstream.embed(request, target, call) } : {}),
    ...(has.counting ? { countTokens: (request, target, call) => upstream.countTokens(request, target, call) } : {}),
    ...(has.listing ? { listModels: (signal) => upstream.listModels(signal) } : {}),
    ...(claims === undefined ? {} : { claims }),
    close: () => connection.close(),
  };
}

class GrpcUpstream<Input extends DescMessage, Chunk extends DescMessage, Output extends DescMessage> {
  readonly #connection: GrpcConnection;
  readonly #load: () => Promise<GrpcService<Input, Chunk, Output>>;
  readonly #media: MediaFetching | undefined;
  #service: Promise<GrpcService<Input, Chunk, Output>> | undefined;

  constructor({ connection, load, media }: GrpcProviderOptions<Input, Chunk, Output>) {
    this.#connection = connection;
    this.#load = load;
    this.#media = media;
  }

  async *generate(request: GenerateRequest, target: Target, call: AttemptCall): AsyncGenerator<EventBatch> {
    throwIfStopped(call);
    const service = await this.#open();
    const inlined = await inlineUntaken(request, service.codec, target, call, this.#media);
    const written = service.codec.writeRequest(inlined.request, target);
    settleInlined(written.report, inlined, call);
    if (call.options?.explain) {
      // A plan: the request was written, so the report is complete, and nothing is sent.
      yield { events: [startedEvent({})] };
    } else if (call.buffered) {
      yield await this.#readWhole(service, written, call);
    } else {
      yield* this.#readStream(service, written, call);
    }
  }

  async *#readStream(
    service: GrpcService<Input, Chunk, Output>,
    written: MessageRequest<MessageShape<Input>>,
    call: AttemptCall,
  ): AsyncGenerator<EventBatch> {
    const source = await this.#connection.stream(service.stream, initOf(written.message), call);
    const reader = service.codec.eventReader(this.#connection.name, written.state);
    const unknown = new UnknownFieldReader(service.codec.format);
    let events: GenerateEvent[] = [];
    try {
      for (;;) {
        const { done, value: chunks } = await source.next();
        if (done === true) events = reader.end();
        else {
          call.attempt.httpStatus = 200;
          for (const chunk of chunks) events.push(...reader.read(chunk), ...unknown.read(chunk));
        }
        const batch = events;
        events = [];
        if (batch.length > 0) yield { events: batch };
        if (done === true) return;
      }
    } catch (thrown) {
      for (const event of reader.abandon()) events.push(event);
      const failure = this.#connection.failure(thrown, call);
      if (events.length > 0) yield { events };
      throw failure;
    } finally {
      source.return();
    }
  }

  async #readWhole(
    { codec, unary }: GrpcService<Input, Chunk, Output>,
    { message, state }: MessageRequest<MessageShape<Input>>,
    call: AttemptCall,
  ): Promise<EventBatch> {
    const reply = await this.#connection.unary(unary, initOf(message), call);
    try {
      const events = codec.readResponse(reply.message, this.#connection.name, state);
      return { events: [...events, ...new UnknownFieldReader(codec.format).read(reply.message)] };
    } catch (thrown) {
      throw this.#connection.failure(thrown, call);
    }
  }

  async embed(request: EmbedRequest, target: Target, call: AttemptCall): Promise<EmbedResponse> {
    throwIfStopped(call);
    const { embedding, codec } = await this.#open();
    const { name } = this.#connection;
    if (embedding === undefined) throw new Error(`${name} does not embed`);
    // Written whole, so that paths in the report are those of the client's request.
    settleReport(embedding.prepare(request, target, name).report, call);
    const parts = splitInputs(request, embedding.maxInputs);
    const replies = await runInLanes(parts, embedLanes, call.signal, async (part, signal) => {
      let unknown: string | undefined;
      const send: Send = async (method, message) => {
        const answer = await this.#sender(call, signal)(method, message);
        unknown = unknownFieldsText(answer);
        return answer;
      };
      const reply = await embedding.prepare(part, target, name).send(send);
      if (unknown !== undefined) reply.extrasJson[codec.format] = joinExtras(reply.extrasJson[codec.format], unknown);
      return joinEmbeddings([reply], [part]);
    });
    return joinEmbeddings(replies, parts);
  }

  async countTokens(request: GenerateRequest, target: Target, call: AttemptCall): Promise<CountTokensResponse> {
    throwIfStopped(call);
    const { counting } = await this.#open();
    if (counting === undefined) throw new Error(`${this.#connection.name} does not count`);
    const prepared = counting(request, target, this.#connection.name);
    settleReport(prepared.report, call);
    return prepared.send(this.#sender(call, call.signal));
  }

  async listModels(signal: AbortSignal): Promise<Model[]> {
    const { listing } = await this.#open();
    const send: Send = (method, message) => this.#connection.ask(method, message, signal);
    return listing?.(send, this.#connection.name) ?? [];
  }

  #sender(call: AttemptCall, signal: AbortSignal): Send {
    return async (method, message) => (await this.#connection.unary(method, message, call, signal)).message;
  }

  #open(): Promise<GrpcService<Input, Chunk, Output>> {
    this.#service ??= this.#load();
    return this.#service;
  }
}

/** Two JSON texts of objects without a name in common, as one. */
function joinExtras(text: string | undefined, more: string): string {
  return text === undefined || text === "{}" || text === "" ? more : `${text.slice(0, -1)},${more.slice(1)}`;
}

/** A message is its own init shape; the types cannot say so for a schema that is not known yet. */
function initOf<Desc extends DescMessage>(message: MessageShape<Desc>): MessageInitShape<Desc> {
  return message as MessageInitShape<Desc>;
}
