/** `npm run bench`: what Dragoman costs beside nginx and a peer, in one interleaved run. `--help` says how to call it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeAnswers } from "./answers.ts";
import { chatLoad, runHttpLoad, streamLoad } from "./load-http.ts";
import { groups, type Load, type LoadGround, loads, openStreamsLoad } from "./loads.ts";
import { cpuTime, type Memory, median, memory, noCounters, processTree } from "./measure.ts";
import { startDragoman, startNginx, startPortkey } from "./peers.ts";
import { chooseCores, killAll, stopAll } from "./processes.ts";
import { proveAnswers } from "./proof.ts";
import { type MemoryUse, makeTables, renderMarkdown, renderText } from "./report.ts";
import { measureLoad, measureOpenStreams, type Sample, type WrongAnswers } from "./rounds.ts";
import { type Ground, type Server, type ServerName, Skipped, variants } from "./servers.ts";
import { buildTools, startUpstream, type Tools, type Upstream } from "./upstream.ts";

const help = `usage: npm run bench -- [options]

  --full           five rounds, longer loads, memory per open stream; about seventeen minutes, before a release
  --quick          one round of a quarter of the time, to see that all of it runs; its figures mean little and are not written
  --only LIST      loads to run: names or groups, separated by commas
                   groups: ${groups.join(", ")}
                   loads:  ${loads.map(({ name }) => name).join(", ")}
  --rounds N       rounds (default 3, about seven minutes; with --full 5, with --quick 1)
  --main FILE      what to start of Dragoman (default src/main.ts), for example dist/src/main.js
  --node-tools     use the Node upstream and load even where there is a C compiler
  --help           this text

The table goes to standard output and, for a run of all loads, into test/bench/RESULTS.md.
Exit: 0, 1 when any load saw a wrong answer, 2 when it could not run.
`;

interface Plan {
  readonly loads: readonly Load[];
  readonly rounds: number;
  /** Factor on the length of each load. */
  readonly stretch: number;
  readonly openStreams: boolean;
  readonly main: string;
  readonly nodeTools: boolean;
  readonly complete: boolean;
  /** No new round begins after so many seconds. */
  readonly budget: number;
}

function readPlan(args: readonly string[]): Plan | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      full: { type: "boolean", default: false },
      quick: { type: "boolean", default: false },
      only: { type: "string" },
      rounds: { type: "string" },
      main: { type: "string", default: "src/main.ts" },
      "node-tools": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const names = values.only?.split(",").map((name) => name.trim());
  const known = new Set<string>([...groups, ...loads.map(({ name }) => name)]);
  const unknown = names?.find((name) => !known.has(name));
  if (unknown !== undefined) throw new Error(`--only: there is no load or group "${unknown}"; there are ${[...known].join(", ")}`);
  const rounds = values.rounds === undefined ? (values.quick ? 1 : values.full ? 5 : 3) : Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > 100) throw new Error("--rounds: must be a whole number from 1 to 100");
  const chosen = loads.filter(({ name, group }) => names === undefined || names.includes(name) || names.includes(group));
  // What a load is compared with runs too.
  const needed = new Set(chosen.flatMap(({ name, comparedWith }) => [name, ...(comparedWith === undefined ? [] : [comparedWith])]));
  return {
    loads: loads.filter(({ name }) => needed.has(name)),
    rounds,
    stretch: values.quick ? 0.25 : values.full ? 2 : 1,
    openStreams: values.full ? names === undefined || names.includes("memory") : (names?.includes("memory") ?? false),
    main: values.main,
    nodeTools: values["node-tools"],
    complete: names === undefined && !values.quick,
    budget: values.full ? 1500 : 330,
  };
}

interface Participant {
  readonly server: Server;
  /** Groups in which it gave wrong answers before anything was timed. */
  readonly faults: ReadonlyMap<string, string>;
  readonly started: Memory;
}

/** Starts and proves the servers; what takes no part is in `skipped`, what answered wrongly in `wrong`. */
async function gather(
  ground: Ground,
  loadGround: LoadGround,
  plan: Plan,
  skipped: string[],
  wrong: WrongAnswers[],
): Promise<Participant[]> {
  const participants: Participant[] = [];
  const start = async (title: string, begin: () => Promise<Server>) => {
    try {
      const server = await begin();
      const started = memory(processTree(server.pid));
      const faults = await proveAnswers(server, loadGround, [...plan.loads, ...(plan.openStreams ? [openStreamsLoad] : [])]);
      for (const [group, what] of faults) wrong.push({ load: group, server: server.name, what });
      participants.push({ server, faults, started });
      console.log(`${server.title} is up`);
    } catch (error) {
      if (!(error instanceof Skipped)) throw error;
      skipped.push(`${title}: ${error.message}`);
      console.log(`skipped ${title}: ${error.message}`);
    }
  };
  await start("nginx", () => startNginx(ground));
  await start("Portkey", () => startPortkey(ground));
  for (const name of ["dragoman", ...variants] as const) {
    if (!plan.loads.some(({ servers }) => servers.includes(name))) continue;
    await start(name, () => startDragoman(ground, plan.main, name));
  }
  return participants;
}

