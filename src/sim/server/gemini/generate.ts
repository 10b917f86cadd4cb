/** Gemini generateContent and streamGenerateContent, as they answer. */
import type { Counts } from "../../compose.ts";
import type { FinishWord } from "../../script.ts";
import type { JsonObject } from "../../shape.ts";
import { AnswerFold, type FoldedBlock, type FoldedCandidate } from "../answer-fold.ts";
import { newId } from "../ids.ts";
import { noteScripted } from "../issued.ts";
import type { Problem } from "../problem.ts";
import type { AnswerWriter, ContentMove, Frame, Reading, Wire } from "../wire.ts";
import { readGenerate } from "./read.ts";
import { geminiVendor } from "./vendor.ts";

export const generateWire: Wire = {
  format: "gemini",
  family: "gemini",
  lineEnd: "\r\n",
  interleave: false,
  callIdPrefix: "sim-call-",
  vendor: geminiVendor,
  read: readGenerate,
  writer: (reading) => new GenerateWriter(reading),
  usage: generateUsage,
};

const finishWords: Readonly<Record<FinishWord, string>> = {
  stop: "STOP",
  stop_sequence: "STOP",
  length: "MAX_TOKENS",
  // Calls end as any answer does.
  tool_calls: "STOP",
  content_filter: "SAFETY",
  refusal: "PROHIBITED_CONTENT",
  pause: "CONTINUATION",
};

function generateUsage({ inputTokens, outputTokens, cacheReadTokens, reasoningTokens }: Counts): JsonObject {
  return {
    promptTokenCount: inputTokens,
    // Thoughts stand outside.
    candidatesTokenCount: Math.max(0, outputTokens - reasoningTokens),
    totalTokenCount: inputTokens + outputTokens,
    promptTokensDetails: [{ modality: "TEXT", tokenCount: inputTokens }],
    ...(cacheReadTokens > 0 ? { cachedContentTokenCount: cacheReadTokens } : {}),
    ...(reasoningTokens > 0 ? { thoughtsTokenCount: reasoningTokens } : {}),
  };
}

class GenerateWriter implements AnswerWriter {
  readonly #reading: Reading;
  readonly #fold = new AnswerFold();
  readonly #id = newId("");
  /** Signature of reasoning that hangs on the next call, else on the end of the text, by candidate. */
  readonly #signatures = new Map<number, string>();
  /** Signatures that parts of the buffered answer carry. */
  readonly #carried = new Map<FoldedBlock, string>();
  /** The last chunk of each candidate waits, to carry the usage. */
  #last: JsonObject[] = [];
  #echoed = false;
  readonly #logprobs: boolean;

  constructor(reading: Reading) {
    this.#reading = reading;
    this.#logprobs = (reading.body.generationConfig as { responseLogprobs?: boolean } | undefined)?.responseLogprobs === true;
  }

  begin(): Frame[] {
    return [];
  }

