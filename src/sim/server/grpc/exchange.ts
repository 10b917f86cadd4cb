/** One gRPC call and its answer on an HTTP/2 stream: frames, trailers, the client's going, and what the books want to know. */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Entry } from "../bill.ts";
import { Gone } from "../exchange.ts";

/** How a call ends. `details`: a google.rpc.Status in bytes. */
export interface GrpcStatus {
  readonly code: number;
  readonly message: string;
  readonly details?: Uint8Array | undefined;
}

export class GrpcExchange {
  readonly stream: ServerHttp2Stream;
  readonly headers: IncomingHttpHeaders;
  readonly entry: Entry;
  /** Aborted with Gone when the stream closes before the answer is complete. */
  readonly signal: AbortSignal;
  /** Resolves when the answer is over, or the stream is. */
  readonly closed: Promise<void>;
  #begun = false;
  #ended = false;
  /** Whether the sim itself broke off: then it is no abort of the client. */
  #cut = false;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, entry: Entry) {
    this.stream = stream;
    this.headers = headers;
    this.entry = entry;
    const controller = new AbortController();
    this.signal = controller.signal;
    // What breaks a stream shows in `close`.
    stream.on("error", () => {});
    this.closed = new Promise((resolve) => {
      stream.once("close", () => {
        if (!this.#ended) {
          if (!this.#cut) entry.aborted();
          controller.abort(new Gone("the stream is closed"));
        }
        entry.socketClosed();
        resolve();
      });
    });
  }

  get begun(): boolean {
    return this.#begun;
  }

  /** Headers of an answer that has messages. */
  begin(headers: Record<string, string> = {}): void {
    if (this.#begun || this.stream.closed) return;
    this.#begun = true;
    this.entry.status = 200;
    this.stream.respond({ ":status": 200, ...this.#common(), ...headers }, { waitForTrailers: true });
  }

  /** One message. Rejects with Gone. */
  async message(bytes: Uint8Array): Promise<void> {
    this.begin();
    const head = Buffer.alloc(5);
    head.writeUInt32BE(bytes.length, 1);
    await this.bytes(Buffer.concat([head, bytes]));
  }

  /** Bytes as they are, whatever they mean. Waits for the reader. */
  async bytes(bytes: Uint8Array): Promise<void> {
    if (this.signal.aborted || this.stream.destroyed) throw new Gone("the stream is closed");
    this.entry.wrote(bytes.length);
    if (this.stream.write(bytes)) return;
    await new Promise<void>((resolve, reject) => {
      const settle = () => {
        this.stream.off("drain", settle);
        this.signal.removeEventListener("abort", settle);
        if (this.signal.aborted) reject(this.signal.reason);
        else resolve();
      };
      this.stream.once("drain", settle);
      this.signal.addEventListener("abort", settle, { once: true });
    });
  }

  /** The status; as the only header block where nothing was sent before. */
  end(status: GrpcStatus): void {
    if (this.#ended || this.stream.destroyed) return;
    this.#ended = true;
    const trailers = writeStatus(status);
    if (!this.#begun) {
      this.entry.status = 200;
      this.stream.respond({ ":status": 200, ...this.#common(), ...trailers }, { endStream: true });
      return;
    }
    this.stream.once("wantTrailers", () => this.stream.sendTrailers(trailers));
    this.stream.end();
  }

  /** An answer that is no gRPC at all. */
  plain(status: number, headers: Record<string, string>, body: string): void {
    this.#ended = true;
    this.entry.status = status;
    this.stream.respond({ ":status": status, ...headers });
    this.stream.end(body);
  }

  /** The stream ends without a status. */
  cutStream(): void {
    this.#cut = true;
    this.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  /** The connection ends with RST. */
  reset(): void {
    this.#cut = true;
    const { socket } = this.stream.session ?? {};
    this.stream.session?.destroy();
    socket?.destroy();
  }

  #common(): Record<string, string> {
    return { "content-type": "application/grpc", "x-request-id": this.entry.received.id };
  }
}

function writeStatus({ code, message, details }: GrpcStatus): Record<string, string> {
  return {
    "grpc-status": String(code),
    ...(message === "" ? {} : { "grpc-message": encodeURIComponent(message.toWellFormed()).replaceAll("%20", " ") }),
    ...(details === undefined
      ? {}
      : {
          "grpc-status-details-bin": Buffer.from(details)
            .toString("base64")
            .replace(/(?<!=)=+$/, ""),
        }),
  };
}
