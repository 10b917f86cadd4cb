/** Cuts a text at the first stop text in it, however its pieces fall: the API has no such setting (contract.md 3.1, stop). */
import type { TokenLogprob } from "../../../gen/dragoman/v1/generate_pb.ts";

export interface CutPiece {
  /** What may be passed on. */
  readonly text: string;
  /** Log probabilities of what is passed on. */
  readonly logprobs: TokenLogprob[];
  /** The stop text that was met: nothing follows. */
  readonly stop: string | undefined;
}

export class StopCutter {
  readonly #stops: readonly string[];
  /** The end of the text that may be the beginning of a stop text. */
  #held = "";
  /** UTF-16 units passed on so far, and of all tokens so far. */
  #passed = 0;
  #seen = 0;
  #tokens: { readonly logprob: TokenLogprob; readonly end: number }[] = [];

  /** None of them is empty. */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  read(text: string, logprobs: readonly TokenLogprob[]): CutPiece {
    for (const logprob of logprobs) {
      this.#seen += logprob.token.length;
      this.#tokens.push({ logprob, end: this.#seen });
    }
    const all = this.#held + text;
    let at = -1;
    let stop: string | undefined;
    for (const candidate of this.#stops) {
      const found = all.indexOf(candidate);
      if (found === -1 || (at !== -1 && found >= at)) continue;
      at = found;
      stop = candidate;
    }
    const end = at === -1 ? all.length - this.#heldLength(all) : at;
    this.#held = all.slice(end);
    return { text: all.slice(0, end), logprobs: this.#release(end), stop };
  }

  /** What is still held back, when the text ends by itself. */
  end(): CutPiece {
    const text = this.#held;
    this.#held = "";
    const logprobs = this.#tokens.map(({ logprob }) => logprob);
    this.#tokens = [];
    return { text, logprobs, stop: undefined };
  }

  #release(length: number): TokenLogprob[] {
    this.#passed += length;
    const count = this.#tokens.findIndex(({ end }) => end > this.#passed);
    return this.#tokens.splice(0, count === -1 ? this.#tokens.length : count).map(({ logprob }) => logprob);
  }

  /** Length of the longest end of the text with which a stop text begins. */
  #heldLength(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
