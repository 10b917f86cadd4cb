/** Ends exchanges whose client does not take what was written, or does not finish its body; Node does neither for HTTP/2. */
import http2 from "node:http2";
import type { NodeRequest, NodeResponse } from "../core/node-handler.ts";
import type { ServerLimits } from "./limits.ts";

/** A large answer may take longer than the stall time as long as it moves at least this fast. */
const slowestBytesPerMs = 64;

interface Watched {
  readonly request: NodeRequest;
  readonly startedAt: number;
  /** When the client last stopped taking, and how long it may. */
  stalled: { readonly since: number; readonly forMs: number } | undefined;
}

export interface ExchangeWatchOptions {
  readonly limits: Pick<ServerLimits, "bodyTimeoutMs" | "http1WriteStallMs" | "http2WriteStallMs">;
  /** Called for an HTTP/2 request whose body did not arrive in time; nothing has been answered. */
  onSlowBody(request: NodeRequest, response: NodeResponse): void;
  onStall(): void;
}

export class ExchangeWatch {
  readonly #options: ExchangeWatchOptions;
  readonly #open = new Map<NodeResponse, Watched>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: ExchangeWatchOptions) {
    this.#options = options;
    const { bodyTimeoutMs, http1WriteStallMs, http2WriteStallMs } = options.limits;
    const shortest = Math.min(bodyTimeoutMs, http1WriteStallMs, http2WriteStallMs);
    this.#timer = setInterval(() => this.#sweep(), Math.max(10, Math.min(5_000, shortest / 4)));
    this.#timer.unref();
  }

  /** Exchanges that are running. */
  get size(): number {
    return this.#open.size;
  }

  watch(request: NodeRequest, response: NodeResponse): void {
    const watched: Watched = { request, startedAt: performance.now(), stalled: undefined };
    this.#open.set(response, watched);
    response.on("drain", () => {
      watched.stalled = undefined;
    });
    response.once("close", () => this.#open.delete(response));
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sweep(): void {
    const now = performance.now();
    const { limits, onSlowBody } = this.#options;
    for (const [response, watched] of this.#open) {
      const { request, startedAt } = watched;
      const stallMs = "stream" in response ? limits.http2WriteStallMs : limits.http1WriteStallMs;
      if (this.#isStalled(response, watched, stallMs, now)) {
        this.#open.delete(response);
        this.#cut(response);
      } else if ("stream" in request && now - startedAt > limits.bodyTimeoutMs && !request.stream.readableEnded && !response.headersSent) {
        this.#open.delete(response);
        onSlowBody(request, response);
      }
    }
  }

  #isStalled(response: NodeResponse, watched: Watched, stallMs: number, now: number): boolean {
    const pending = pendingBytes(response);
    if (pending === 0) watched.stalled = undefined;
    else watched.stalled ??= { since: now, forMs: stallMs + pending / slowestBytesPerMs };
    return watched.stalled !== undefined && now - watched.stalled.since > watched.stalled.forMs;
  }

  #cut(response: NodeResponse): void {
    this.#options.onStall();
    if ("stream" in response) response.stream.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM);
    else response.socket?.destroy();
  }
}

/** Bytes that wait for the client, 0 where it keeps up. A pipelined answer that is not yet its turn has no socket. */
function pendingBytes(response: NodeResponse): number {
  if (response.socket === null) return 0;
  const writable = "stream" in response ? response.stream : response;
  if (writable === undefined || writable.destroyed) return 0;
  const waits = writable.writableNeedDrain || (writable.writableEnded && !writable.writableFinished);
  return waits ? Math.max(1, writable.writableLength) : 0;
}
