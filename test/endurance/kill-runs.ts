/** The kill test at full length, over both engines. */
import { loadavg } from "node:os";
import { startPostgresServer, whyNoPostgres } from "../stores/postgres-server.ts";
import type { EnduranceResult, EnduranceRun } from "./endurance-run.ts";
import { type KillTally, runKillTest } from "./kill.ts";

const options = { seeds: 20, kills: 30, clients: 16, "first-seed": 1 };

type MakeDatabase = () => Promise<string | undefined>;

async function runSeeds(given: Readonly<Record<string, number>>, print: (line: string) => void, makeDatabase: MakeDatabase) {
  const { seeds = 1, kills = 1, clients = 1, "first-seed": firstSeed = 1 } = given;
  const tallies: KillTally[] = [];
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const tally = await runKillTest({ seed, kills, clients, journal: "os", databaseUrl: await makeDatabase() });
    print(JSON.stringify({ ...tally, startsMs: undefined, slowestStartMs: Math.max(...tally.startsMs) }));
    tallies.push(tally);
  }
  return describe(tallies);
}

function describe(tallies: readonly KillTally[]): EnduranceResult {
  const sum = (pick: (tally: KillTally) => number) => tallies.reduce((total, tally) => total + pick(tally), 0);
  const [lost, double, open, wrong] = [sum((t) => t.lost), sum((t) => t.double), sum((t) => t.open), sum((t) => t.wrong)];
  const bad = tallies.filter((tally) => tally.lost + tally.double + tally.open + tally.wrong > 0).map(({ seed }) => seed);
  const starts = tallies.flatMap(({ startsMs }) => startsMs).sort((left, right) => left - right);
  const [middle = 0, slowest = 0] = [starts[Math.floor(starts.length / 2)], starts.at(-1)];
  const cells = [
    sum((t) => t.kills),
    sum((t) => t.billed),
    sum((t) => t.rows),
    sum((t) => t.crashed),
    lost,
    double,
    open,
    wrong,
    `${middle} ms`,
    `${slowest} ms`,
  ];
  return {
    passed: bad.length === 0,
    lines: [
      "| kills | billed upstream | rows | ended by a crash | lost | double | open | wrong counts | start, median | slowest |",
      `|${" ---: |".repeat(cells.length)}`,
      `| ${cells.join(" | ")} |`,
      "",
      `Load average of the machine at the end: ${(loadavg()[0] ?? 0).toFixed(1)}; starts are as slow as it is busy.`,
      ...(bad.length === 0 ? [] : ["", `Seeds that failed: ${bad.join(", ")}.`]),
    ],
  };
}

const about = "The gateway is killed at random moments under load and started again; every billed request has one row, nothing stays open.";

export const killRuns: readonly EnduranceRun[] = [
  { name: "kill", about, options, run: (given, print) => runSeeds(given, print, async () => undefined) },
  {
    name: "kill-postgres",
    about,
    options,
    async run(given, print) {
      const missing = whyNoPostgres();
      if (missing !== undefined) return { passed: true, lines: [`Skipped: ${missing}.`] };
      const server = await startPostgresServer();
      try {
        return await runSeeds(given, print, () => server.createDatabase());
      } finally {
        await server.remove();
      }
    },
  },
];
