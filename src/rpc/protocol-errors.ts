/**
 * Errors that the RPC library raises by itself (framing, sizes, compression, decoding, timeouts, methods) come without
 * details, some with another code than ours and some with content of the request. Here they become the same errors as
 * all others, in each of the three protocols.
 */
import { Code, type ConnectError } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { codeFromString, codeToHttpStatus, endStreamFlag, errorToJson } from "@connectrpc/connect/protocol-connect";
import { GatewayError } from "../core/error.ts";
import { isJsonObject, type JsonObject } from "../core/json.ts";
import type { CallIds } from "./call-ids.ts";
import { toConnectError } from "./connect-error.ts";
import { encodeGrpcMessage, writeGrpcStatus } from "./grpc-status.ts";

type Body = NonNullable<UniversalServerResponse["body"]>;

/** Flag of the frame that holds gRPC-Web's trailers. */
const trailerFlag = 0x80;
const frameHeadBytes = 5;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The response as it shall be sent. `makeIds` is asked only where there is something to add. */
export async function amendResponse(
  response: UniversalServerResponse,
  handler: Pick<UniversalHandler, "allowedMethods">,
  makeIds: () => CallIds,
): Promise<UniversalServerResponse> {
  const type = response.header?.get("content-type") ?? "";
  if (type.startsWith("application/grpc-web")) return withLastFrame(response, trailerFlag, (data) => amendWebTrailers(data, makeIds));
  if (type.startsWith("application/grpc")) return withTrailers(response, makeIds);
  if (type.startsWith("application/connect+")) return withLastFrame(response, endStreamFlag, (data) => amendEndOfStream(data, makeIds));
  // What is long enough to be compressed has details.
  if (response.status < 400 || response.header?.has("content-encoding") === true) return response;
  return type === "" ? refuseTransport(response.status, handler, makeIds) : await amendUnary(response, makeIds);
}

/** The trailers are complete only when the body has been read, so they are looked at when they are asked for. */
function withTrailers(response: UniversalServerResponse, makeIds: () => CallIds): UniversalServerResponse {
  const { trailer } = response;
  if (trailer === undefined) return response;
  let amended = false;
  return {
    ...response,
    get trailer() {
      if (!amended) amendTrailers(trailer, makeIds);
      amended = true;
      return trailer;
    },
  };
}

function amendTrailers(trailers: Headers, makeIds: () => CallIds): void {
  const code = Number(trailers.get("grpc-status") ?? 0);
  if (code === 0) return;
  const message = decodeURIComponent(trailers.get("grpc-message") ?? "");
  const bare = trailers.has("grpc-status-details-bin") ? undefined : explain(code, message);
  if (bare === undefined) trailers.set("grpc-message", encodeGrpcMessage(message));
  else writeGrpcStatus(trailers, toConnectError(bare, makeIds()));
}

function amendWebTrailers(data: string, makeIds: () => CallIds): string {
  const trailers = new Headers();
  for (const line of data.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) trailers.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  amendTrailers(trailers, makeIds);
  let text = "";
  trailers.forEach((value, name) => {
    text += `${name}: ${value}\r\n`;
  });
  return text;
}

function amendEndOfStream(data: string, makeIds: () => CallIds): string {
  const end: unknown = JSON.parse(data);
  if (!isJsonObject(end) || !isJsonObject(end.error)) return data;
  const bare = explainJson(end.error);
  if (bare === undefined) return data;
  const error = toConnectError(bare, makeIds());
  const metadata: JsonObject = {};
  error.metadata.forEach((value, name) => {
    metadata[name] = [value];
  });
  return JSON.stringify({ ...end, error: errorToJson(error, undefined), metadata });
}

async function amendUnary(response: UniversalServerResponse, makeIds: () => CallIds): Promise<UniversalServerResponse> {
  const bytes = await readAll(response.body);
  const sent: unknown = JSON.parse(decoder.decode(bytes));
  const bare = isJsonObject(sent) ? explainJson(sent) : undefined;
  return bare === undefined ? { ...response, body: once(bytes) } : unaryError(toConnectError(bare, makeIds()), response.header);
}

/** The request is not one of any protocol: wrong method, content type or HTTP version. */
function refuseTransport(
  status: number,
  { allowedMethods }: Pick<UniversalHandler, "allowedMethods">,
  makeIds: () => CallIds,
): UniversalServerResponse {
  const allow = allowedMethods.join(", ");
  const error = {
    405: new GatewayError("invalid_request", `this procedure is called by ${allow}`, { headers: { allow } }),
    505: new GatewayError("invalid_request", "a bidirectional stream needs HTTP/2", { headers: { connection: "close" } }),
  }[status];
  const wrongType = new GatewayError(
    "invalid_request",
    "the content type is none of application/json, application/proto, application/connect+json, application/connect+proto, application/grpc, application/grpc-web",
  );
  return { ...unaryError(toConnectError(error ?? wrongType, makeIds()), undefined), status };
}

