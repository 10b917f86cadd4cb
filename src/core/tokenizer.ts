/** Counting tokens here, with a model's own tokenizer where that is public. */
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";

export interface InputCount {
  readonly tokens: number;
  /** False where something had to be estimated, for example an image. */
  readonly isCounted: boolean;
}

/** Synchronous: it works as long as the text is, a few milliseconds for each hundred kilobytes. */
export interface Tokenizer {
  /** Tokens of a text by itself. */
  countText(text: string): number;
  /** Tokens of a whole call, with what messages and tools cost beside their text. */
  countInput(request: GenerateRequest): InputCount;
}

export interface Tokenizers {
  /** Undefined where the model's tokenizer is not public. It is loaded when it is first asked for. */
  find(model: string): Promise<Tokenizer> | undefined;
}
