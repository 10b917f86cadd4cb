/** The soak in short; `npm run endurance -- soak` is the long one. */
import { expect, test } from "vitest";
import { runSoak } from "../endurance/soak.ts";

test("SO1: much traffic and many aborts leave the heap as it was, and the ledger is the bill", { timeout: 180_000 }, async () => {
  const { aborted, failed, billed, rows, lost, double, wrong, open, ...heap } = await runSoak({
    requests: 3_000,
    warmUp: 1_500,
    clients: 16,
  });
  expect({ aborted, failed, billed, lost, double, wrong, open }).toEqual({
    aborted: 600,
    failed: 0,
    billed: 3_000,
    lost: 0,
    double: 0,
    wrong: 0,
    open: 0,
  });
  expect(rows).toBe(3_000);
  expect(heap.heapAfter - heap.heapBefore).toBeLessThanOrEqual(5 * 1_048_576);
});
