/**
 * `npm run endurance [-- NAME ...] [--option N]`: the long runs. Each prints what it measured and puts it into its section of
 * RESULTS.md; a run that fails its target ends the program with 1. To add one, add it to `runs`.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { abortsRun } from "./aborts.ts";
import type { EnduranceRun } from "./endurance-run.ts";
import { isolationRuns } from "./isolation.ts";
import { keyTimingRun } from "./key-timing.ts";
import { killRuns } from "./kill-runs.ts";
import { limitsRun } from "./limits.ts";
import { recoverRun } from "./recover.ts";
import { relayIdentityRun } from "./relay-identity.ts";
import { soakRun } from "./soak.ts";

const runs: readonly EnduranceRun[] = [
  ...killRuns,
  recoverRun,
  ...isolationRuns,
  keyTimingRun,
  relayIdentityRun,
  limitsRun,
  abortsRun,
  soakRun,
];

const results = join(import.meta.dirname, "RESULTS.md");
const options = Object.fromEntries(runs.flatMap((run) => Object.keys(run.options)).map((name) => [name, { type: "string" } as const]));
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const unknown = positionals.find((name) => !runs.some((run) => run.name === name));
if (unknown !== undefined) throw new Error(`there is no run "${unknown}"; there are ${runs.map(({ name }) => name).join(", ")}`);

for (const run of runs.filter(({ name }) => positionals.length === 0 || positionals.includes(name))) {
  const given = Object.fromEntries(Object.entries(run.options).map(([name, byDefault]) => [name, Number(values[name] ?? byDefault)]));
  console.log(`${run.name}: ${run.about}`);
  const begin = performance.now();
  const { passed, lines } = await run.run(given, (line) => console.log(`  ${line}`));
  const settings = Object.entries(given).map(([name, value]) => `${name} ${value}`);
  const seconds = Math.round((performance.now() - begin) / 1_000);
  const section = [
    `## ${run.name}`,
    "",
    `${run.about} ${passed ? "Passed" : "FAILED"}, ${new Date().toISOString().slice(0, 10)}, ${seconds} s; ${settings.join(", ")}; Node ${process.versions.node}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB.`,
    "",
    ...lines,
    "",
  ].join("\n");
  writeFileSync(results, replaceSection(readFileSync(results, "utf8"), run.name, section));
  if (!passed) process.exitCode = 1;
}

/** The document with one section replaced, or added at its end. */
function replaceSection(text: string, name: string, section: string): string {
  const begin = text.indexOf(`## ${name}\n`);
  if (begin === -1) return `${text.trimEnd()}\n\n${section}`;
  const next = text.indexOf("\n## ", begin + 1);
  return `${text.slice(0, begin)}${section}${next === -1 ? "" : text.slice(next)}`;
}