function unaryError(error: ConnectError, header: HeadersInit | undefined): UniversalServerResponse {
  const body = encoder.encode(JSON.stringify(errorToJson(error, undefined)));
  const headers = new Headers(header);
  error.metadata.forEach((value, name) => {
    headers.set(name, value);
  });
  headers.set("content-type", "application/json");
  headers.set("content-length", String(body.byteLength));
  headers.delete("content-encoding");
  return { status: codeToHttpStatus(error.code), header: headers, body: once(body) };
}

/** Passes frames on; the last, if it is plain, goes through `amend`. */
function withLastFrame(response: UniversalServerResponse, flag: number, amend: (data: string) => string): UniversalServerResponse {
  const { body } = response;
  if (body === undefined) return response;
  return {
    ...response,
    body: {
      [Symbol.asyncIterator]() {
        const frames = body[Symbol.asyncIterator]();
        const pass = (result: IteratorResult<Uint8Array>): IteratorResult<Uint8Array> =>
          result.done !== true && result.value[0] === flag ? { done: false, value: amendFrame(result.value, amend) } : result;
        return {
          next: () => frames.next().then(pass),
          // Without them an abandoned answer would leave its call running.
          throw: (reason: unknown) => frames.throw?.(reason) ?? Promise.reject(reason),
          return: () => frames.return?.() ?? Promise.resolve({ done: true, value: undefined }),
        };
      },
    },
  };
}

function amendFrame(frame: Uint8Array, amend: (data: string) => string): Uint8Array {
  const data = encoder.encode(amend(decoder.decode(frame.subarray(frameHeadBytes))));
  const amended = new Uint8Array(frameHeadBytes + data.byteLength);
  amended[0] = frame[0] as number;
  new DataView(amended.buffer).setUint32(1, data.byteLength);
  amended.set(data, frameHeadBytes);
  return amended;
}

function explainJson({ code, message, details }: JsonObject): GatewayError | undefined {
  const known = typeof code === "string" ? codeFromString(code) : undefined;
  return details === undefined && known !== undefined ? explain(known, typeof message === "string" ? message : "") : undefined;
}

/** What a bare error means; undefined where it is meant as it is (NOT_FOUND of the health service). Repeats no content. */
function explain(code: Code, message: string): GatewayError | undefined {
  switch (code) {
    case Code.Internal:
      return message.startsWith("parse binary")
        ? invalid("the message is not correct Protobuf of its type")
        : new GatewayError("internal", "the gateway failed on this call");
    case Code.Unknown:
      return new GatewayError("internal", "the gateway failed on this call");
    case Code.InvalidArgument:
      return explainInvalid(message);
    case Code.DataLoss:
      return invalid("the message is shorter than it says");
    case Code.ResourceExhausted:
      return new GatewayError(
        "too_large",
        `the message is larger than ${/readMaxBytes (\d+)/.exec(message)?.[1] ?? "the allowed number of"} bytes`,
      );
    case Code.Unimplemented:
      return message.startsWith("unknown compression")
        ? new GatewayError("unsupported", "the compression is not known; gzip, br and identity are")
        : new GatewayError("unsupported", "this procedure takes exactly one message");
    case Code.DeadlineExceeded:
      return new GatewayError("timeout", "the deadline passed");
    case Code.Canceled:
    case Code.Aborted:
      return new GatewayError("cancelled", "the client went away");
    default:
      return undefined;
  }
}

function explainInvalid(message: string): GatewayError {
  if (message.includes("timeout"))
    return invalid("the timeout is not a number with a unit (grpc-timeout) or of milliseconds (connect-timeout-ms)");
  const field = /cannot decode (?:field|message|oneof) ([\w.]+)/.exec(message)?.[1];
  if (field !== undefined) return invalid(`the JSON does not fit ${field}`);
  if (message.includes("decompress")) return invalid("the message is not compressed as its encoding says");
  return invalid("the request does not follow its protocol");
}

function invalid(message: string): GatewayError {
  return new GatewayError("invalid_request", message);
}

async function readAll(body: Body | undefined): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk);
  return new Uint8Array(Buffer.concat(chunks));
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
