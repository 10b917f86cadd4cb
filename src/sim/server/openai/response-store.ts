/** Answers that the service keeps unless told otherwise, so that later ones may continue them. Forgets the oldest. */
import type { JsonObject } from "../../shape.ts";

const kept = new Map<string, readonly JsonObject[]>();
const most = 1000;

export function storedItems(id: string): readonly JsonObject[] | undefined {
  return kept.get(id);
}

/** An item of any kept answer. */
export function storedItem(itemId: string): JsonObject | undefined {
  for (const items of kept.values()) {
    const found = items.find(({ id }) => id === itemId);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** All items up to and with the answer. */
export function storeItems(id: string, items: readonly JsonObject[]): void {
  kept.set(id, items);
  const [oldest] = kept.keys();
  if (kept.size > most && oldest !== undefined) kept.delete(oldest);
}
