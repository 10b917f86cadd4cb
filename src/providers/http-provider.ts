/**
 * A provider that is reached by HTTP: a codec's upstream half, an origin and a credential. What all vendors share; what
 * sets one apart is in the options.
 */
import type { EmbedRequest, EmbedResponse } from "../../gen/dragoman/v1/embed_pb.ts";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import { type AttemptCall, type ClientWire, throwIfStopped } from "../core/call.ts";
import type { AnswerRelay, EmbedCodec, TokenCountCodec, UpstreamCodec, UpstreamRequest } from "../core/dialect.ts";
import { GatewayError } from "../core/error.ts";
import { type EventBatch, startedEvent } from "../core/event.ts";
import { JsonError, type JsonValue, parseJson, upstreamJsonLimits } from "../core/json.ts";
import type { Provider } from "../core/provider.ts";
import type { Secret } from "../core/secret.ts";
import { SseReader } from "../core/sse.ts";
import type { ModelTraits, Target } from "../core/target.ts";
import { traceHeaders } from "../core/tracing.ts";
import { joinEmbeddings, runInLanes, splitInputs } from "./embed-split.ts";
import type { HttpClient, HttpReply } from "./http-client.ts";
import { type Credential, credentialHeader, headerSecrets, mergeHeaders, readConfiguredHeaders } from "./http-headers.ts";
import { httpLimits } from "./http-limits.ts";
import { isJson, isStream, mediaType, openBody, readErrorText, readText, wrongType } from "./http-reply.ts";
import { inlineMedia, type MediaFetching, untakenUrls } from "./inline-media.ts";
import type { ModelPage } from "./model-list.ts";
import { Redactor } from "./redactor.ts";
import { disownSignatures, refusesSignature } from "./refused-signatures.ts";
import { cutFrames, cutRecords } from "./stream-cutter.ts";

export interface HttpProviderOptions {
  /** As configured. */
  readonly name: string;
  /** Connects to the origin of `baseUrl`; closed with the provider. */
  readonly client: HttpClient;
  /** Codec paths are appended to its path. */
  readonly baseUrl: URL;
  readonly credential?: Credential | undefined;
  /** Configured headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Headers whose values the codec and the configuration both may set, as one list. */
  readonly joinedHeaders?: readonly string[] | undefined;
  /** `dragoman/1.2.3`. */
  readonly userAgent: string;
  readonly codec?: UpstreamCodec | undefined;
  /** Further formats that the vendor speaks as well: for clients that speak the same, and where a model speaks no other. */
  readonly otherCodecs?: readonly UpstreamCodec[] | undefined;
  readonly embedCodec?: EmbedCodec | undefined;
  /** Below the base URL, where the vendor wants another path than the codec's. Query included. */
  readonly writePath?: ((path: string, target: Target) => string) | undefined;
  /** Headers that depend on the whole request, such as a signature over it; they win over all others. */
  readonly sign?: ((request: SignedRequest) => Promise<Readonly<Record<string, string>>>) | undefined;
  /** What `sign` signs with, so that it is kept out of errors. */
  readonly secrets?: readonly Secret[] | undefined;
  readonly listing?: ModelListing | undefined;
  /** Absent: what a target does not take by its address is refused. */
  readonly media?: MediaFetching | undefined;
  readonly traits: (model: string) => ModelTraits;
  readonly claims?: ((model: string) => boolean) | undefined;
}

export interface SignedRequest {
  readonly method: "GET" | "POST";
  /** With the origin. */
  readonly url: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Undefined without a body. */
  readonly body: string | undefined;
}

export interface ModelListing {
  /** Below the base URL; `cursor` is what the page before gave. */
  path(cursor: string | undefined): string;
  headers?: Readonly<Record<string, string>>;
  /** Throws GatewayError where the body is no list. */
  read(body: JsonValue, provider: string): ModelPage;
}

/** Where vendors put the id of a request, best first. */
const requestIdHeaders = [
  "x-request-id",
  "request-id",
  "apim-request-id",
  "x-ms-request-id",
  "x-goog-request-id",
  "x-amzn-requestid",
  "x-kong-request-id",
  "cf-ray",
] as const;

const eventStreamType = "text/event-stream";
const jsonType = "application/json";

/** Requests of one split call that run at once. */
const embedLanes = 4;

