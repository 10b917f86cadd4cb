/** The gRPC half of the stand-alone simulated upstream: plaintext HTTP/2, the services of xAI and Gemini. */
import { createHash } from "node:crypto";
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { fromJson, type JsonValue, toBinary } from "@bufbuild/protobuf";
import { type Attempts, chooseScript } from "../../choose-script.ts";
import type { SimOptions } from "../../options.ts";
import { ScriptError } from "../../script.ts";
import { type Books, Entry, lastFour, maskHeader, type ReceivedRequest } from "../bill.ts";
import { Gone } from "../exchange.ts";
import { newId } from "../ids.ts";
import { type Problem, Refusal } from "../problem.ts";
import { GrpcExchange } from "./exchange.ts";
import { fail } from "./faults.ts";
import { findMethod, type GrpcMethod } from "./methods.ts";
import { play } from "./play.ts";

export class GrpcSim {
  readonly #options: SimOptions;
  readonly #books: Books;
  readonly #attempts: Attempts;
  readonly #server: Http2Server;
  readonly #sessions = new Set<ServerHttp2Session>();
  /** Told of every answer, until it is over. */
  readonly #track: (over: Promise<unknown>) => void;

  constructor(options: SimOptions, books: Books, attempts: Attempts, track: (over: Promise<unknown>) => void) {
    this.#options = options;
    this.#books = books;
    this.#attempts = attempts;
    this.#track = track;
    this.#server = createServer();
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
      session.on("error", () => {});
    });
    this.#server.on("stream", (stream, headers) => this.#take(stream, headers));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  listen(port: number, host: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, resolve);
    });
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      for (const session of this.#sessions) session.destroy();
    });
  }

  #take(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const path = String(headers[":path"] ?? "/");
    const entry = new Entry(receivedOf(headers, path));
    this.#books.add(entry);
    const exchange = new GrpcExchange(stream, headers, entry);
    this.#track(Promise.allSettled([exchange.closed, this.#answer(exchange, path)]));
  }

  async #answer(exchange: GrpcExchange, path: string): Promise<void> {
    const method = findMethod(path);
    if (method === undefined) {
      exchange.end({ code: 12, message: `unknown method ${path}` });
      return;
    }
    try {
      await this.#run(exchange, method);
    } catch (error) {
      if (error instanceof Gone) return;
      fail(exchange, method.vendor, problemOf(error));
    }
  }

  async #run(exchange: GrpcExchange, method: GrpcMethod): Promise<void> {
    const { entry, headers } = exchange;
    const bytes = await this.#readMessage(exchange);
    const { key, problem } = method.vendor.credential(headers);
    if (problem !== undefined) throw new Refusal(problem);
    const { lenient, dimensions } = this.#options;
    if (method.is === "generate") {
      const call = method.read(bytes, lenient);
      entry.received.body = structuredClone(call.body);
      const reading = call.reading();
      entry.bill({ format: method.format, model: reading.model, key: lastFour(key) });
      const requestKey = () => createHash("sha256").update(entry.received.path).update(bytes).digest("base64");
      await play(exchange, method, reading, chooseScript(reading.model, reading.prompt, requestKey, this.#attempts), this.#options);
      return;
    }
    const { request, body, bill } = method.answer(bytes, lenient, dimensions);
    entry.received.body = request;
    if (bill !== undefined) {
      entry.bill({ format: method.format, model: bill.model, key: lastFour(key) });
      entry.charge({ inputTokens: bill.inputTokens, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 }, true);
    }
    const { schema } = method;
    await exchange.message(toBinary(schema, fromJson(schema, body as JsonValue, { ignoreUnknownFields: true })));
    exchange.end({ code: 0, message: "" });
  }

  /** The one message that every method here takes. */
  async #readMessage({ stream }: GrpcExchange): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > this.#options.maxBodyBytes) throw new Refusal({ status: 429, message: "Received message larger than max" });
      chunks.push(chunk);
    }
    const bytes = Buffer.concat(chunks);
    if (bytes.length < 5 || bytes.readUInt8() !== 0 || bytes.readUInt32BE(1) !== bytes.length - 5) {
      throw new Refusal({ status: 400, message: "The call must hold one uncompressed message." });
    }
    return bytes.subarray(5);
  }
}

function receivedOf(headers: IncomingHttpHeaders, path: string): ReceivedRequest {
  const named = Object.entries(headers).filter(([name]) => !name.startsWith(":"));
  return {
    id: newId("req_"),
    method: String(headers[":method"] ?? ""),
    path,
    headers: Object.fromEntries(named.map(([name, value]) => [name, maskHeader(name, String(value))])),
    body: undefined,
    status: 0,
    startedAt: performance.now(),
    socketClosedAt: undefined,
    bytesWritten: 0,
  };
}

function problemOf(error: unknown): Problem {
  if (error instanceof Refusal) return error.problem;
  if (error instanceof ScriptError) return { status: 400, message: `${error.path}: ${error.message}` };
  return { status: 500, message: `The simulator failed: ${error instanceof Error ? error.message : String(error)}` };
}
