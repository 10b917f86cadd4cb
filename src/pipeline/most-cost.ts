/** The most that an attempt may cost: what is reserved of budgets and told to the ledger before it is dispatched. */
import type { ServiceTier } from "../../gen/dragoman/v1/call_pb.ts";
import { type Price, type RateName, reserveOf } from "../core/pricing.ts";
import type { Target } from "../core/target.ts";

/** What of a request decides its price. */
export interface BilledBy {
  /** Rates by which it may be billed beside those of plain input and output. */
  readonly rates: readonly RateName[];
  /** As it was asked for. */
  readonly serviceTier: ServiceTier;
}

export interface CostBounds {
  readonly inputTokens: number;
  /** The cap of all answers together; 0 for what has no output, undefined where the client names none. */
  readonly outputCap: number | undefined;
  billedBy(): BilledBy;
}

export interface MostCostOptions {
  /** Output tokens of a call without a cap at a model without one. */
  readonly outputEstimate: number;
  /** Stands in where no price is known, by route; absent, or undefined: nothing is reserved then (reliability.md 3.8). */
  readonly ceilingOf?: ((route: string) => Price | undefined) | undefined;
}

/** In nano-dollars. Undefined where neither a price nor a ceiling is known. */
export function mostCostAt(
  { traits }: Pick<Target, "traits">,
  price: Price | undefined,
  route: string,
  { inputTokens, outputCap, billedBy }: CostBounds,
  { outputEstimate, ceilingOf }: MostCostOptions,
): bigint | undefined {
  const ceiling = ceilingOf?.(route);
  if (price === undefined && ceiling === undefined) return undefined;
  const outputTokens = outputCap ?? traits.maxOutputTokens ?? outputEstimate;
  const estimate = { inputTokens, outputTokens, ...billedBy() };
  return reserveOf(estimate, price) ?? reserveOf(estimate, ceiling);
}
