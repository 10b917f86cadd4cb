/**
 * Watches the process and refuses calls while it cannot serve them in time (reliability.md 2.9 and 4.5, P4 and P8): the event
 * loop is slow, or the heap nearly full. A heap that stays full ends the process in order before it ends by itself.
 */
import { getHeapStatistics } from "node:v8";
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import type { Logger } from "../core/log.ts";
import type { OverloadGate } from "../core/overload.ts";
import { LoopDelay } from "./loop-delay.ts";

export interface OverloadLimits {
  /** Calls are refused while one in a hundred waits longer than this for its turn, in milliseconds; 0: never. */
  readonly loopMs: number;
  /** Calls are refused from this share of the heap's limit on, 0 to 1. */
  readonly shedHeap: number;
  /** The process is to be replaced from this share on. */
  readonly fullHeap: number;
}

export interface OverloadWatchOptions {
  readonly limits: OverloadLimits;
  readonly clock: Clock;
  readonly log: Logger;
  /** The heap stays full: called once. */
  readonly onFull: () => void;
  /** Used share of the heap's limit; by default this process's. */
  readonly heap?: () => number;
  /** Of a number from 0 to 1, for the jitter of Retry-After. */
  readonly random?: () => number;
}

export type OverloadReason = "loop" | "heap";

const intervalMs = 50;
const stallMs = 1_000;
/** Looks at the heap: so many ticks apart; this many in a row before calls are refused, and before the process gives up. */
const heapTicks = 5;
const looksUntilShed = 2;
const looksUntilFull = 8;
/** What refused callers are asked to wait: between the one and twice as much. */
const retryMs = 1_000;

const words: Readonly<Record<OverloadReason, string>> = { loop: "too much is to be done at once", heap: "memory is nearly used up" };

export class OverloadWatch implements OverloadGate {
  readonly #options: OverloadWatchOptions;
  readonly #delay: LoopDelay;
  readonly #refused: Record<OverloadReason, number> = { loop: 0, heap: 0 };
  #timer: NodeJS.Timeout | undefined;
  #ticks = 0;
  /** Looks in a row at which the heap was over each of its bounds. */
  #overShed = 0;
  #overFull = 0;
  #reason: OverloadReason | undefined;

  constructor(options: OverloadWatchOptions) {
    this.#options = options;
    this.#delay = new LoopDelay({ intervalMs, stallMs, slowMs: options.limits.loopMs });
  }

  start(): void {
    this.#timer ??= setInterval(() => this.tick(), intervalMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** How often the event loop stood still for a second or longer. */
  get stalls(): number {
    return this.#delay.stalls;
  }

  /** Calls that were refused since the start. */
  get refused(): Readonly<Record<OverloadReason, number>> {
    return this.#refused;
  }

  /** Why calls are refused now. */
  get reason(): OverloadReason | undefined {
    return this.#reason;
  }

  refusal(): GatewayError | undefined {
    if (this.#reason === undefined) return undefined;
    this.#refused[this.#reason]++;
    const { random = Math.random } = this.#options;
    const retryAfterMs = Math.round(retryMs * (1 + random()));
    return new GatewayError("queue_full", `the gateway is overloaded: ${words[this.#reason]}; repeat the call later`, { retryAfterMs });
  }

  /** One look; by itself every 50 ms. */
  tick(): void {
    const { clock, limits, log } = this.#options;
    const now = clock.now();
    const stoodMs = this.#delay.tick(now);
    if (stoodMs !== undefined) log.warn("the event loop stood still", { duration_ms: Math.round(stoodMs) });
    if (this.#ticks++ % heapTicks === 0) this.#lookAtHeap();
    const isSlow = limits.loopMs > 0 && this.#delay.isSlow(now);
    this.#change(this.#overShed >= looksUntilShed ? "heap" : isSlow ? "loop" : undefined);
  }

  #lookAtHeap(): void {
    const { limits, heap = usedHeap, log, onFull } = this.#options;
    const share = heap();
    this.#overShed = share >= limits.shedHeap ? this.#overShed + 1 : 0;
    this.#overFull = share >= limits.fullHeap ? this.#overFull + 1 : 0;
    if (this.#overFull !== looksUntilFull) return;
    log.error("the heap is full: this process lets its calls finish and is replaced", { limit: getHeapStatistics().heap_size_limit });
    onFull();
  }

  #change(reason: OverloadReason | undefined): void {
    if (reason === this.#reason) return;
    const { log } = this.#options;
    if (reason !== undefined) log.warn("calls are refused: the process is overloaded", { reason: words[reason] });
    else log.info("calls are taken again");
    this.#reason = reason;
  }
}

function usedHeap(): number {
  const { used_heap_size: used, heap_size_limit: limit } = getHeapStatistics();
  return used / limit;
}
