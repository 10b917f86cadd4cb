import { expect, test } from "vitest";
import type { LimitState, TakeReply } from "../../src/limits/limit-state.ts";
import { createProviderQuotas } from "../../src/limits/provider-quotas.ts";

function quotasThatAnswer(reply: TakeReply) {
  const state = { take: async () => reply } as unknown as LimitState;
  return createProviderQuotas(state, new Map([["mine", { requestsPerMinute: 10, tokensPerMinute: 0 }]]));
}

test("a quota that nobody can count now keeps no call from its provider", async () => {
  const place = await quotasThatAnswer({ verdict: "away", levels: [] })?.enter("mine", 10);
  expect(place).toHaveProperty("settle");
});

test("a quota that is used up says for how long", async () => {
  const level = { used: 10, limit: 10, waitMs: 2_000, resetMs: 60_000, at: 0, taken: 0 };
  const place = await quotasThatAnswer({ verdict: "refused", levels: [level] })?.enter("mine", 10);
  expect(place).toMatchObject({ waitMs: 2_000, levels: [{ subjectId: "mine", remaining: 0 }] });
});