/** Throws Error naming a header or credential that cannot be sent. */
export function createHttpProvider(options: HttpProviderOptions): Provider {
  const upstream = new HttpUpstream(options);
  const { codec, otherCodecs = [], embedCodec, listing, claims } = options;
  // Any format that the vendor counts in will do: counts are of the call, not of its bytes.
  const counter = [codec, ...otherCodecs].find((one) => one?.counting !== undefined);
  const choose = (call: AttemptCall, usual: UpstreamCodec) => otherCodecs.find(({ format }) => format === call.dialect) ?? usual;
  return {
    name: options.name,
    traits: options.traits,
    ...(codec === undefined ? {} : { generate: (request, target, call) => upstream.generate(choose(call, codec), request, target, call) }),
    ...(counter?.counting === undefined ? {} : { countTokens: upstream.countTokensBy(counter.counting, counter) }),
    ...(embedCodec === undefined ? {} : { embed: (request, target, call) => upstream.embed(embedCodec, request, target, call) }),
    ...(listing === undefined ? {} : { listModels: (signal) => upstream.listModels(listing, signal) }),
    ...(claims === undefined ? {} : { claims }),
    close: () => options.client.close(),
  };
}

class HttpUpstream {
  readonly #name: string;
  readonly #options: HttpProviderOptions;
  readonly #client: HttpClient;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #prefix: string;
  readonly #redactor: Redactor;

