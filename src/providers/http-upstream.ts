/** Requests to one vendor's origin with its credential: what all operations share. Nothing secret gets into an error. */
import type { AttemptCall } from "../core/call.ts";
import type { UpstreamCodec, UpstreamRequest } from "../core/dialect.ts";
import { GatewayError } from "../core/error.ts";
import type { Secret } from "../core/secret.ts";
import type { Target } from "../core/target.ts";
import { traceHeaders } from "../core/tracing.ts";
import type { HttpClient, HttpReply } from "./http-client.ts";
import { type Credential, credentialHeader, headerSecrets, mergeHeaders, readConfiguredHeaders } from "./http-headers.ts";
import { isJson, joinChunks, mediaType, readChunks, readErrorText, textOf, wrongType } from "./http-reply.ts";
import { Redactor } from "./redactor.ts";

export interface HttpUpstreamOptions {
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
  /** Below the base URL, where the vendor wants another path than the codec's. Query included. */
  readonly writePath?: ((path: string, target: Target) => string) | undefined;
  /** Headers that depend on the whole request, such as a signature over it; they win over all others. */
  readonly sign?: ((request: SignedRequest) => Promise<Readonly<Record<string, string>>>) | undefined;
  /** What `sign` signs with, so that it is kept out of errors. */
  readonly secrets?: readonly Secret[] | undefined;
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

const jsonType = "application/json";

export interface ReadOptions {
  readonly maxBytes?: number | undefined;
  /** The type that was asked for, where it is another. */
  readonly expected?: string | undefined;
  /** Is shown every chunk as it comes. */
  readonly see?: ((chunk: Buffer) => void) | undefined;
}

export class HttpUpstream {
  readonly name: string;
  readonly origin: string;
  readonly #options: HttpUpstreamOptions;
  readonly #client: HttpClient;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #prefix: string;
  readonly #redactor: Redactor;

  /** Throws Error naming a header or credential that cannot be sent. */
  constructor(options: HttpUpstreamOptions) {
    this.name = options.name;
    this.origin = options.client.origin;
    this.#options = options;
    this.#client = options.client;
    this.#prefix = options.baseUrl.pathname.replace(/(?<!\/)\/+$/, "");
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

  /** `streamType` is the type of a streamed answer; undefined where a whole one is asked for. */
  async post(written: UpstreamRequest, target: Target, call: AttemptCall, signal: AbortSignal, streamType?: string): Promise<HttpReply> {
    const { writePath, joinedHeaders, sign } = this.#options;
    const own = {
      accept: streamType === undefined ? jsonType : `${streamType}, ${jsonType}`,
      "content-type": jsonType,
      ...traceHeaders(call),
      ...written.headers,
    };
    const path = this.#prefix + (writePath?.(written.path, target) ?? written.path);
    const { body } = written;
    const headers = mergeHeaders(own, this.#headers, joinedHeaders);
    const reply = await this.#client.send({
      method: "POST",
      path,
      headers: sign === undefined ? headers : await this.#signed("POST", path, headers, body),
      body,
      signal,
      // Of requests that run at once, as parts of one, no answer is the provider's.
      hash: signal === call.signal ? call.bodies?.upstream : undefined,
      whole: streamType === undefined,
    });
    call.attempt.httpStatus = reply.status;
    call.attempt.upstreamRequestId = requestId(reply);
    return reply;
  }

  /** What stands at a path below the base URL; for no call of a client. */
  async get(path: string, headers: Readonly<Record<string, string>> | undefined, signal: AbortSignal, totalMs: number): Promise<HttpReply> {
    const whole = this.#prefix + path;
    return this.#client.send({
      method: "GET",
      path: whole,
      headers: await this.#signed("GET", whole, { accept: jsonType, ...this.#headers, ...headers }, undefined),
      signal,
      whole: true,
      totalMs,
    });
  }

  /** The text of an answer that says it is JSON. */
  async readJsonText(reply: HttpReply, options?: ReadOptions): Promise<string> {
    return textOf(joinChunks(await this.readJsonChunks(reply, options)), this.origin);
  }

  /** Its bytes, as they came. */
  readJsonChunks(reply: HttpReply, { maxBytes, expected = jsonType, see }: ReadOptions = {}): Promise<readonly Uint8Array[]> {
    const type = mediaType(reply);
    return isJson(type) ? readChunks(reply, this.origin, see, maxBytes) : this.#refuseType(reply, type, expected);
  }

  async #refuseType(reply: HttpReply, type: string, expected: string): Promise<never> {
    await reply.body.return();
    throw wrongType(this.origin, type, expected);
  }

  /** What an answer with another status than 2xx means. */
  async readError(reply: HttpReply, codec: Pick<UpstreamCodec, "readError">): Promise<GatewayError> {
    const { origin } = this;
    if (reply.status >= 300 && reply.status < 400) {
      await reply.body.return();
      return new GatewayError(
        "provider_error",
        `${origin} answered with a redirect (${reply.status}), which is not followed; correct base_url`,
      );
    }
    const body = this.#redactor.text(await readErrorText(reply, origin));
    return this.#redactor.error(codec.readError(reply.status, body, (name) => reply.header(name), this.name));
  }

  /** A failure without what must not be seen. */
  redacted(thrown: unknown): unknown {
    return thrown instanceof GatewayError ? this.#redactor.error(thrown) : thrown;
  }

  async #signed(method: "GET" | "POST", path: string, headers: Record<string, string>, body: string | undefined) {
    const { sign } = this.#options;
    if (sign === undefined) return headers;
    return { ...headers, ...(await sign({ method, url: this.origin + path, headers, body })) };
  }
}

export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

function requestId(reply: HttpReply): string {
  for (const name of requestIdHeaders) {
    const value = reply.header(name);
    if (value !== undefined && /^[\x21-\x7e]{1,256}$/.test(value)) return value;
  }
  return "";
}