const takesPart = (load: Load, { server, faults }: Participant) => load.servers.includes(server.name) && !faults.has(load.group);

/** What upstream and load can do without a server between them. */
async function measureCapacity(tools: Tools, ground: LoadGround, upstream: Upstream): Promise<string> {
  const direct = { port: upstream.port, headers: {}, model: (name: string) => name };
  const pids = processTree(upstream.process.pid ?? 0);
  const capacity = async (load: Parameters<typeof runHttpLoad>[3], connections: number, units: "requests" | "markers") => {
    const before = cpuTime(pids).running;
    const result = await runHttpLoad(tools, ground, direct, load, { connections, seconds: 1 });
    if (result.wrong > 0) throw new Error(`the upstream itself answers wrongly: ${result.firstWrong}`);
    const cost = (cpuTime(pids).running - before) / result[units];
    const round = (value: number) => `${Math.round(value / 1000)}k`;
    return `${round(1e6 / cost)}/s alone, ${round(result[units] / result.seconds)}/s with the load on the same core`;
  };
  const chat = await capacity(chatLoad, 32, "requests");
  const chunks = await capacity(streamLoad(256, 0), 16, "markers");
  return `upstream capacity: chat ${chat}; chunks ${chunks}`;
}

async function warmUp(ground: LoadGround, plan: Plan, participants: readonly Participant[]): Promise<void> {
  for (const participant of participants) {
    for (const load of plan.loads.filter((load) => load.warmSeconds > 0 && takesPart(load, participant))) {
      await measureLoad(ground, load, participant.server, {
        round: 0,
        seconds: load.warmSeconds * Math.min(1, plan.stretch),
        countsInstructions: false,
      });
    }
  }
}

interface RoundsResult {
  readonly samples: readonly Sample[];
  readonly rounds: number;
}

async function runRounds(
  ground: LoadGround,
  plan: Plan,
  participants: readonly Participant[],
  countsInstructions: boolean,
  outOfTime: () => boolean,
  wrong: WrongAnswers[],
): Promise<RoundsResult> {
  const samples: Sample[] = [];
  const gone = new Set<Participant>();
  let round = 0;
  while (round < plan.rounds && plan.loads.length > 0 && !interrupted && !outOfTime()) {
    round++;
    process.stdout.write(`round ${round} of ${plan.rounds}:`);
    // Turned round every other time, so that no server always follows the same one.
    const order = round % 2 === 1 ? participants : [...participants].reverse();
    for (const load of plan.loads) {
      process.stdout.write(` ${load.name}`);
      for (const participant of order.filter((participant) => takesPart(load, participant) && !gone.has(participant))) {
        const end = participant.server.ended();
        if (end !== undefined) {
          gone.add(participant);
          wrong.push({ load: load.title, server: participant.server.name, what: end });
          continue;
        }
        const options = { round, seconds: load.seconds * plan.stretch, countsInstructions };
        const measured = await measureLoad(ground, load, participant.server, options);
        if ("sample" in measured) samples.push(measured.sample);
        else wrong.push(measured.wrong);
      }
    }
    process.stdout.write("\n");
  }
  return { samples, rounds: round };
}

async function readMemory(ground: LoadGround, plan: Plan, participants: readonly Participant[], wrong: WrongAnswers[]) {
  const use = new Map<ServerName, MemoryUse>();
  for (const { server, faults, started } of participants) {
    const ended = memory(processTree(server.pid));
    let perStream: number | undefined;
    if (plan.openStreams && !faults.has("memory")) {
      const measured = await measureOpenStreams(ground, server);
      if (typeof measured === "number") perStream = measured;
      else wrong.push(measured);
    }
    use.set(server.name, { started, ended, perStream });
  }
  return use;
}

function describeMachine(): string {
  const model = cpus()[0]?.model.trim() ?? "unknown processor";
  const congestion = readFileSync("/proc/sys/net/ipv4/tcp_congestion_control", "utf8").trim();
  return `${model}, ${cpus().length} cores, Linux ${release()} (TCP ${congestion}), Node ${process.version}`;
}

