/** The stand-alone simulated upstream: a real HTTP/1.1 server that speaks several vendors' formats and keeps its own bill. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { Attempts, chooseScript } from "../choose-script.ts";
import { isLenient } from "../model-name.ts";
import { type SimOptions, simDefaults } from "../options.ts";
import { ScriptError } from "../script.ts";
import { isObject, type JsonObject } from "../shape.ts";
import { type BillRow, Books, Entry, lastFour, maskHeader, type ReceivedRequest } from "./bill.ts";
import { answerControl } from "./control.ts";
import { Exchange, Gone } from "./exchange.ts";
import { GrpcSim } from "./grpc/grpc-sim.ts";
import { sendProblem } from "./head-faults.ts";
import { newId } from "./ids.ts";
import { play } from "./play.ts";
import { type Problem, Refusal } from "./problem.ts";
import { findRoute, type Route } from "./routes.ts";
import type { Reading, RequestFacts, Vendor } from "./wire.ts";

export type { BillRow } from "./bill.ts";

export interface SimServer {
  /** Origin, without a slash at the end: `http://127.0.0.1:8090`. */
  readonly url: string;
  readonly port: number;
  /** Where it speaks gRPC, in plain text: `http://127.0.0.1:8091`. */
  readonly grpcUrl: string;
  /** One row per request that reached a model, oldest first. A copy. */
  bill(): BillRow[];
  /** Every request, refused ones too. A copy. */
  requests(): ReceivedRequest[];
  /** Resolves when every answer so far is over: complete, or its connection closed. */
  settled(): Promise<void>;
  /** Forgets bill, requests and counted attempts. */
  clear(): void;
  /** Ends every connection and the listener. */
  close(): Promise<void>;
}

/** Rejects where the address cannot be listened on. */
export async function startSim(options: Partial<SimOptions> = {}): Promise<SimServer> {
  // Who takes a free port takes two.
  const grpcPort = options.grpcPort ?? (options.port === 0 ? 0 : simDefaults.grpcPort);
  const sim = new Sim({ ...simDefaults, ...options, grpcPort });
  await sim.listen();
  return sim;
}

class Sim implements SimServer {
  readonly #options: SimOptions;
  readonly #server: Server;
  readonly #books: Books;
  readonly #attempts = new Attempts();
  readonly #open = new Set<Promise<void>>();
  /** The request that came last on each connection: its closing is that request's. */
  readonly #latest = new WeakMap<Socket, Entry>();
  readonly #grpc: GrpcSim;

  constructor(options: SimOptions) {
    this.#options = options;
    this.#books = new Books(options.keep);
    this.#server = createServer((request, response) => void this.#take(request, response));
    // Faults take their time, and so may a test that reads slowly.
    this.#server.requestTimeout = 0;
    this.#server.keepAliveTimeout = 60_000;
    this.#grpc = new GrpcSim(options, this.#books, this.#attempts, (answer) => this.#track(answer));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return this.#urlOf(this.port);
  }

  get grpcUrl(): string {
    return this.#urlOf(this.#grpc.port);
  }

