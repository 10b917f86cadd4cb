/** The moves of an answer, added up for its buffered form. */
import type { BlockWord } from "../compose.ts";
import type { Citation, FinishWord } from "../script.ts";
import type { ContentMove } from "./wire.ts";

export interface FoldedBlock {
  readonly kind: BlockWord;
  readonly id: string;
  readonly name: string;
  text: string;
  hidden: boolean;
  signature: string | undefined;
  redacted: boolean;
  citations: readonly Citation[];
  incomplete: boolean;
}

export interface FoldedCandidate {
  readonly blocks: FoldedBlock[];
  finish: FinishWord;
  stopSequence: string | undefined;
}

export class AnswerFold {
  readonly candidates: FoldedCandidate[] = [];

  /** The candidate that the move belongs to, with the move added. */
  add(move: ContentMove): FoldedCandidate {
    const candidate = (this.candidates[move.candidate] ??= { blocks: [], finish: "stop", stopSequence: undefined });
    if (move.is === "finish") {
      candidate.finish = move.reason;
      candidate.stopSequence = move.stopSequence;
    } else if (move.is === "open") {
      const { kind, id, name } = move;
      candidate.blocks[move.block] = {
        kind,
        id,
        name,
        text: "",
        hidden: false,
        signature: undefined,
        redacted: false,
        citations: [],
        incomplete: false,
      };
    } else {
      const block = this.block(move.candidate, move.block);
      if (move.is === "close") {
        const { signature, redacted, citations, incomplete } = move;
        Object.assign(block, { signature, redacted, citations, incomplete });
      } else if (move.hidden) block.hidden = true;
      else block.text += move.text;
    }
    return candidate;
  }

  block(candidate: number, block: number): FoldedBlock {
    const found = this.candidates[candidate]?.blocks[block];
    if (found === undefined) throw new Error(`block ${candidate}/${block} was never opened`);
    return found;
  }
}
