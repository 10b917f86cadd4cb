/**
 * How the model is told to think. Thinking and effort are independent in the API; which of them a model takes is a fact
 * of its traits. https://platform.claude.com/docs/en/build-with-claude/thinking
 */
import { type Reasoning, ReasoningDisplay, ReasoningMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import { budgetOfEffort, type EffortLevel, effortLevel, effortOfBudget, isReasoningOff, nearestEffort } from "../../core/effort.ts";
import type { WritableObject } from "../../core/json.ts";
import type { ModelTraits } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import { minThinkingBudget } from "./wire.ts";

export interface ThinkingPlan {
  readonly thinking: WritableObject | undefined;
  readonly effort: EffortLevel | undefined;
  readonly maxTokens: number;
  /** Whether the model is asked to think. */
  readonly isOn: boolean;
}

export interface ThinkingFacts {
  readonly maxTokens: number;
  /** Whether it was filled in and may be raised: the client left it out, and it is no known maximum of the model. */
  readonly canRaiseLimit: boolean;
  /** Whether the last tool-call message of the history begins with thinking, as a manual budget wants it; true without any. */
  readonly historyThinks: boolean;
}

/** Efforts of the API, least first. */
const apiEfforts: readonly EffortLevel[] = ["low", "medium", "high", "xhigh", "max"];
/** For models that only take a budget, where nothing says how much. */
const defaultEffort: EffortLevel = "medium";

type Wish = "off" | "on" | "adaptive" | "between_tools" | "unsaid";

export function planThinking(
  reasoning: Reasoning | undefined,
  traits: ModelTraits,
  facts: ThinkingFacts,
  report: TranslationReport,
): ThinkingPlan {
  const none: ThinkingPlan = { thinking: undefined, effort: undefined, maxTokens: facts.maxTokens, isOn: false };
  if (reasoning === undefined) return none;
  if (reasoning.context !== "" && reasoning.context !== "auto") report.dropped("reasoning.context", "the API decides what is seen again");
  const wish = readWish(reasoning);
  if (traits.reasoning === "none") {
    if (wish !== "off" && wish !== "unsaid") report.dropped("reasoning.mode", "the model does not think");
    if (effortLevel(reasoning.effort) !== undefined) report.dropped("reasoning.effort", "the model does not think");
    return none;
  }
  const effort = takesEffort(traits) ? writeEffort(reasoning, traits, report) : undefined;
  return { ...none, effort, ...planMode(wish, reasoning, traits, facts, report) };
}

/** The plan without thinking, for a call that does not allow it. `detail` says why. */
export function withoutThinking(plan: ThinkingPlan, detail: string, report: TranslationReport): ThinkingPlan {
  report.coerced("reasoning.mode", detail);
  return { ...plan, thinking: { type: "disabled" }, isOn: false };
}

function readWish(reasoning: Reasoning): Wish {
  if (isReasoningOff(reasoning)) return "off";
  const { mode, budgetTokens, display } = reasoning;
  if (mode === ReasoningMode.ADAPTIVE) return "adaptive";
  if (mode === ReasoningMode.BETWEEN_TOOLS) return "between_tools";
  if (mode === ReasoningMode.ENABLED || budgetTokens !== undefined) return "on";
  // Reasoning that is to be shown is reasoning that is wanted.
  const isShown = display !== ReasoningDisplay.UNSPECIFIED && display !== ReasoningDisplay.OMITTED;
  return isShown ? "adaptive" : "unsaid";
}

function takesEffort({ reasoning }: ModelTraits): boolean {
  return reasoning !== "budget" && reasoning !== "none";
}

function takesBudget({ reasoning }: ModelTraits): boolean {
  return reasoning === "budget" || reasoning === "both";
}

function isAdaptive({ reasoning, adaptiveReasoning }: ModelTraits): boolean {
  return adaptiveReasoning ?? reasoning !== "budget";
}

function writeEffort({ effort, budgetTokens }: Reasoning, traits: ModelTraits, report: TranslationReport): EffortLevel | undefined {
  const offered = (traits.efforts ?? apiEfforts).filter((level) => level !== "minimal");
  const said = effortLevel(effort);
  if (said !== undefined) {
    const sent = nearestEffort(said, offered);
    if (sent !== said) report.coerced("reasoning.effort", sent);
    return sent;
  }
  if (budgetTokens === undefined || budgetTokens === 0 || takesBudget(traits)) return undefined;
  const sent = nearestEffort(effortOfBudget(budgetTokens), offered);
  report.coerced("reasoning.budget_tokens", `effort ${sent}, as the model takes no budget`);
  return sent;
}

function planMode(
  wish: Wish,
  reasoning: Reasoning,
  traits: ModelTraits,
  facts: ThinkingFacts,
  report: TranslationReport,
): Partial<ThinkingPlan> & Pick<ThinkingPlan, "thinking"> {
  const level = effortLevel(reasoning.effort);
  if (wish === "off") return planOff(traits, report);
  if (wish === "unsaid") {
    if (takesEffort(traits) || level === undefined) {
      if (reasoning.display !== ReasoningDisplay.UNSPECIFIED)
        report.dropped("reasoning.display", "nothing says that the model shall think");
      return { thinking: undefined };
    }
    report.coerced("reasoning.effort", `a budget of ${budgetOfEffort[level]} tokens`);
    return planBudget(budgetOfEffort[level], reasoning, traits, facts, report);
  }
  if (wish === "between_tools" && isAdaptive(traits)) return { thinking: { type: "between_tools" }, isOn: true };
  const { budgetTokens } = reasoning;
  if (budgetTokens !== undefined && takesBudget(traits)) {
    if (level !== undefined && !takesEffort(traits)) report.dropped("reasoning.effort", "the model takes the budget alone");
    return planBudget(budgetTokens, reasoning, traits, facts, report);
  }
  if (isAdaptive(traits)) {
    if (reasoning.mode === ReasoningMode.ENABLED && budgetTokens === undefined) report.coerced("reasoning.mode", "adaptive");
    if (reasoning.mode === ReasoningMode.UNSPECIFIED && budgetTokens === undefined) report.defaulted("reasoning.mode", "adaptive");
    return { thinking: { type: "adaptive", display: writeDisplay(reasoning.display, report) }, isOn: true };
  }
  const budget = budgetOfEffort[level ?? defaultEffort];
  if (wish === "on") report.defaulted("reasoning.budget_tokens", `${budget}`);
  else report.coerced("reasoning.mode", `a budget of ${budget} tokens`);
  return planBudget(budget, reasoning, traits, facts, report);
}

function planOff({ alwaysReasons }: ModelTraits, report: TranslationReport): Pick<ThinkingPlan, "thinking"> {
  if (alwaysReasons !== true) return { thinking: { type: "disabled" } };
  report.coerced("reasoning.mode", "the model's default, as it always thinks");
  return { thinking: undefined };
}

/** A budget is at least 1024 and less than max_tokens. */
function planBudget(
  wanted: number,
  { display }: Reasoning,
  { alwaysReasons }: ModelTraits,
  { maxTokens, canRaiseLimit, historyThinks }: ThinkingFacts,
  report: TranslationReport,
): Pick<ThinkingPlan, "thinking" | "maxTokens" | "isOn"> {
  const off = { thinking: alwaysReasons === true ? undefined : { type: "disabled" }, maxTokens, isOn: false };
  if (!historyThinks) {
    report.coerced("reasoning.mode", "not asked for, as the last tool calls have no thinking of this provider before them");
    return off;
  }
  // What was filled in made room for the answer alone.
  const limit = canRaiseLimit && wanted >= maxTokens ? wanted + maxTokens : maxTokens;
  const budget = wanted < limit ? wanted : limit - minThinkingBudget;
  if (budget < minThinkingBudget) {
    report.coerced("reasoning.budget_tokens", `no thinking, as it takes ${minThinkingBudget} tokens at least`);
    return off;
  }
  if (budget !== wanted) report.coerced("reasoning.budget_tokens", `${budget}, as it must be less than max_tokens`);
  const thinking = { type: "enabled", budget_tokens: budget, display: writeDisplay(display, report) };
  return { thinking, maxTokens: limit, isOn: true };
}

function writeDisplay(display: ReasoningDisplay, report: TranslationReport): string | undefined {
  if (display === ReasoningDisplay.UNSPECIFIED) return undefined;
  if (display === ReasoningDisplay.OMITTED) return "omitted";
  if (display !== ReasoningDisplay.SUMMARY) report.coerced("reasoning.display", "summarized");
  return "summarized";
}
