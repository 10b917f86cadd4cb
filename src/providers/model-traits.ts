/** What is known of models, as data by name pattern. */
import type { ModelTraits } from "../core/target.ts";

export interface TraitRule {
  /** Tested on the model's name at the provider, in lower case. */
  readonly pattern: RegExp;
  readonly traits: ModelTraits;
}

/** All rules that match, the later ones over the earlier. Answers are remembered: names come with every call. */
export function createTraits(rules: readonly TraitRule[]): (model: string) => ModelTraits {
  const known = new Map<string, ModelTraits>();
  return (model) => {
    const remembered = known.get(model);
    if (remembered !== undefined) return remembered;
    const name = model.toLowerCase();
    const traits: ModelTraits = Object.assign({}, ...rules.filter(({ pattern }) => pattern.test(name)).map((rule) => rule.traits));
    // Callers choose names: the memory must not grow with them.
    if (known.size >= 1_000) known.clear();
    known.set(model, traits);
    return traits;
  };
}
