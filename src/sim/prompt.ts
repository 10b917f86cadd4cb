/** What the simulated model sees of a request, whatever format it came in. */
import { tokensOf, tokensPerMessage } from "./tokens.ts";

export interface Prompt {
  /** Texts of the last user message that has any, part by part. */
  readonly userTexts: readonly string[];
  /** How many answers of the model follow it. */
  readonly turn: number;
  /** Texts of the tool results that follow it. */
  readonly toolResults: readonly string[];
  readonly inputTokens: number;
  readonly maxOutputTokens: number | undefined;
  readonly stop: readonly string[];
  readonly candidates: number;
  readonly output: { readonly kind: "object" } | { readonly kind: "schema"; readonly schema: unknown } | undefined;
  /** The tool that must be called. */
  readonly forcedTool: { readonly name: string; readonly parameters: unknown } | undefined;
  /** `asked`: think aloud; `hidden`: think, but do not show it; `off`: do not think. `default`: as a script says. */
  readonly reasoning: "default" | "asked" | "hidden" | "off";
}

/** One message of a conversation. Tool results may stand in user messages or in messages of their own. */
export interface Turn {
  readonly speaker: "system" | "user" | "model" | "tool";
  readonly texts: readonly string[];
  readonly toolResults: readonly string[];
  /** Text that is neither, but counts: tool calls, reasoning. */
  readonly other?: readonly string[];
}

/** The part of a prompt that follows from the conversation alone. */
export function conversation(turns: readonly Turn[]): Pick<Prompt, "userTexts" | "turn" | "toolResults" | "inputTokens"> {
  let userTexts: readonly string[] = [];
  let turn = 0;
  let toolResults: string[] = [];
  let inputTokens = 0;
  let spoke = false;
  for (const { speaker, texts, toolResults: results, other = [] } of turns) {
    inputTokens += tokensPerMessage;
    for (const text of [...texts, ...results, ...other]) inputTokens += tokensOf(text);
    if (speaker === "user" && texts.length > 0) {
      userTexts = texts;
      turn = 0;
      toolResults = [];
      spoke = false;
    }
    // Some formats spread one answer over several items: neighbours count once.
    if (speaker === "model" && !spoke) turn++;
    spoke = speaker === "model";
    toolResults.push(...results);
  }
  return { userTexts, turn, toolResults, inputTokens };
}
