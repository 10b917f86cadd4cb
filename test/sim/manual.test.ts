import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { faults } from "../../src/sim/faults.ts";
import { simDefaults, simOptions } from "../../src/sim/options.ts";

const manual = readFileSync(new URL("../../docs/simulator.md", import.meta.url), "utf8");

test("the manual names every fault as the code does", () => {
  for (const [name, { about }] of Object.entries(faults)) expect(manual).toContain(`| \`${name}\` | ${about} |`);
});

test("the manual names every option with its flag and default", () => {
  expect(
    Object.values(simOptions)
      .map(({ option }) => option)
      .sort(),
  ).toEqual(Object.keys(simDefaults).sort());
  for (const [flag, { option }] of Object.entries(simOptions)) {
    expect(manual).toContain(`| \`${option}\` | \`--${flag}\` | ${String(simDefaults[option])} |`);
  }
});