  #urlOf(port: number): string {
    const { host } = this.#options;
    return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  }

  async listen(): Promise<void> {
    const { port, grpcPort, host } = this.#options;
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, resolve);
    });
    try {
      await this.#grpc.listen(grpcPort, host);
    } catch (error) {
      this.#server.close();
      throw error;
    }
  }

  #track(answer: Promise<unknown>): void {
    const over: Promise<void> = answer.then(() => void this.#open.delete(over));
    this.#open.add(over);
  }

  bill(): BillRow[] {
    return this.#books.bill();
  }

  requests(): ReceivedRequest[] {
    return this.#books.requests();
  }

  clear(): void {
    this.#books.clear();
    this.#attempts.clear();
  }

  async settled(): Promise<void> {
    while (this.#open.size > 0) await Promise.all(this.#open);
  }

  async close(): Promise<void> {
    await this.#grpc.close();
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://sim");
    const route = findRoute(request.method ?? "GET", url.pathname, request.headers);
    const id = newId("req_");
    const entry = new Entry(receivedOf(request, url, id));
    const exchange = new Exchange(request, response, entry, route.vendor.headers(id));
    const isControl = url.pathname.startsWith("/sim/");
    if (!isControl) this.#books.add(entry);
    this.#watch(request.socket, entry);
    const over = Promise.allSettled([exchange.closed, this.#answer(exchange, url, route)]).then(() => void this.#open.delete(over));
    if (!isControl) this.#open.add(over);
  }

  #watch(socket: Socket, entry: Entry): void {
    const known = this.#latest.has(socket);
    this.#latest.set(socket, entry);
    if (!known) socket.once("close", () => this.#latest.get(socket)?.socketClosed());
  }

  async #answer(exchange: Exchange, url: URL, route: Route): Promise<void> {
    try {
      if (await answerControl(exchange, url.pathname, this.#books, () => this.clear())) return;
      await this.#answerVendor(exchange, url, route);
    } catch (error) {
      if (error instanceof Gone) return;
      const problem = problemOf(error);
      if (exchange.begun) exchange.reset();
      else await sendProblem(exchange, route.vendor, problem).catch(() => exchange.reset());
    }
  }

  async #answerVendor(exchange: Exchange, url: URL, route: Route): Promise<void> {
    const { request, entry } = exchange;
    const text = request.method === "POST" ? await this.#readBody(exchange) : "";
    entry.received.body = text;
    const { key, problem } = route.vendor.credential(request.headers, url.searchParams);
    if (problem !== undefined) throw new Refusal(problem);
    const { method = "GET", url: target = "", headers } = request;
    const forged = route.vendor.verify?.({ method, target, headers, body: text });
    if (forged !== undefined) throw new Refusal(forged);
    if (route.is === "nothing") throw new Refusal(notFound(route.vendor, request.method ?? "GET", url.pathname));
    if (route.vendor.name === "anthropic" && request.headers["anthropic-version"] === undefined) {
      throw new Refusal({ status: 400, message: "anthropic-version: header is required" });
    }
    const body = request.method === "POST" ? parseBody(text, route.vendor) : {};
    // Checks may put a body's fields into their first spelling; the books keep what came.
    if (request.method === "POST") entry.received.body = JSON.parse(text);
    const facts: RequestFacts = {
      body,
      headers: request.headers,
      model: route.model,
      stream: route.is === "generate" && route.stream,
      sse: url.searchParams.get("alt") === "sse",
      lenient: this.#options.lenient || isLenient(route.model || String(body.model ?? "")),
    };
    if (route.is === "generate") {
      const reading = route.wire.read(facts);
      entry.bill({ format: route.wire.format, model: reading.model, key: lastFour(key) });
      const script = this.#chooseScript(reading, () => createHash("sha256").update(url.pathname).update(text).digest("base64"));
      await play(exchange, route.wire, reading, script, this.#options);
      return;
    }
    const { body: answer, bill } = route.answer(facts, url.searchParams, this.#options.dimensions);
    if (bill !== undefined) {
      entry.bill({ format: bill.format, model: bill.model, key: lastFour(key) });
      entry.charge({ inputTokens: bill.inputTokens, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 }, true);
    }
    await exchange.json(200, answer);
  }

  #chooseScript({ model, prompt }: Reading, requestKey: () => string) {
    return chooseScript(model, prompt, requestKey, this.#attempts);
  }

  async #readBody(exchange: Exchange): Promise<string> {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of exchange.request as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > this.#options.maxBodyBytes) throw new Refusal({ status: 413, message: "Request exceeds the maximum size" });
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  }
}

function receivedOf(request: IncomingMessage, url: URL, id: string): ReceivedRequest {
  const query = new URLSearchParams(url.searchParams);
  if (query.has("key")) query.set("key", `***${lastFour(query.get("key") ?? "")}`);
  const headers = Object.entries(request.headers).map(([name, value]) => [name, maskHeader(name, String(value))]);
  return {
    id,
    method: request.method ?? "GET",
    path: url.pathname + (query.size === 0 ? "" : `?${query}`),
    headers: Object.fromEntries(headers) as Record<string, string>,
    body: undefined,
    status: 0,
    startedAt: performance.now(),
    socketClosedAt: undefined,
    bytesWritten: 0,
  };
}

function parseBody(text: string, { name }: Vendor): JsonObject {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new Refusal({ status: 400, message: notJson[name] ?? "The body is not valid JSON." });
  }
  if (!isObject(parsed)) throw new Refusal({ status: 400, message: notJson[name] ?? "The body must be an object." });
  return parsed;
}

const notJson: Readonly<Record<string, string>> = {
  openai:
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
  anthropic: "The request body is not valid JSON: expected a value",
  gemini: "Invalid JSON payload received. Expected a value.",
  cohere: "invalid request: the body is not valid JSON.",
  bedrock: "Malformed input request: the body is not valid JSON, please reformat your input and try again.",
};

function notFound({ name }: Vendor, method: string, path: string): Problem {
  if (name === "bedrock") return { status: 404, type: "UnknownOperationException", message: "" };
  if (name === "openai") return { status: 404, message: `Invalid URL (${method} ${path})` };
  return { status: 404, message: name === "anthropic" ? "Not Found" : `Method not found: ${path}` };
}

function problemOf(error: unknown): Problem {
  if (error instanceof Refusal) return error.problem;
  if (error instanceof ScriptError) return { status: 400, message: error.message, param: error.path, code: "invalid_sim_script" };
  return { status: 500, message: `The simulator failed: ${error instanceof Error ? error.message : String(error)}` };
}
