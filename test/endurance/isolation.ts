/** Promise 11 (reliability.md 1): no byte of one tenant reaches another. */
import { runIsolation } from "../story/isolation-run.ts";
import type { EnduranceRun } from "./endurance-run.ts";

export const isolationRun: EnduranceRun = {
  name: "isolation",
  about: "Two tenants do everything that keys of every role can do, at once and at random. No answer holds what is the other's.",
  options: { operations: 10_000, "isolation-seed": 1 },
  async run({ operations = 1, "isolation-seed": seed = 1 }, print) {
    const { counts, bytes, crossings, wrong } = await runIsolation({ seed, count: operations });
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
  },
};
