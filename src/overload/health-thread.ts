/** A port that tells whether the event loop still runs: on a thread of its own, which answers even when nothing else does (reliability.md 4.5, P4). */
import type { AddressInfo } from "node:net";
import { Worker } from "node:worker_threads";

export interface HealthThreadOptions {
  readonly host: string;
  readonly port: number;
  /** After so many milliseconds without a beat the answer is `stalled`; 1,000 by default. */
  readonly stallMs?: number;
}

/** What the thread gets. */
export interface HealthThreadData extends Required<HealthThreadOptions> {
  /** One number: when the last beat was, by the system's monotonic clock, in milliseconds. */
  readonly beats: SharedArrayBuffer;
}

export interface HealthThread {
  readonly address: AddressInfo;
  /** The loop runs: to be said every `beatMs`. */
  beat(): void;
  close(): Promise<void>;
}

export const beatMs = 250;
const standardStallMs = 1_000;

/** Rejects with Node's error where the address cannot be had. Begins with a beat. */
export async function startHealthThread({ host, port, stallMs = standardStallMs }: HealthThreadOptions): Promise<HealthThread> {
  const shared = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  const beats = new BigInt64Array(shared);
  const beat = (): void => void Atomics.store(beats, 0, monotonicMs());
  beat();
  // The file beside this one, whether they run as .ts (type stripping) or as compiled .js.
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const worker = new Worker(new URL(`./health-responder.${extension}`, import.meta.url), {
    workerData: { host, port, stallMs, beats: shared } satisfies HealthThreadData,
  });
  const address = await new Promise<AddressInfo>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  worker.unref();
  return {
    address,
    beat,
    async close() {
      await worker.terminate();
    },
  };
}

/** Threads of one process read the same clock. */
export function monotonicMs(): bigint {
  return process.hrtime.bigint() / 1_000_000n;
}