const howToRead = `## How to read it

- Everything is made in one run on one machine. Servers take turns at each load, in reversed order every other round; a ratio is made
  within a round, and the median over the rounds is shown. "Rounds apart" is how far the ratios of the rounds lie from each other:
  differences smaller than that mean nothing. Never divide figures of two runs.
- **nginx** is the floor: it copies bytes and looks at nothing. **Portkey** is the peer: a gateway in TypeScript, on the same Node.
- Servers run on one core, load and upstream on another. CPU time is what the scheduler says the server's threads ran
  (\`/proc/PID/task/*/schedstat\`), kernel included, divided by the answers or stream records that were checked.
- gRPC has no counterpart at nginx or Portkey: its rows are divided by their cost of the same load over HTTP.
- Latency at a constant rate counts from the moment a request was due, so a stall is seen by all the requests behind it. Chunk latency is
  from the upstream's write of a record to its arrival. The gRPC loads are made by a Node client, which is part of their latency.
- Every answer is checked: status, text or number of parts, every record of a stream once and in order, the end mark. A load with a
  wrong answer shows no figure, and the run fails.
- **Dragoman** alone is the plain path: auth off, stores in memory, no request log, no metrics, \`LOG_LEVEL=warn\` (the others write no line
  per request either). "As it starts" is what a start without configuration gives: metrics and a request log in memory. **All on** is keys of
  the store, limits per key, a budget, prices, the ledger's journal (\`os\`), SQLite, the request log and metrics; SQLite's threads count, and run on
  the same core. "No relay" writes every answer anew (\`facade.relay: false\`) where formats are the same. Streams cost by the record, so
  what is done once a request shows little there.
`;

/** Set by a signal: what the servers did since is no result. */
let interrupted = false;

async function main(): Promise<number> {
  const plan = readPlan(process.argv.slice(2));
  if (plan === undefined) {
    console.log(help);
    return 0;
  }
  if (process.platform !== "linux") throw new Error("the bench reads /proc and so needs Linux");
  const began = performance.now();
  const directory = mkdtempSync(join(tmpdir(), "dragoman-bench-"));
  // The last thing in every case, exceptions and signals included.
  process.once("exit", () => {
    killAll();
    rmSync(directory, { recursive: true, force: true });
  });

  const loadAverage = loadavg()[0] ?? 0;
  const cores = chooseCores();
  const withoutCounters = noCounters();
  const skipped: string[] = [];
  const wrong: WrongAnswers[] = [];

  const tools = await buildTools(directory, plan.nodeTools);
  const answers = writeAnswers(directory);
  const upstream = await startUpstream(tools, answers, cores.load);
  const loadGround: LoadGround = { tools, directory, answers, loadCore: cores.load };
  const capacity = await measureCapacity(tools, loadGround, upstream);
  console.log(capacity);

  const participants = await gather({ directory, upstreamPort: upstream.port, core: cores.server }, loadGround, plan, skipped, wrong);
  if (participants.length === 0) throw new Error(`no server could be started:\n${skipped.join("\n")}`);
  console.log("warming up ...");
  await warmUp(loadGround, plan, participants);
  const outOfTime = () => performance.now() - began > plan.budget * 1000;
  const { samples, rounds } = await runRounds(loadGround, plan, participants, withoutCounters === undefined, outOfTime, wrong);
  if (interrupted) throw new Error("interrupted: no results");
  const memoryUse = await readMemory(loadGround, plan, participants, wrong);

  const notes = [
    `${new Date().toISOString().slice(0, 10)}; ${describeMachine()}`,
    `${participants.map(({ server }) => server.title).join(", ")}; rounds: ${rounds}${rounds < plan.rounds ? ` of ${plan.rounds}, out of time` : ""}`,
    cores.notPinned ?? `servers on core ${cores.server}, load and upstream on core ${cores.load}`,
    capacity,
    `load average before the run ${loadAverage.toFixed(2)}; servers waited ${Math.round((median(samples.map(({ waited }) => waited)) ?? 0) * 100)} % of the time for their core (median; more than a few % means that the machine was busy)`,
    ...(withoutCounters === undefined ? [] : [`no instruction counts: ${withoutCounters}; CPU time alone`]),
    ...(tools.notNative === undefined
      ? []
      : [`upstream and load in Node, because ${tools.notNative}: they are slower, latencies include theirs`]),
    ...skipped.map((reason) => `skipped ${reason}`),
  ];
  const faults = wrong.map(({ load, server, what }) => `WRONG ANSWERS: ${server}, ${load}: ${what}`);
  const tables = makeTables({ loads: plan.loads, samples, wrong, memory: memoryUse });

  console.log(`\n${tables.map(renderText).join("\n\n")}\n\n${[...notes, ...faults].map((note) => `- ${note}`).join("\n")}`);
  if (plan.complete) {
    const results = join(import.meta.dirname, "RESULTS.md");
    const facts = [...notes, ...faults].map((note) => `- ${note}`).join("\n");
    const text = `# Bench results\n\nWritten by \`npm run bench\`; not edited by hand.\n\n${facts}\n\n${tables.map(renderMarkdown).join("\n\n")}\n\n${howToRead}`;
    writeFileSync(results, text);
    console.log(`\nwritten to test/bench/RESULTS.md after ${Math.round((performance.now() - began) / 1000)} s`);
  }
  return wrong.length > 0 ? 1 : 0;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    interrupted = true;
    void stopAll().then(() => process.exit(130));
  });
}
try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
} finally {
  await stopAll();
}
process.exit();
