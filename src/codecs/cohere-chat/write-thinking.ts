/** How the model is told to think. https://docs.cohere.com/docs/reasoning */
import { type Reasoning, ReasoningDisplay, ReasoningMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import { budgetOfEffort, effortLevel, isReasoningOff } from "../../core/effort.ts";
import type { WritableObject } from "../../core/json.ts";
import type { WriteContext } from "./write-context.ts";

/** `thinking` of the request; undefined where the model's default says the same, or nothing was said. */
export function writeThinking(reasoning: Reasoning | undefined, { target, report }: WriteContext): WritableObject | undefined {
  if (reasoning === undefined) return undefined;
  const { mode, effort, budgetTokens, display, context } = reasoning;
  const level = effortLevel(effort);
  const isOff = isReasoningOff(reasoning);
  const isOn = !isOff && (mode !== ReasoningMode.UNSPECIFIED || budgetTokens !== undefined || level !== undefined);
  if (context !== "" && context !== "auto") report.dropped("reasoning.context", "the API decides what is seen again");
  if (target.traits.reasoning === "none") {
    if (isOn) report.dropped("reasoning", "the model does not think");
    return undefined;
  }
  if (isOff) return { type: "disabled" };
  if (display === ReasoningDisplay.OMITTED || display === ReasoningDisplay.CONCISE || display === ReasoningDisplay.DETAILED) {
    report.dropped("reasoning.display", "what the model thinks is shown as it is");
  }
  if (!isOn) return undefined;
  if (mode === ReasoningMode.ADAPTIVE || mode === ReasoningMode.BETWEEN_TOOLS) report.coerced("reasoning.mode", "enabled");
  if (budgetTokens !== undefined) {
    if (level !== undefined) report.dropped("reasoning.effort", "the budget counts");
    return { type: "enabled", token_budget: budgetTokens };
  }
  if (level === undefined) return { type: "enabled" };
  report.coerced("reasoning.effort", `a budget of ${budgetOfEffort[level]} tokens`);
  return { type: "enabled", token_budget: budgetOfEffort[level] };
}
