/** Prices that operators set: which of them holds for an attempt. */
import { everyTenant, type PriceRecord } from "../core/price-store.ts";
import type { Price, PriceQuery } from "../core/pricing.ts";

/** A price that somebody set, wherever it was set. */
export type PriceRule = Pick<PriceRecord, "tenant" | "provider" | "modelPattern" | "tiers" | "effectiveFrom" | "effectiveUntil"> & {
  readonly version: string;
  readonly source: string;
};

interface CompiledRule extends PriceRule {
  /** Undefined where the pattern is a name. */
  readonly pattern: RegExp | undefined;
  readonly price: Price;
}

export class PriceRules {
  /** By provider, the best first. */
  readonly #rules = new Map<string, CompiledRule[]>();

  constructor(rules: readonly PriceRule[]) {
    for (const rule of rules) {
      const { tiers, version, source } = rule;
      const compiled = { ...rule, pattern: patternOf(rule.modelPattern), price: { tiers, version, source } };
      this.#rules.set(rule.provider, [...(this.#rules.get(rule.provider) ?? []), compiled]);
    }
    for (const list of this.#rules.values()) list.sort(byPrecedence);
  }

  find({ tenant, provider, model, at }: PriceQuery): Price | undefined {
    return this.#rules.get(provider)?.find((rule) => holdsFor(rule, tenant, at) && matches(rule, model))?.price;
  }
}

/** A tenant's own before everybody's, a name before a pattern, a longer pattern before a shorter, the latest first. */
function byPrecedence(left: CompiledRule, right: CompiledRule): number {
  return (
    Number(left.tenant === everyTenant) - Number(right.tenant === everyTenant) ||
    Number(left.pattern !== undefined) - Number(right.pattern !== undefined) ||
    right.modelPattern.length - left.modelPattern.length ||
    right.effectiveFrom - left.effectiveFrom
  );
}

function holdsFor({ tenant, effectiveFrom, effectiveUntil }: PriceRule, whose: string, at: number): boolean {
  if (tenant !== whose && tenant !== everyTenant) return false;
  return at >= effectiveFrom && (effectiveUntil === undefined || at < effectiveUntil);
}

function matches({ modelPattern, pattern }: CompiledRule, model: string): boolean {
  return pattern === undefined ? modelPattern === model : pattern.test(model);
}

/** `*` stands for any text. Lazy, and without nesting, so that no name can make it slow beyond its length. */
function patternOf(text: string): RegExp | undefined {
  if (!text.includes("*")) return undefined;
  const pieces = text.split(/\*+/).map((piece) => piece.replaceAll(/[\\^$.|?+()[\]{}]/g, String.raw`\$&`));
  return new RegExp(`^${pieces.join(".*?")}$`, "s");
}
