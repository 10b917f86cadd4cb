/** Efforts and budgets of reasoning: two ways of vendors to say the same, and how one is said as the other (contract.md 3.4). */
import { type Reasoning, ReasoningEffort, ReasoningMode } from "../../gen/dragoman/v1/generate_pb.ts";

/** Least first. */
export const effortLevels = ["minimal", "low", "medium", "high", "xhigh", "max"] as const;
export type EffortLevel = (typeof effortLevels)[number];

/** Tokens to think with. */
export const budgetOfEffort: Readonly<Record<EffortLevel, number>> = {
  minimal: 1024,
  low: 2048,
  medium: 8192,
  high: 16_384,
  xhigh: 24_576,
  max: 32_768,
};

const levels: Readonly<Record<number, EffortLevel>> = {
  [ReasoningEffort.MINIMAL]: "minimal",
  [ReasoningEffort.LOW]: "low",
  [ReasoningEffort.MEDIUM]: "medium",
  [ReasoningEffort.HIGH]: "high",
  [ReasoningEffort.XHIGH]: "xhigh",
  [ReasoningEffort.MAX]: "max",
};

/** Undefined for an effort that is not stated, and for NONE, which is not to think. */
export function effortLevel(effort: ReasoningEffort): EffortLevel | undefined {
  return levels[effort];
}

/** Whether the model is asked not to think at all, in whichever of the three ways. */
export function isReasoningOff({ mode, effort, budgetTokens }: Pick<Reasoning, "mode" | "effort" | "budgetTokens">): boolean {
  return mode === ReasoningMode.DISABLED || effort === ReasoningEffort.NONE || budgetTokens === 0;
}

/** The least effort whose budget holds so many tokens. */
export function effortOfBudget(tokens: number): EffortLevel {
  return effortLevels.find((level) => tokens <= budgetOfEffort[level]) ?? "max";
}

/** The nearest of the efforts that a model takes; the lesser of two that are equally near. `offered` is not empty. */
export function nearestEffort(level: EffortLevel, offered: readonly EffortLevel[]): EffortLevel {
  const wanted = effortLevels.indexOf(level);
  let best = offered[0] ?? level;
  for (const candidate of offered) {
    const distance = Math.abs(effortLevels.indexOf(candidate) - wanted);
    if (distance < Math.abs(effortLevels.indexOf(best) - wanted)) best = candidate;
  }
  return best;
}
