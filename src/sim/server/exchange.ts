/** One HTTP request and its answer: writes that wait for the reader, the client's going, and what the books want to know. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Entry } from "./bill.ts";

/** The client went away, or the sim cut the connection. */
export class Gone extends Error {
  override readonly name = "Gone";
}

export class Exchange {
  readonly request: IncomingMessage;
  readonly id: string;
  readonly entry: Entry;
  /** Aborted with Gone when the connection closes before the answer is complete. */
  readonly signal: AbortSignal;
  /** Resolves when the answer is over, or the connection is. */
  readonly closed: Promise<void>;
  readonly #response: ServerResponse;
  readonly #headers: Record<string, string>;
  /** Whether the sim itself ended the connection: then it is no abort of the client. */
  #cut = false;

  constructor(request: IncomingMessage, response: ServerResponse, entry: Entry, headers: Record<string, string>) {
    this.request = request;
    this.id = entry.received.id;
    this.entry = entry;
    this.#response = response;
    this.#headers = headers;
    const controller = new AbortController();
    this.signal = controller.signal;
    this.closed = new Promise((resolve) => {
      response.once("close", () => {
        if (!response.writableFinished) {
          if (!this.#cut) entry.aborted();
          controller.abort(new Gone("the connection is closed"));
        }
        resolve();
      });
    });
  }

  get begun(): boolean {
    return this.#response.headersSent;
  }

  head(status: number, headers: OutgoingHttpHeaders): void {
    this.entry.status = status;
    this.#response.writeHead(status, { ...this.#headers, ...headers });
    this.#response.flushHeaders();
  }

  /** Resolves when the socket takes more. Rejects with Gone. */
  write(chunk: string | Uint8Array): Promise<void> | undefined {
    if (this.signal.aborted) return Promise.reject(this.signal.reason);
    this.entry.wrote(typeof chunk === "string" ? Buffer.byteLength(chunk) : chunk.length);
    return this.#response.write(chunk) ? undefined : this.#drained();
  }

  end(): void {
    this.#response.end();
  }

  /** A whole answer. */
  async send(status: number, headers: OutgoingHttpHeaders, body: string | Uint8Array): Promise<void> {
    this.head(status, { "content-length": Buffer.byteLength(body), ...headers });
    await this.write(body);
    this.end();
  }

  async json(status: number, body: unknown, headers: OutgoingHttpHeaders = {}): Promise<void> {
    await this.send(status, { "content-type": "application/json; charset=utf-8", ...headers }, `${JSON.stringify(body)}\n`);
  }

  /** The connection ends with RST. */
  reset(): void {
    this.#cut = true;
    this.#socket.resetAndDestroy();
  }

  /** Bytes straight into the socket, past the rules of HTTP; `close` ends the connection after them. */
  raw(bytes: string | Uint8Array, close: boolean): void {
    this.#cut = true;
    this.entry.wrote(Buffer.byteLength(bytes));
    if (close) this.#socket.end(bytes);
    else this.#socket.write(bytes);
  }

  get #socket(): Socket {
    return this.request.socket;
  }

  #drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const response = this.#response;
      const onDrain = () => {
        this.signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = () => {
        response.off("drain", onDrain);
        reject(this.signal.reason);
      };
      response.once("drain", onDrain);
      this.signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}
