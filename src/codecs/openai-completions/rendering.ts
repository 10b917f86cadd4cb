/** What the writers of an answer must know of its request. */
import type { DialectRequest } from "../../core/dialect.ts";

export interface Rendering {
  /** By prompt: what each of its answers begins with; empty without `echo`. */
  readonly echoes: readonly string[];
  /** Answers of each prompt. */
  readonly perPrompt: number;
}

const none: Rendering = { echoes: [], perPrompt: 1 };

export function renderingOf({ rendering }: DialectRequest): Rendering {
  return typeof rendering === "object" && rendering !== null && "echoes" in rendering ? (rendering as Rendering) : none;
}

/** What the answer with this index begins with. */
export function echoOf({ echoes, perPrompt }: Rendering, index: number): string {
  return echoes[Math.floor(index / perPrompt)] ?? "";
}
