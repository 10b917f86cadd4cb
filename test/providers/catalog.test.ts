import { describe, expect, test } from "vitest";
import type { Model } from "../../gen/dragoman/v1/model_pb.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { Provider } from "../../src/core/provider.ts";
import { createCatalog } from "../../src/providers/catalog.ts";
import { createModel } from "../../src/providers/model-list.ts";

function offering(name: string, list: () => string[] | Promise<string[]>, rest: Partial<Provider> = {}): Provider {
  return {
    name,
    listModels: async () =>
      (await list()).map((id) => createModel({ id, ...(id === "shared" ? { createdMs: 1_000 } : {}) }, name) as Model),
    traits: () => ({}),
    close: async () => {},
    ...rest,
  };
}

describe("createCatalog", () => {
  test("lists each id once, with every provider that offers it", async () => {
    const catalog = createCatalog([offering("a", () => ["shared", "only-a"]), offering("b", () => ["shared", "only-b"])], {
      configured: { b: ["stated"] },
    });
    expect(catalog.list().map(({ id }) => id)).toEqual(["stated"]);
    await catalog.refresh();
    expect(catalog.list().map(({ id, providers }) => [id, providers])).toEqual([
      ["only-a", ["a"]],
      ["only-b", ["b"]],
      ["shared", ["a", "b"]],
      ["stated", ["b"]],
    ]);
    expect(catalog.list().find(({ id }) => id === "shared")?.createdAt?.seconds).toBe(1n);
    expect(catalog.find("shared")).toEqual([
      { provider: "a", model: "shared" },
      { provider: "b", model: "shared" },
    ]);
  });

  test("prefers who was configured to serve a model", async () => {
    const catalog = createCatalog([offering("a", () => ["shared"]), offering("b", () => [])], { configured: { b: ["shared"] } });
    await catalog.refresh();
    expect(catalog.find("shared").map(({ provider }) => provider)).toEqual(["b", "a"]);
  });

  test("asks a name's vendor only where no list has the name", async () => {
    const claims = (model: string) => model.startsWith("x-");
    const catalog = createCatalog([offering("a", () => ["x-1"]), offering("b", () => [], { claims })]);
    expect(catalog.find("x-1")).toEqual([{ provider: "b", model: "x-1" }]);
    await catalog.refresh();
    expect(catalog.find("x-1")).toEqual([{ provider: "a", model: "x-1" }]);
    expect(catalog.find("x-2")).toEqual([{ provider: "b", model: "x-2" }]);
    expect(catalog.find("nobody's")).toEqual([]);
  });

  test("a name that begins with a provider's is that provider's, whoever claims it", () => {
    const claims = (model: string) => model.startsWith("x-");
    const catalog = createCatalog([offering("b", () => [], { claims }), offering("x-eu", () => [])]);
    expect(catalog.find("x-eu/large")).toEqual([]);
    expect(catalog.find("x-us/large")).toEqual([{ provider: "b", model: "x-us/large" }]);
  });

  test("a failure removes nothing and is told once", async () => {
    let fails = false;
    const told: string[] = [];
    const flaky = offering("a", () => {
      if (fails) throw new GatewayError("provider_error", "away");
      return ["m"];
    });
    const catalog = createCatalog([flaky], { onFailure: (provider) => told.push(provider) });
    await catalog.refresh();
    fails = true;
    await catalog.refresh();
    await catalog.refresh();
    expect(catalog.list().map(({ id }) => id)).toEqual(["m"]);
    expect(told).toEqual(["a"]);
    fails = false;
    await catalog.refresh();
    fails = true;
    await catalog.refresh();
    expect(told).toEqual(["a", "a"]);
  });

  test("a provider that does not answer in time holds up nobody", async () => {
    const errors: GatewayError[] = [];
    const silent = offering("a", () => [], {
      listModels: (signal) => new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    });
    const catalog = createCatalog([silent, offering("b", () => ["m"])], {
      timeoutMs: 30,
      onFailure: (_provider, error) => errors.push(error),
    });
    await catalog.refresh();
    expect(catalog.list().map(({ id }) => id)).toEqual(["m"]);
    expect(errors).toMatchObject([{ reason: "timeout", message: "a did not list its models within 30 ms" }]);
  });

  test("knows providers that are appended later", async () => {
    const providers = [offering("a", () => ["m"])];
    const catalog = createCatalog(providers);
    await catalog.refresh();
    providers.push(offering("b", () => ["later"]));
    await catalog.refresh();
    expect(catalog.find("later")).toEqual([{ provider: "b", model: "later" }]);
    expect(catalog.list().map(({ id }) => id)).toEqual(["later", "m"]);
  });

  test("built-in models are named with their provider, and never stand for a bare name", async () => {
    const catalog = createCatalog([offering("sim", () => ["echo"], { listsFullNames: true }), offering("a", () => ["m"])]);
    await catalog.refresh();
    expect(catalog.list().map(({ id }) => id)).toEqual(["m", "sim/echo"]);
    expect(catalog.find("echo")).toEqual([]);
  });

  test("joins a refresh that is running", async () => {
    let asked = 0;
    const catalog = createCatalog([offering("a", () => [`m${++asked}`])]);
    await Promise.all([catalog.refresh(), catalog.refresh(), catalog.refresh()]);
    expect(asked).toBe(1);
  });

  test("fills in what the name tells", async () => {
    const traits = () => ({ contextWindow: 10, embeddingDimensions: 3 });
    const catalog = createCatalog([offering("a", () => ["m"], { traits })]);
    await catalog.refresh();
    expect(catalog.list()[0]).toMatchObject({ contextWindow: 10, embeddingDimensions: 3 });
  });
});
