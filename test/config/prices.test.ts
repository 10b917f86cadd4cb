/** `prices` of the configuration: what is taken, and what is said of what is not. */
import { expect, test } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { ConfigError, describeProblem } from "../../src/config/problem.ts";
import { readConfiguredPrices } from "../../src/prices/configured-prices.ts";
import { temporaryDirectory } from "./temporary.ts";

const directory = temporaryDirectory();
const known = { providerTypes: ["openai"], providers: ["sim"] };
let files = 0;

function load(yaml: string) {
  const file = `prices-${files++}.yaml`;
  directory.write(file, yaml);
  return loadConfig({ file, env: {}, cwd: directory.path, known });
}

function problemsOf(yaml: string): string[] {
  try {
    load(yaml);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((problem) => describeProblem(problem).replace(/^[^ ]*: /, ""));
    throw error;
  }
  throw new Error("the configuration was taken");
}

test("decimal dollars become whole nano-dollars, in quotes or not; tiers are put in order", () => {
  const { prices } = load(`
prices:
  - provider: sim
    model: big-*
    rates: { input: "1.25", output: 10, cache_read: 0.1, batch.input: "0.625", tool.web_search: "10000" }
    tiers:
      - { above_input_tokens: 500000, rates: { input: "5" } }
      - { above_input_tokens: 200000, rates: { input: "2.5" } }
    effective_from: "2026-01-01"
    effective_until: "2026-07-01T00:00:00+02:00"
    source: the contract of January
`);
  expect(readConfiguredPrices(prices)).toEqual([
    {
      tenant: "*",
      provider: "sim",
      modelPattern: "big-*",
      tiers: [
        {
          aboveInputTokens: 0,
          rates: {
            input: 1_250_000_000n,
            output: 10_000_000_000n,
            cache_read: 100_000_000n,
            "batch.input": 625_000_000n,
            "tool.web_search": 10_000_000_000_000n,
          },
        },
        { aboveInputTokens: 200_000, rates: { input: 2_500_000_000n } },
        { aboveInputTokens: 500_000, rates: { input: 5_000_000_000n } },
      ],
      effectiveFrom: Date.parse("2026-01-01T00:00:00Z"),
      effectiveUntil: Date.parse("2026-06-30T22:00:00Z"),
      version: "config:sim/big-*@2026-01-01",
      source: "the contract of January",
    },
  ]);
});

test.each([
  ["a rate that is none", "{ inputs: 1 }", /prices\[0\]\.rates\.inputs: is no rate/],
  ["an amount below zero", '{ input: "-1" }', /prices\[0\]\.rates\.input: is no amount; write decimal dollars/],
  ["no rate at all", "{}", /prices\[0\]\.rates: is empty/],
])("%s", (_, rates, expected) => {
  expect(problemsOf(`prices: [{ provider: sim, model: x, rates: ${rates} }]`).join("\n")).toMatch(expected);
});

test("a provider that is not there", () => {
  const problems = problemsOf("prices: [{ provider: smi, model: x, rates: { input: 1 } }]");
  expect(problems.join("\n")).toContain('names the provider "smi", which is not configured; did you mean "sim"?');
});