  write(move: ContentMove): Frame[] {
    if (move.is === "close" && move.signature !== undefined) noteScripted("gemini", move.signature);
    this.#fold.add(move);
    if (move.is === "finish") {
      const signature = this.#signatures.get(move.candidate);
      // Streamed text carries it in an empty part at the end, the buffered answer on the text itself.
      const parts = signature === undefined ? [{ text: "" }] : [{ text: "", thoughtSignature: signature }];
      const text = this.#fold.candidates[move.candidate]?.blocks.findLast(({ kind }) => kind === "text");
      if (text !== undefined) this.#carry(move.candidate, text);
      const folded = this.#fold.candidates[move.candidate];
      const grounding = folded === undefined ? {} : groundingOf(folded);
      this.#last.push({ content: { parts, role: "model" }, finishReason: finishWords[move.reason], index: move.candidate, ...grounding });
      return [];
    }
    const block = this.#fold.block(move.candidate, move.block);
    if (block.kind === "call") {
      // A call comes whole, in one part.
      if (move.is !== "close") return [];
      this.#carry(move.candidate, block);
      return [this.#chunk(move.candidate, this.#part(block))];
    }
    if (move.is === "close") {
      if (block.kind === "reasoning" && move.signature !== undefined) this.#signatures.set(move.candidate, move.signature);
      return [];
    }
    if (move.is === "open" || move.hidden) return [];
    if (block.kind === "reasoning") return [this.#chunk(move.candidate, { text: move.text, thought: true })];
    return [this.#chunk(move.candidate, { text: move.text }, this.#logprobs ? { logprobsResult: logprobsOf([move.text]) } : {})];
  }

  end(usage: JsonObject | undefined): Frame[] {
    return this.#last.map((candidate) =>
      this.#frame({ candidates: [candidate], ...(usage === undefined ? {} : { usageMetadata: usage }) }),
    );
  }

  usageOnly(usage: JsonObject): Frame[] {
    return [this.#frame({ usageMetadata: usage })];
  }

  error(problem: Problem): Frame[] {
    return [{ data: geminiVendor.error(problem) }];
  }

  keepAlive(): Frame[] {
    return [];
  }

  body(usage: JsonObject | undefined): JsonObject {
    return {
      candidates: this.#fold.candidates.map((candidate, index) => this.#candidate(candidate, index)),
      ...(usage === undefined ? {} : { usageMetadata: usage }),
      modelVersion: this.#reading.model,
      responseId: this.#id,
      ...this.#reading.unknown,
    };
  }

  /** Whoever takes the signature takes it alone: of several calls in a row the first. */
  #carry(candidate: number, block: FoldedBlock): void {
    const signature = this.#signatures.get(candidate);
    if (signature !== undefined) this.#carried.set(block, signature);
    this.#signatures.delete(candidate);
  }

  #part(block: FoldedBlock): JsonObject {
    const signature = this.#carried.get(block);
    const signed = signature === undefined ? {} : { thoughtSignature: signature };
    if (block.kind === "call") return { functionCall: { id: block.id, name: block.name, args: readArguments(block.text) }, ...signed };
    return block.kind === "reasoning" ? { text: block.text, thought: true } : { text: block.text, ...signed };
  }

  #candidate(candidate: FoldedCandidate, index: number): JsonObject {
    const { blocks, finish } = candidate;
    const shown = blocks.filter(({ kind, text }) => kind === "call" || text !== "");
    const text = shown.flatMap((block) => (block.kind === "text" ? [block.text] : [])).join("");
    return {
      content: { parts: shown.map((block) => this.#part(block)), role: "model" },
      finishReason: finishWords[finish],
      index,
      ...groundingOf(candidate),
      ...(this.#logprobs && text !== "" ? { logprobsResult: logprobsOf([...text.matchAll(/[\s\S]{1,4}/gu)].map(([token]) => token)) } : {}),
    };
  }

  #chunk(index: number, part: JsonObject, beside: JsonObject = {}): Frame {
    return this.#frame({ candidates: [{ content: { parts: [part], role: "model" }, index, ...beside }] });
  }

  #frame(data: JsonObject): Frame {
    const echo = this.#echoed ? {} : this.#reading.unknown;
    this.#echoed = true;
    return { data: { ...data, modelVersion: this.#reading.model, responseId: this.#id, ...echo } };
  }
}

/** https://ai.google.dev/gemini-api/docs/google-search: offsets are bytes, and sources are named by their place in a list. */
function groundingOf({ blocks }: FoldedCandidate): JsonObject {
  const cited = blocks.flatMap((block) => block.citations.map((citation) => ({ citation, block })));
  if (cited.length === 0) return {};
  const bytes = (text: string, codePoints: number) => Buffer.byteLength([...text].slice(0, codePoints).join(""));
  const parts = blocks.filter(({ kind, text }) => kind === "call" || text !== "");
  return {
    groundingMetadata: {
      groundingChunks: cited.map(({ citation: { url, title } }) => ({ web: { uri: url, title } })),
      groundingSupports: cited.map(({ citation: { start, end }, block }, place) => ({
        segment: {
          partIndex: parts.indexOf(block),
          startIndex: bytes(block.text, start),
          endIndex: bytes(block.text, end),
          text: [...block.text].slice(start, end).join(""),
        },
        groundingChunkIndices: [place],
      })),
    },
  };
}

/** The same token always gets the same probability. */
function logprobsOf(tokens: readonly string[]): JsonObject {
  const chosen = tokens.map((token) => ({ token, tokenId: token.codePointAt(0) ?? 0, logProbability: -(token.length / 8) }));
  return { chosenCandidates: chosen, topCandidates: chosen.map((one) => ({ candidates: [one] })) };
}

/** Arguments that are no JSON object (a script may write such) come as the vendor would never write them. */
function readArguments(text: string): unknown {
  try {
    return JSON.parse(text === "" ? "{}" : text);
  } catch {
    return { _raw: text };
  }
}
