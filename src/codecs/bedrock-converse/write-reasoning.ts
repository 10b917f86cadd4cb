/**
 * How the model is told to think. The API has an effort; everything else stands in the fields of the model's own, which
 * differ by vendor. https://docs.aws.amazon.com/bedrock/latest/userguide/claude-messages-extended-thinking.html
 */
import { type Reasoning, ReasoningDisplay, ReasoningMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import { budgetOfEffort, type EffortLevel, effortLevel, effortOfBudget, isReasoningOff, nearestEffort } from "../../core/effort.ts";
import type { WritableObject } from "../../core/json.ts";
import type { ModelTraits } from "../../core/target.ts";
import type { TranslationReport } from "../../core/translation.ts";
import type { ReasoningStyle } from "./quirks.ts";
import { minThinkingBudget } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

export interface ReasoningPlan {
  /** Members of `additionalModelRequestFields`. */
  readonly additional: WritableObject;
  /** `outputConfig.effort`. */
  readonly effort: EffortLevel | undefined;
  /** Whether the model is asked to think in Claude's way, which excludes sampling and forced calls. */
  readonly isOn: boolean;
}

export interface ReasoningFacts {
  /** Most tokens of the answer, thinking included; undefined: the model's largest, whatever it is. */
  readonly maxTokens: number | undefined;
  /** Whether the last tool-call message of the history begins with reasoning, as a budget wants it; true without any. */
  readonly historyThinks: boolean;
}

const none: ReasoningPlan = { additional: {}, effort: undefined, isOn: false };

/** For models that only take a budget, where nothing says how much. */
const defaultEffort: EffortLevel = "medium";

/** Efforts by the way of saying them, least first. */
const styleEfforts: Readonly<Record<ReasoningStyle, readonly EffortLevel[]>> = {
  thinking: ["low", "medium", "high", "xhigh", "max"],
  reasoningConfig: ["low", "medium", "high"],
  reasoning_effort: ["low", "medium", "high"],
};

type Wish = "off" | "on" | "adaptive" | "between_tools" | "unsaid";

export function planReasoning(reasoning: Reasoning | undefined, facts: ReasoningFacts, context: WriteContext): ReasoningPlan {
  if (reasoning === undefined) return none;
  const { target, report, quirks } = context;
  const { traits } = target;
  if (reasoning.context !== "" && reasoning.context !== "auto")
    report.dropped("reasoning.context", "the service decides what is seen again");
  const wish = readWish(reasoning);
  if (traits.reasoning === "none") {
    reportUnthinking(wish, reasoning, traits, report);
    return none;
  }
  if (quirks.reasoning !== "thinking") return planEffort(wish, reasoning, quirks.reasoning, traits, report);
  const effort = takesEffort(traits) ? writeEffort(reasoning, "thinking", traits, report) : undefined;
  return { ...none, effort, ...planThinking(wish, reasoning, traits, facts, report) };
}

/** The plan without thinking, for a call that does not allow it. `detail` says why. */
export function withoutThinking(plan: ReasoningPlan, detail: string, report: TranslationReport): ReasoningPlan {
  report.coerced("reasoning.mode", detail);
  return { ...plan, additional: { ...plan.additional, thinking: { type: "disabled" } }, isOn: false };
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

function reportUnthinking(wish: Wish, { effort }: Reasoning, { alwaysReasons }: ModelTraits, report: TranslationReport): void {
  if (alwaysReasons === true) {
    if (wish === "off") report.coerced("reasoning.mode", "the model's default, as it always thinks");
    else if (effortLevel(effort) !== undefined) report.dropped("reasoning.effort", "the model decides how much it thinks");
    return;
  }
  if (wish !== "off" && wish !== "unsaid") report.dropped("reasoning.mode", "the model does not think");
  if (effortLevel(effort) !== undefined) report.dropped("reasoning.effort", "the model does not think");
}

/** Models that are told an effort, and nothing else. */
function planEffort(
  wish: Wish,
  reasoning: Reasoning,
  style: Exclude<ReasoningStyle, "thinking">,
  traits: ModelTraits,
  report: TranslationReport,
): ReasoningPlan {
  if (reasoning.display !== ReasoningDisplay.UNSPECIFIED) report.dropped("reasoning.display", "the model shows what it shows");
  if (wish === "off") {
    if (traits.alwaysReasons === true) {
      report.coerced("reasoning.mode", "the model's default, as it always thinks");
      return none;
    }
    return { ...none, additional: style === "reasoningConfig" ? { reasoningConfig: { type: "disabled" } } : {} };
  }
  let effort = writeEffort(reasoning, style, traits, report);
  if (effort === undefined) {
    if (wish === "unsaid") return none;
    effort = nearestEffort(defaultEffort, traits.efforts ?? styleEfforts[style]);
    if (wish === "on") report.defaulted("reasoning.effort", effort);
    else report.coerced("reasoning.mode", `effort ${effort}`);
  }
  const additional =
    style === "reasoningConfig" ? { reasoningConfig: { type: "enabled", maxReasoningEffort: effort } } : { reasoning_effort: effort };
  return { ...none, additional };
}

function takesEffort({ reasoning }: ModelTraits): boolean {
  return reasoning !== "budget";
}

/** What is not known may be any Claude: a budget is sent where the client names one. */
function takesBudget({ reasoning }: ModelTraits): boolean {
  return reasoning === undefined || reasoning === "budget" || reasoning === "both";
}

function isAdaptive({ reasoning, adaptiveReasoning }: ModelTraits): boolean {
  return adaptiveReasoning ?? reasoning !== "budget";
}

function writeEffort(
  { effort, budgetTokens }: Reasoning,
  style: ReasoningStyle,
  traits: ModelTraits,
  report: TranslationReport,
): EffortLevel | undefined {
  const known = styleEfforts[style];
  const offered = traits.efforts?.filter((level) => known.includes(level)) ?? known;
  const said = effortLevel(effort);
  if (said !== undefined) {
    const sent = nearestEffort(said, offered);
    if (sent !== said) report.coerced("reasoning.effort", sent);
    return sent;
  }
  if (budgetTokens === undefined || budgetTokens === 0 || (style === "thinking" && takesBudget(traits))) return undefined;
  const sent = nearestEffort(effortOfBudget(budgetTokens), offered);
  report.coerced("reasoning.budget_tokens", `effort ${sent}, as the model takes no budget`);
  return sent;
}

/** Claude's `thinking`. */
function planThinking(
  wish: Wish,
  reasoning: Reasoning,
  traits: ModelTraits,
  facts: ReasoningFacts,
  report: TranslationReport,
): Partial<ReasoningPlan> {
  const level = effortLevel(reasoning.effort);
  const { budgetTokens, display } = reasoning;
  if (wish === "off") return planOff(traits, report);
  if (wish === "unsaid") {
    if (takesEffort(traits) || level === undefined) {
      if (display !== ReasoningDisplay.UNSPECIFIED) report.dropped("reasoning.display", "nothing says that the model shall think");
      return {};
    }
    report.coerced("reasoning.effort", `a budget of ${budgetOfEffort[level]} tokens`);
    return planBudget(budgetOfEffort[level], reasoning, traits, facts, report);
  }
  if (wish === "between_tools" && isAdaptive(traits)) return thinking({ type: "between_tools" });
  if (budgetTokens !== undefined && takesBudget(traits)) {
    if (level !== undefined && !takesEffort(traits)) report.dropped("reasoning.effort", "the model takes the budget alone");
    return planBudget(budgetTokens, reasoning, traits, facts, report);
  }
  if (isAdaptive(traits)) {
    if (reasoning.mode === ReasoningMode.ENABLED && budgetTokens === undefined) report.coerced("reasoning.mode", "adaptive");
    if (reasoning.mode === ReasoningMode.UNSPECIFIED && budgetTokens === undefined) report.defaulted("reasoning.mode", "adaptive");
    return thinking({ type: "adaptive", display: writeDisplay(display, report) });
  }
  const budget = budgetOfEffort[level ?? defaultEffort];
  if (wish === "on") report.defaulted("reasoning.budget_tokens", `${budget}`);
  else report.coerced("reasoning.mode", `a budget of ${budget} tokens`);
  return planBudget(budget, reasoning, traits, facts, report);
}

function thinking(value: WritableObject): Partial<ReasoningPlan> {
  return { additional: { thinking: value }, isOn: true };
}

function planOff({ alwaysReasons }: ModelTraits, report: TranslationReport): Partial<ReasoningPlan> {
  if (alwaysReasons !== true) return { additional: { thinking: { type: "disabled" } } };
  report.coerced("reasoning.mode", "the model's default, as it always thinks");
  return {};
}

/** A budget is at least 1024 and less than the answer's tokens. */
function planBudget(
  wanted: number,
  { display }: Reasoning,
  { alwaysReasons }: ModelTraits,
  { maxTokens, historyThinks }: ReasoningFacts,
  report: TranslationReport,
): Partial<ReasoningPlan> {
  const off = alwaysReasons === true ? {} : { additional: { thinking: { type: "disabled" } } };
  if (!historyThinks) {
    report.coerced("reasoning.mode", "not asked for, as the last tool calls have no thinking of this provider before them");
    return off;
  }
  const budget = maxTokens === undefined || wanted < maxTokens ? wanted : maxTokens - minThinkingBudget;
  if (budget < minThinkingBudget) {
    report.coerced("reasoning.budget_tokens", `no thinking, as it takes ${minThinkingBudget} tokens at least`);
    return off;
  }
  if (budget !== wanted) report.coerced("reasoning.budget_tokens", `${budget}, as it must be less than maxTokens`);
  return thinking({ type: "enabled", budget_tokens: budget, display: writeDisplay(display, report) });
}

function writeDisplay(display: ReasoningDisplay, report: TranslationReport): string | undefined {
  if (display === ReasoningDisplay.UNSPECIFIED) return undefined;
  if (display === ReasoningDisplay.OMITTED) return "omitted";
  if (display !== ReasoningDisplay.SUMMARY) report.coerced("reasoning.display", "summarized");
  return "summarized";
}
