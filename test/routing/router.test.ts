import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ModelSchema } from "../../gen/dragoman/v1/model_pb.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { Provider } from "../../src/core/provider.ts";
import { createRouter, type RouterOptions } from "../../src/routing/router.ts";

function provider(name: string, roles: { generate?: boolean; embed?: boolean } = { generate: true }): Provider {
  return {
    name,
    traits: (model) => (model.startsWith("big") ? { contextWindow: 1_000 } : {}),
    close: async () => {},
    ...(roles.generate && { generate: async function* () {} }),
    ...(roles.embed && { embed: async () => Promise.reject(new Error("not called")) }),
  };
}

const offered: Record<string, { provider: string; model: string }[]> = {
  shared: [
    { provider: "a", model: "shared" },
    { provider: "b", model: "shared" },
  ],
  "only-a": [{ provider: "a", model: "only-a" }],
  "meta-llama/Llama-3": [{ provider: "b", model: "meta-llama/Llama-3" }],
};

function router(options: Partial<RouterOptions> = {}) {
  return createRouter({
    providers: new Map([provider("a"), provider("b"), provider("vectors", { embed: true })].map((entry) => [entry.name, entry])),
    routes: {
      chain: { strategy: "fallback", maxAttempts: 2, targets: [1, 2, 3].map((n) => ({ provider: "a", model: `m${n}` })) },
      turns: { strategy: "round-robin", maxAttempts: 3, targets: [1, 2].map((n) => ({ provider: "b", model: `m${n}` })) },
    },
    aliases: { fast: "b/big-one", "smart-default": "chain" },
    models: { "b/big-one": { maxOutputTokens: 77 } },
    catalog: {
      find: (model) => (Object.hasOwn(offered, model) ? (offered[model] ?? []) : []),
      list: () => Object.keys(offered).map((id) => create(ModelSchema, { id })),
    },
    maxAttempts: 3,
    ...options,
  });
}

const ids = (model: string, preferred = "", instance = router()) =>
  instance.resolve(model, "generate", preferred).targets.map(({ id }) => id);

function reason(run: () => unknown): string {
  try {
    run();
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown.reason;
  }
  return "resolved";
}

describe("model references", () => {
  test.each([
    ["a/any-model", ["a/any-model"]],
    ["@b/any-model", ["b/any-model"]],
    ["a/org/model", ["a/org/model"]],
    ["shared", ["a/shared", "b/shared"]],
    ["meta-llama/Llama-3", ["b/meta-llama/Llama-3"]],
    ["fast", ["b/big-one"]],
    ["chain", ["a/m1", "a/m2", "a/m3"]],
    ["smart-default", ["a/m1", "a/m2", "a/m3"]],
  ])("%s", (reference, targets) => {
    expect(ids(reference)).toEqual(targets);
  });

  test.each(["nobody/model", "unknown", "constructor", "vectors/x", ""])("%j is no model for generation", (reference) => {
    expect(reason(() => ids(reference))).toBe("model_not_found");
  });

  test("a route names itself, a direct reference does not", () => {
    expect(router().resolve("smart-default", "generate", "")).toMatchObject({ route: "smart-default", maxAttempts: 2 });
    expect(router().resolve("a/x", "generate", "")).toMatchObject({ route: "", maxAttempts: 3 });
  });

  test("the preferred provider wins where it can serve, and is refused where it cannot", () => {
    expect(ids("shared", "b")).toEqual(["b/shared"]);
    expect(ids("unlisted", "b")).toEqual(["b/unlisted"]);
    // b lists nothing, so that another one's list does not speak for it.
    expect(ids("only-a", "b")).toEqual(["b/only-a"]);
    expect(reason(() => ids("a/x", "b"))).toBe("invalid_request");
  });

  test("a round-robin route begins with the next target every time", () => {
    const instance = router();
    expect([1, 2, 3].map(() => ids("turns", "", instance)[0])).toEqual(["b/m1", "b/m2", "b/m1"]);
  });

  test("the operator's facts of a model add to the provider's", () => {
    expect(router().resolve("fast", "generate", "").targets[0]?.traits).toEqual({ contextWindow: 1_000, maxOutputTokens: 77 });
  });
});

test("models lists routes and aliases first, then the catalog, each id once", () => {
  const models = router({ aliases: { shared: "a/x" } }).models();
  expect(models.map(({ id, ownedBy }) => [id, ownedBy])).toEqual([
    ["chain", "dragoman"],
    ["shared", "dragoman"],
    ["turns", "dragoman"],
    ["meta-llama/Llama-3", ""],
    ["only-a", ""],
  ]);
});
