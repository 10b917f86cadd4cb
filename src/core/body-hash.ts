/** SHA-256 of a body that goes by: nothing of it is held (reliability.md 2.7). */
import { createHash, type Hash } from "node:crypto";
import type { NodeResponse } from "./node-handler.ts";

export class BodyHash {
  #hash: Hash | undefined;
  #hex: string | undefined;
  readonly #listeners: (() => void)[] = [];

  /** Text goes by as UTF-8. */
  update(piece: string | Uint8Array): void {
    if (this.#hex !== undefined || piece.length === 0) return;
    this.#hash ??= createHash("sha256");
    this.#hash.update(piece);
  }

  /** Another body goes by instead: only the last one counts. */
  reset(): void {
    if (this.#hex === undefined) this.#hash = undefined;
  }

  /** Nothing more comes; the first time counts. */
  seal(): void {
    if (this.#hex !== undefined) return;
    this.#hex = this.#hash?.digest("hex") ?? "";
    for (const listener of this.#listeners.splice(0)) listener();
  }

  /** Calls `listener` once nothing more comes: at once where that is so already. */
  whenSealed(listener: () => void): void {
    if (this.#hex === undefined) this.#listeners.push(listener);
    else listener();
  }

  /** In hex, of what went by until now; empty where nothing did. */
  get hex(): string {
    return this.#hex ?? this.#hash?.copy().digest("hex") ?? "";
  }
}

/** What a call's answer was on both sides of the gateway. */
export interface CallBodies {
  /** The answer of the provider that was tried last, as it came over the wire. */
  readonly upstream: BodyHash;
  /** What the client got, as it was handed to the connection. */
  readonly sent: BodyHash;
}

/** Of the body of one HTTP answer, whoever writes it; sealed when it is complete, or the client has gone. */
export function hashSentBody(response: NodeResponse): BodyHash {
  const hash = new BodyHash();
  const { write, end } = response;
  let isEnding = false;
  const see = (piece: unknown): void => {
    if (typeof piece === "string" || piece instanceof Uint8Array) hash.update(piece);
  };
  Object.assign(response, {
    write(...words: unknown[]): unknown {
      // HTTP/2's end() writes its piece by write().
      if (!isEnding) see(words[0]);
      return Reflect.apply(write, response, words);
    },
    end(...words: unknown[]): unknown {
      if (!isEnding) see(words[0]);
      isEnding = true;
      hash.seal();
      return Reflect.apply(end, response, words);
    },
  });
  response.once("close", () => hash.seal());
  return hash;
}