  constructor(options: HttpProviderOptions) {
    this.#name = options.name;
    this.#options = options;
    this.#client = options.client;
    this.#prefix = options.baseUrl.pathname.replace(/\/+$/, "");
    const configured = readConfiguredHeaders(options.headers ?? {});
    const credentials = options.credential === undefined ? [] : [options.credential.secret];
    this.#redactor = new Redactor([...credentials, ...(options.secrets ?? []), ...headerSecrets(configured)]);
    if (options.credential !== undefined && Object.hasOwn(configured, options.credential.header)) {
      throw new Error(`headers.${options.credential.header}: the api_key is sent in this header; set one of the two`);
    }
    this.#headers = {
      "user-agent": options.userAgent,
      "accept-encoding": "identity",
      ...configured,
      ...(options.credential === undefined ? {} : credentialHeader(options.credential)),
    };
  }

  async *generate(codec: UpstreamCodec, request: GenerateRequest, target: Target, call: AttemptCall): AsyncGenerator<EventBatch> {
    throwIfStopped(call);
    const stream = !call.buffered;
    const wire = call.wire?.format === codec.format ? call.wire : undefined;
    const { asked, places } = await this.#inline(codec, request, target, call);
    let written = this.#write(codec, asked, target, call, asked === request ? wire : undefined, places);
    if (call.options?.explain) {
      // A plan: the request was written, so the report is complete, and nothing is sent.
      yield { events: [startedEvent({})] };
      return;
    }
    const { streamType = eventStreamType } = codec;
    const post = () => this.#post(written, target, call, call.signal, stream ? streamType : undefined);
    let reply = await post();
    if (!isSuccess(reply.status)) {
      const error = await this.#readError(reply, codec);
      const disowned = refusesSignature(error) && call.options?.strict !== true ? disownSignatures(asked) : undefined;
      if (disowned === undefined) throw error;
      call.translation.length = 0;
      written = this.#write(codec, disowned, target, call, undefined, places);
      reply = await post();
      if (!isSuccess(reply.status)) throw await this.#readError(reply, codec);
    }
    const relay = wire === undefined ? undefined : codec.relay?.relayAnswer(written, wire);
    if (stream && isStream(mediaType(reply), streamType)) yield* this.#readStream(codec, written, reply, relay);
    else yield await this.#readWhole(codec, written, reply, stream, relay);
  }

  /** The request with what the target does not take by its address as data, where that may be fetched; and where it stood. */
  async #inline(codec: UpstreamCodec, request: GenerateRequest, target: Target, call: AttemptCall) {
    const { media } = this.#options;
    const places = untakenUrls(request, codec, target);
    // In strict mode the writer refuses the addresses: nothing may be sent in another way.
    if (places.length === 0 || media === undefined || call.options?.strict === true) return { asked: request, places };
    return { asked: await inlineMedia(request, places, media, call.signal), places };
  }

  /** The request, settled. `wire` is the client's own, where it may be sent patched; `places` are what was to be fetched. */
  #write(
    codec: UpstreamCodec,
    request: GenerateRequest,
    target: Target,
    call: AttemptCall,
    wire: ClientWire | undefined,
    places: readonly { readonly path: string }[],
  ): UpstreamRequest {
    const options = { stream: !call.buffered };
    const patched = wire === undefined ? undefined : codec.relay?.patchRequest(request, wire, target, options);
    const written = patched ?? codec.writeRequest(request, target, options);
    const isFetched = this.#options.media !== undefined && call.options?.strict !== true;
    if (isFetched) for (const { path } of places) written.report.emulated(path, "fetched by the gateway and sent as data");
    try {
      settle(written, call);
    } catch (thrown) {
      throw places.length > 0 && !isFetched ? withSetting(thrown, this.#options.media !== undefined) : thrown;
    }
    return written;
  }

  /** Batches of one stream: what one read of the socket gave. */
  async *#readStream(
    codec: UpstreamCodec,
    written: UpstreamRequest,
    reply: HttpReply,
    relay: AnswerRelay | undefined,
  ): AsyncGenerator<EventBatch> {
    const body = openBody(reply, this.#client.origin);
    const reader = codec.eventReader(this.#name, written.state);
    const cutter = relay === undefined ? cutFrames(codec.frameReader?.() ?? new SseReader(), reader) : cutRecords(relay, reader);
    let drained = false;
    let isEmpty = true;
    let hasEnded = false;
    try {
      for (;;) {
        const { done, value } = await body.next();
        hasEnded = done === true;
        if (done !== true) cutter.read(value);
        if (done === true || reader.done) cutter.end();
        if (done !== true && reader.done) {
          // The answer is complete; the socket is good for the next one if the upstream ends here too.
          body.drain();
          drained = true;
        }
        const batch = cutter.take();
        if (batch !== undefined) {
          isEmpty = false;
          yield batch;
        }
        if (done === true || reader.done) return;
      }
    } catch (thrown) {
      cutter.abandon();
      const batch = cutter.take();
      if (batch !== undefined) yield batch;
      throw this.#redacted(hasEnded && isEmpty && batch === undefined ? asEmpty(thrown) : thrown);
    } finally {
      if (!drained) await body.return();
    }
  }

  async #readWhole(
    codec: UpstreamCodec,
    written: UpstreamRequest,
    reply: HttpReply,
    stream: boolean,
    relay: AnswerRelay | undefined,
  ): Promise<EventBatch> {
    const type = mediaType(reply);
    try {
      if (!isJson(type)) throw await this.#refuseType(reply, type, stream ? (codec.streamType ?? eventStreamType) : jsonType);
      const text = await readText(reply, this.#client.origin);
      const events = codec.readResponse(text, this.#name, written.state);
      // A body that reads as an error says more; one that reads as an answer is still not the stream that was asked for.
      if (stream) throw wrongType(this.#client.origin, type, codec.streamType ?? eventStreamType);
      return relay?.keepsWhole(text, events) === true ? { events, raw: Buffer.from(text) } : { events };
    } catch (thrown) {
      throw this.#redacted(thrown);
    }
  }

  async #refuseType(reply: HttpReply, type: string, expected: string): Promise<GatewayError> {
    await reply.body.return();
    return wrongType(this.#client.origin, type, expected);
  }

  async embed(codec: EmbedCodec, request: EmbedRequest, target: Target, call: AttemptCall): Promise<EmbedResponse> {
    throwIfStopped(call);
    // Written whole, so that paths in the report are those of the client's request.
    const whole = codec.writeRequest(request, target);
    settle(whole, call);
    const parts = splitInputs(request, codec.maxInputs);
    if (parts.length === 1) return this.#embedOnce(codec, request, whole, target, call, call.signal);
    const replies = await runInLanes(parts, embedLanes, call.signal, (part, signal) =>
      this.#embedOnce(codec, part, codec.writeRequest(part, target), target, call, signal),
    );
    return joinEmbeddings(replies, parts);
  }

  async #embedOnce(
    codec: EmbedCodec,
    request: EmbedRequest,
    written: UpstreamRequest,
    target: Target,
    call: AttemptCall,
    signal: AbortSignal,
  ): Promise<EmbedResponse> {
    const reply = await this.#post(written, target, call, signal);
    if (!isSuccess(reply.status)) throw await this.#readError(reply, codec);
    const type = mediaType(reply);
    try {
      if (!isJson(type)) throw await this.#refuseType(reply, type, jsonType);
      const response = codec.readResponse(await readText(reply, this.#client.origin), request, this.#name);
      joinEmbeddings([response], [request]);
      return response;
    } catch (thrown) {
      throw this.#redacted(thrown);
    }
  }

  countTokensBy(counting: TokenCountCodec, { readError }: UpstreamCodec): NonNullable<Provider["countTokens"]> {
    return async (request, target, call) => {
      throwIfStopped(call);
      const written = counting.writeRequest(request, target);
      settle(written, call);
      const reply = await this.#post(written, target, call, call.signal);
      if (!isSuccess(reply.status)) throw await this.#readError(reply, { readError });
      const type = mediaType(reply);
      try {
        if (!isJson(type)) throw await this.#refuseType(reply, type, jsonType);
        return counting.readResponse(await readText(reply, this.#client.origin), this.#name);
      } catch (thrown) {
        throw this.#redacted(thrown);
      }
    };
  }

  async listModels(listing: ModelListing, signal: AbortSignal): Promise<Model[]> {
    const models: Model[] = [];
    let cursor: string | undefined;
    for (let page = 0; page < httpLimits.maxModelListPages; page++) {
      const path = this.#prefix + listing.path(cursor);
      const reply = await this.#client.send({
        method: "GET",
        path,
        headers: await this.#signed("GET", path, { accept: jsonType, ...this.#headers, ...listing.headers }, undefined),
        signal,
        whole: true,
        totalMs: httpLimits.modelListMs,
      });
      if (!isSuccess(reply.status)) {
        await reply.body.return();
        throw new GatewayError("provider_error", `${this.#client.origin} answered ${reply.status} when asked for its models`);
      }
      const type = mediaType(reply);
      if (!isJson(type)) throw await this.#refuseType(reply, type, jsonType);
      const read = listing.read(
        readJson(await readText(reply, this.#client.origin, httpLimits.maxModelListBytes), this.#client.origin),
        this.#name,
      );
      models.push(...read.models);
      if (read.next === undefined || read.next === cursor) break;
      cursor = read.next;
    }
    return models;
  }

  /** `streamType` is the type of a streamed answer; undefined where a whole one is asked for. */
  async #post(written: UpstreamRequest, target: Target, call: AttemptCall, signal: AbortSignal, streamType?: string): Promise<HttpReply> {
    const { writePath, joinedHeaders } = this.#options;
    const own = {
      accept: streamType === undefined ? jsonType : `${streamType}, ${jsonType}`,
      "content-type": jsonType,
      ...traceHeaders(call),
      ...written.headers,
    };
    const path = this.#prefix + (writePath?.(written.path, target) ?? written.path);
    const { body } = written;
    const reply = await this.#client.send({
      method: "POST",
      path,
      headers: await this.#signed("POST", path, mergeHeaders(own, this.#headers, joinedHeaders), body),
      body,
      signal,
      whole: streamType === undefined,
    });
    call.attempt.httpStatus = reply.status;
    call.attempt.upstreamRequestId = requestId(reply);
    return reply;
  }

  async #signed(method: "GET" | "POST", path: string, headers: Record<string, string>, body: string | undefined) {
    const { sign } = this.#options;
    if (sign === undefined) return headers;
    return { ...headers, ...(await sign({ method, url: this.#client.origin + path, headers, body })) };
  }

  async #readError(reply: HttpReply, codec: Pick<UpstreamCodec, "readError">): Promise<GatewayError> {
    const { origin } = this.#client;
    if (reply.status >= 300 && reply.status < 400) {
      await reply.body.return();
      return new GatewayError(
        "provider_error",
        `${origin} answered with a redirect (${reply.status}), which is not followed; correct base_url`,
      );
    }
    const body = this.#redactor.text(await readErrorText(reply, origin));
    return this.#redactor.error(codec.readError(reply.status, body, (name) => reply.header(name), this.#name));
  }

  #redacted(thrown: unknown): unknown {
    return thrown instanceof GatewayError ? this.#redactor.error(thrown) : thrown;
  }
}

function settle({ report }: UpstreamRequest, call: AttemptCall): void {
  report.settle(call.options?.strict ?? false);
  call.translation.push(...report.notes);
}

/** The failure of a stream that ended well and held nothing. */
function asEmpty(thrown: unknown): unknown {
  return thrown instanceof GatewayError ? new GatewayError(thrown.reason, thrown.message, { ...thrown.details, empty: true }) : thrown;
}

/** What would have helped with an address that the target does not take. */
function withSetting(thrown: unknown, isOn: boolean): unknown {
  if (!(thrown instanceof GatewayError)) return thrown;
  const help = isOn ? "without strict the gateway fetches it" : "the gateway fetches it where media.fetch is true in its configuration";
  return new GatewayError(thrown.reason, `${thrown.message}; send the data itself, or ${help}`, thrown.details);
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function requestId(reply: HttpReply): string {
  for (const name of requestIdHeaders) {
    const value = reply.header(name);
    if (value !== undefined && /^[\x21-\x7e]{1,256}$/.test(value)) return value;
  }
  return "";
}

function readJson(text: string, origin: string): JsonValue {
  try {
    return parseJson(text, upstreamJsonLimits);
  } catch (error) {
    if (error instanceof JsonError)
      throw new GatewayError("provider_error", `${origin} sent a list of models that is not JSON`, { cause: error });
    throw error;
  }
}
