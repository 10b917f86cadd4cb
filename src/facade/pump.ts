/** The one place that writes a body to a client: of a stream it waits for drain, close or abort (reliability.md 2.9). */

import type { ServerResponse } from "node:http";
import { stopReason } from "../core/call.ts";

/** Ends a whole answer, all of which is in memory: there is nothing to wait for. */
export function endInPieces(response: ServerResponse, pieces: readonly (string | Uint8Array)[]): void {
  response.cork();
  for (const piece of pieces.slice(0, -1)) response.write(piece);
  response.end(pieces.at(-1));
}

export class Pump {
  readonly #response: ServerResponse;
  readonly #signal: AbortSignal;

  constructor(response: ServerResponse, signal: AbortSignal) {
    this.#response = response;
    this.#signal = signal;
  }

  /** Resolves when more may be written. Throws the call's stop reason where nobody reads any more. */
  write(text: string | Uint8Array): Promise<void> | undefined {
    if (this.#signal.aborted) throw stopReason(this.#signal);
    return this.#response.write(text) ? undefined : this.#drained();
  }

  end(text = ""): void {
    if (!this.#response.writableEnded && !this.#response.destroyed) this.#response.end(text);
  }

  #drained(): Promise<void> {
    const response = this.#response;
    const signal = this.#signal;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        response.off("drain", settle);
        response.off("close", settle);
        signal.removeEventListener("abort", settle);
        if (signal.aborted) reject(stopReason(signal));
        else resolve();
      };
      response.on("drain", settle);
      response.on("close", settle);
      signal.addEventListener("abort", settle);
    });
  }
}
