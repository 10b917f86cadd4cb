/** ISO-1: no byte of one tenant reaches another, on either store. `npm run endurance -- isolation` does the same 10 000 times. */
import { expect, test } from "vitest";
import { describeEngines } from "../stores/engines.ts";
import { operations } from "./isolation-operations.ts";
import { runIsolation } from "./isolation-run.ts";

describeEngines("X9, ISO-1: isolation", (engine) => {
  test("two tenants do everything at random, and neither meets the other", async () => {
    const { counts, crossings, wrong, bytes } = await runIsolation({
      seed: 20_260_101,
      count: 600,
      databaseUrl: await engine.server()?.createDatabase(),
    });
    expect(crossings).toEqual([]);
    expect(wrong).toEqual([]);
    // Everything was really done, and really answered.
    expect(Object.keys(counts).sort()).toEqual(operations.map(([name]) => name).sort());
    for (const name of [
      "chat",
      "respond",
      "retrieve",
      "continue",
      "rpcComplete",
      "list",
      "usage",
      "idempotent",
      "searchRequests",
      "createKey",
    ]) {
      expect(counts[name]?.ok, name).toBeGreaterThan(0);
    }
    for (const name of ["otherResponse", "otherTenant", "otherThing"]) expect(counts[name]?.refused, name).toBeGreaterThan(0);
    expect(bytes).toBeGreaterThan(100_000);
  }, 120_000);
});
