/** An effort for targets that take no budget of reasoning. */
import { type Reasoning, ReasoningMode } from "../../gen/dragoman/v1/generate_pb.ts";
import { type EffortLevel, effortLevel, effortLevels, effortOfBudget, nearestEffort } from "./effort.ts";
import type { ModelTraits } from "./target.ts";
import type { TranslationReport } from "./translation.ts";

/**
 * The nearest effort that the model offers, with what differs in the report; undefined where none was asked for. Not to
 * think at all is the caller's to say.
 */
export function writeEffort(
  { effort, mode, budgetTokens }: Reasoning,
  { efforts: offered = effortLevels }: ModelTraits,
  report: TranslationReport,
): EffortLevel | undefined {
  const wanted = effortLevel(effort);
  if (wanted !== undefined) {
    if (budgetTokens !== undefined) report.dropped("reasoning.budget_tokens", "the target takes an effort instead of a budget");
    const nearest = nearestEffort(wanted, offered);
    if (nearest !== wanted) report.coerced("reasoning.effort", `${nearest}, the nearest that the model takes`);
    return nearest;
  }
  if (budgetTokens !== undefined) {
    const nearest = nearestEffort(effortOfBudget(budgetTokens), offered);
    report.coerced("reasoning.budget_tokens", `effort ${nearest}: the target takes no budget`);
    return nearest;
  }
  // Thinking as much as the model likes is what it does unasked.
  if (mode === ReasoningMode.ENABLED || mode === ReasoningMode.BETWEEN_TOOLS) {
    report.dropped("reasoning.mode", "whether the target reasons is its own choice where no effort is named");
  }
  return undefined;
}
