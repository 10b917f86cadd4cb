/** Prices that operators set: which of them holds for an attempt. */
import { everyTenant, type PriceRecord } from "../core/price-store.ts";
import type { Price, PriceQuery } from "../core/pricing.ts";

/** A price that somebody set, wherever it was set. */
export type PriceRule = Pick<PriceRecord, "tenant" | "provider" | "modelPattern" | "tiers" | "effectiveFrom" | "effectiveUntil"> & {
  readonly version: string;
  readonly source: string;
};

interface CompiledRule extends PriceRule {
  /** What stands between the pattern's `*`, in order. Undefined where the pattern is a name. */
  readonly pieces: readonly string[] | undefined;
  readonly price: Price;
}

export class PriceRules {
  /** By provider, the best first. */
  readonly #rules = new Map<string, CompiledRule[]>();

  constructor(rules: readonly PriceRule[]) {
    for (const rule of rules) {
      const { tiers, version, source } = rule;
      const compiled = { ...rule, pieces: piecesOf(rule.modelPattern), price: { tiers, version, source } };
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
    Number(left.pieces !== undefined) - Number(right.pieces !== undefined) ||
    right.modelPattern.length - left.modelPattern.length ||
    right.effectiveFrom - left.effectiveFrom
  );
}

function holdsFor({ tenant, effectiveFrom, effectiveUntil }: PriceRule, whose: string, at: number): boolean {
  if (tenant !== whose && tenant !== everyTenant) return false;
  return at >= effectiveFrom && (effectiveUntil === undefined || at < effectiveUntil);
}

function matches({ modelPattern, pieces }: CompiledRule, model: string): boolean {
  return pieces === undefined ? modelPattern === model : matchesPieces(pieces, model);
}

function piecesOf(text: string): readonly string[] | undefined {
  return text.includes("*") ? text.split(/\*+/) : undefined;
}

/** Each piece at its first place after the one before: no expression, which names of models could make slow. */
function matchesPieces(pieces: readonly string[], model: string): boolean {
  const [first = "", ...rest] = pieces;
  const last = rest.pop() ?? "";
  if (!model.startsWith(first) || !model.endsWith(last)) return false;
  let at = first.length;
  for (const piece of rest) {
    const found = model.indexOf(piece, at);
    if (found === -1) return false;
    at = found + piece.length;
  }
  return at <= model.length - last.length;
}
