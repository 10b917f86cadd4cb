/** Promise 11 (reliability.md 1): no byte of one tenant reaches another. */

import { startPostgresServer, whyNoPostgres } from "../stores/postgres-server.ts";
import { runIsolation } from "../story/isolation-run.ts";
import type { EnduranceResult, EnduranceRun } from "./endurance-run.ts";

const about = "Two tenants do everything that keys of every role can do, at once and at random. No answer holds what is the other's.";
const options = { operations: 10_000, "isolation-seed": 1 };

export const isolationRuns: readonly EnduranceRun[] = [
  { name: "isolation", about, options, run: (given, print) => run(given, print) },
  {
    name: "isolation-postgres",
    about: `The same on PostgreSQL. ${about}`,
    options,
    async run(given, print) {
      const missing = whyNoPostgres();
      if (missing !== undefined) return { passed: true, lines: [`Skipped: ${missing}.`] };
      const server = await startPostgresServer();
      try {
        return await run(given, print, await server.createDatabase());
      } finally {
        await server.remove();
      }
    },
  },
];

async function run(
  { operations = 1, "isolation-seed": seed = 1 }: Readonly<Record<string, number>>,
  print: (line: string) => void,
  databaseUrl?: string,
): Promise<EnduranceResult> {
  const { counts, bytes, crossings, wrong } = await runIsolation({ seed, count: operations, databaseUrl });
  for (const line of [...crossings, ...wrong]) print(line);
  const sum = (part: "ok" | "refused") => Object.values(counts).reduce((total, count) => total + count[part], 0);
  return {
    passed: crossings.length === 0 && wrong.length === 0,
    lines: [
      "| operations | kinds | answered | refused | MiB searched | answers with foreign bytes | wrong answers |",
      "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
      `| ${operations} | ${Object.keys(counts).length} | ${sum("ok")} | ${sum("refused")} | ${(bytes / 2 ** 20).toFixed(1)} | ${crossings.length} | ${wrong.length} |`,
    ],
  };
}
