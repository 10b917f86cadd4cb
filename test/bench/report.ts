/** Turns samples into tables. A ratio is made within one round and load; what is shown is the median over the rounds. */
import type { Spread } from "./load-http.ts";
import { type Load, openStreams } from "./loads.ts";
import { type Memory, median } from "./measure.ts";
import type { Sample, WrongAnswers } from "./rounds.ts";
import { type ServerName, variants } from "./servers.ts";

export interface MemoryUse {
  /** Before the first request. */
  readonly started: Memory;
  /** After the last. */
  readonly ended: Memory;
  /** KiB for each of many open streams; undefined where not measured. */
  readonly perStream: number | undefined;
}

export interface Outcome {
  readonly loads: readonly Load[];
  readonly samples: readonly Sample[];
  readonly wrong: readonly WrongAnswers[];
  readonly memory: ReadonlyMap<ServerName, MemoryUse>;
}

export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  /** How many columns say what a row is about; the others hold figures. */
  readonly labels: number;
  readonly rows: readonly (readonly string[])[];
}

const none = "-";

function digits(value: number | undefined, places = 1): string {
  if (value === undefined || !Number.isFinite(value)) return none;
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en");
  return value.toFixed(Math.abs(value) >= 100 ? 0 : places);
}

const titles: Readonly<Record<ServerName, string>> = {
  nginx: "nginx",
  portkey: "Portkey",
  dragoman: "Dragoman",
  "dragoman-default": "as it starts, in memory",
  "dragoman-all-on": "all on",
  "dragoman-written": "no relay",
};

const ratio = (value: number | undefined) => digits(value, 2);
const milliseconds = (value: number | undefined) => digits(value, 2);

/** The samples of an outcome, by what one asks of them. */
class Figures {
  readonly #samples: readonly Sample[];

  constructor(samples: readonly Sample[]) {
    this.#samples = samples;
  }

  of(load: string, server: ServerName): readonly Sample[] {
    return this.#samples.filter((sample) => sample.load === load && sample.server === server);
  }

  /** Median over the rounds. */
  value(load: string, server: ServerName, figure: (sample: Sample) => number | undefined): number | undefined {
    return median(this.of(load, server).flatMap((sample) => figure(sample) ?? []));
  }

  /** One figure of two servers, joined round by round. The two loads may differ. */
  joined(
    [load, server]: readonly [string, ServerName],
    [otherLoad, other]: readonly [string, ServerName],
    figure: (sample: Sample) => number | undefined,
    join: (mine: number, others: number) => number,
  ): number[] {
    const others = this.of(otherLoad, other);
    return this.of(load, server).flatMap((sample) => {
      const mine = figure(sample);
      const match = others.find(({ round }) => round === sample.round);
      const theirs = match && figure(match);
      return mine === undefined || theirs === undefined ? [] : [join(mine, theirs)];
    });
  }
}

const divide = (mine: number, others: number) => mine / others;
const subtract = (mine: number, others: number) => mine - others;

/** How far the rounds lie apart, as a share of their median. */
function apart(values: readonly number[]): string {
  const middle = median(values);
  if (middle === undefined || values.length < 2) return none;
  return `${Math.round(((Math.max(...values) - Math.min(...values)) / middle) * 100)} %`;
}

function costTable(
  title: string,
  loads: readonly Load[],
  figures: Figures,
  figure: (sample: Sample) => number | undefined,
  unit: string,
): Table {
  return {
    labels: 2,
    title,
    head: [
      "load",
      "per",
      "Dragoman / nginx",
      "rounds apart",
      "all on / nginx",
      "Portkey / nginx",
      "Dragoman / Portkey",
      `nginx ${unit}`,
      `Dragoman ${unit}`,
      `all on ${unit}`,
      `Portkey ${unit}`,
    ],
    rows: loads
      .filter(({ shows }) => shows.includes("cpu"))
      .map((load) => {
        const floor = load.comparedWith ?? load.name;
        const against = (server: ServerName, otherLoad: string, other: ServerName) =>
          figures.joined([load.name, server], [otherLoad, other], figure, divide);
        const toFloor = against("dragoman", floor, "nginx");
        const value = (server: ServerName) => digits(figures.value(load.name, server, figure));
        return [
          load.title,
          load.unit,
          ratio(median(toFloor)),
          apart(toFloor),
          ratio(median(against("dragoman-all-on", floor, "nginx"))),
          ratio(median(against("portkey", floor, "nginx"))),
          ratio(median(against("dragoman", floor, "portkey"))),
          value("nginx"),
          value("dragoman"),
          value("dragoman-all-on"),
          value("portkey"),
        ];
      }),
  };
}

function ownTable(loads: readonly Load[], figures: Figures): Table {
  return {
    labels: 2,
    title: "gRPC and other formats beside what is relayed over HTTP, both plain Dragoman's, CPU",
    head: ["load", "per", "this / relayed", "this us", "relayed us"],
    rows: loads.flatMap((load) => {
      if (load.comparedWith === undefined) return [];
      const cpu = (sample: Sample) => sample.cpu;
      const against = figures.joined([load.name, "dragoman"], [load.comparedWith, "dragoman"], cpu, divide);
      const values = [load.name, load.comparedWith].map((name) => digits(figures.value(name, "dragoman", cpu)));
      return [[load.title, load.unit, ratio(median(against)), ...values]];
    }),
  };
}

/** The plain path, and with more: the difference is made within a round. */
function variantTable(loads: readonly Load[], figures: Figures, figure: (sample: Sample) => number | undefined, unit: string): Table {
  return {
    labels: 3,
    title: `What more costs than the plain path, ${unit}`,
    head: ["load", "per", "with", "with / plain", "rounds apart", `plain ${unit}`, `with ${unit}`, `adds ${unit}`],
    rows: loads
      .filter(({ shows }) => shows.includes("cpu"))
      .flatMap((load) =>
        variants
          .filter((variant) => load.servers.includes(variant))
          .map((variant) => {
            const joined = (join: (mine: number, others: number) => number) =>
              figures.joined([load.name, variant], [load.name, "dragoman"], figure, join);
            const value = (server: ServerName) => digits(figures.value(load.name, server, figure));
            const ratios = joined(divide);
            const added = digits(median(joined(subtract)));
            return [load.title, load.unit, titles[variant], ratio(median(ratios)), apart(ratios), value("dragoman"), value(variant), added];
          }),
      ),
  };
}

function latencyTable(loads: readonly Load[], figures: Figures): Table {
  const percentiles = ["p50", "p99"] as const;
  return {
    labels: 3,
    title: "Latency, microseconds (added: over nginx in the same round)",
    head: ["load", "of", "", "added by Dragoman", "by all on", "by Portkey", "nginx", "Dragoman", "all on", "Portkey"],
    rows: loads.flatMap((load) => {
      const kinds: [string, (sample: Sample) => Spread][] = [
        ...(load.shows.includes("latency") ? [["answer", ({ result }) => result.latency] as [string, (sample: Sample) => Spread]] : []),
        ...(load.shows.includes("chunks")
          ? ([
              ["first byte", ({ result }) => result.firstByte],
              ["chunk", ({ result }) => result.chunk],
            ] as [string, (sample: Sample) => Spread][])
          : []),
      ];
      const floor = load.comparedWith ?? load.name;
      return kinds.flatMap(([of, spread]) =>
        percentiles.map((percentile) => {
          const figure = (sample: Sample) => spread(sample)[percentile];
          const added = (server: ServerName) => digits(median(figures.joined([load.name, server], [floor, "nginx"], figure, subtract)), 0);
          const value = (server: ServerName) => digits(figures.value(load.name, server, figure), 0);
          return [
            ...[load.title, of, percentile],
            ...(["dragoman", "dragoman-all-on", "portkey"] as const).map(added),
            ...(["nginx", "dragoman", "dragoman-all-on", "portkey"] as const).map(value),
          ];
        }),
      );
    }),
  };
}

function throughputTable(loads: readonly Load[], figures: Figures): Table {
  const servers = ["nginx", "dragoman", "dragoman-all-on", "portkey"] as const;
  return {
    labels: 2,
    title: "Reached at saturation, per second (share of the server's core in use)",
    head: ["load", "of", ...servers.map((server) => titles[server])],
    rows: loads
      .filter(({ shows }) => shows.includes("cpu") && !shows.includes("chunks"))
      .map((load) => [
        load.title,
        `${load.unit}s`,
        ...servers.map((server) => {
          const units = ({ result }: Sample) => (load.unit === "chunk" ? result.markers : result.requests) / result.seconds;
          const busy = figures.value(load.name, server, (sample) => sample.busy);
          const reached = figures.value(load.name, server, units);
          return reached === undefined ? none : `${digits(reached, 0)} (${digits((busy ?? 0) * 100, 0)} %)`;
        }),
      ]),
  };
}

function loopTable(loads: readonly Load[], figures: Figures): Table {
  return {
    labels: 1,
    title: "Event-loop delay p99, milliseconds",
    head: ["load", "Dragoman", "all on", "Portkey"],
    rows: loads.map((load) => [
      load.title,
      ...(["dragoman", "dragoman-all-on", "portkey"] as const).map((server) =>
        milliseconds(figures.value(load.name, server, (sample) => sample.eventLoopDelay?.p99)),
      ),
    ]),
  };
}

function memoryTable(memory: ReadonlyMap<ServerName, MemoryUse>): Table {
  const floor = memory.get("nginx");
  return {
    labels: 1,
    title: "Memory, MiB resident",
    head: [
      "server",
      "after the loads / nginx",
      "at the start",
      "after the loads",
      "most ever",
      `KiB per stream (${openStreams.count} open)`,
    ],
    rows: [...memory].map(([server, use]) => [
      server.startsWith("dragoman-") ? `Dragoman, ${titles[server]}` : titles[server],
      ratio(floor && use.ended.resident / floor.ended.resident),
      digits(use.started.resident),
      digits(use.ended.resident),
      digits(use.ended.peak),
      digits(use.perStream),
    ]),
  };
}

/** Leaves out rows that hold no figure, as those of a server that took no part. */
function withoutEmptyRows(table: Table): Table {
  return { ...table, rows: table.rows.filter((row) => row.slice(table.labels).some((cell) => cell !== none)) };
}

export function makeTables({ loads, samples, memory }: Outcome): Table[] {
  const figures = new Figures(samples);
  // Clock ticks fall in step with paced records, so they tell nothing of those loads.
  const saturating = loads.filter(({ shows }) => !shows.includes("chunks"));
  const counted = samples.some(({ instructions }) => instructions !== undefined);
  const thousands = (pick: (instructions: { user: number; kernel: number }) => number) => (sample: Sample) =>
    sample.instructions && pick(sample.instructions) / 1000;
  return [
    ...(counted
      ? [
          costTable(
            "Instructions, user and kernel",
            loads,
            figures,
            thousands(({ user, kernel }) => user + kernel),
            "k",
          ),
          costTable(
            "Instructions, user only",
            loads,
            figures,
            thousands(({ user }) => user),
            "k",
          ),
        ]
      : []),
    costTable("CPU time", loads, figures, (sample) => sample.cpu, "us"),
    ...(counted
      ? []
      : [
          costTable(
            "CPU time in user mode (what the kernel costs left out; coarse)",
            saturating,
            figures,
            (sample) => sample.userCpu,
            "us",
          ),
        ]),
    counted
      ? variantTable(
          loads,
          figures,
          thousands(({ user, kernel }) => user + kernel),
          "k instructions",
        )
      : variantTable(loads, figures, (sample) => sample.cpu, "us"),
    ownTable(loads, figures),
    latencyTable(loads, figures),
    memoryTable(memory),
    throughputTable(loads, figures),
    loopTable(loads, figures),
  ]
    .map(withoutEmptyRows)
    .filter(({ rows }) => rows.length > 0);
}

function inColumns(
  { head, labels, rows }: Table,
  line: (cells: readonly string[]) => string,
  rule: (width: number, isLabel: boolean) => string,
) {
  const widths = head.map((name, column) => Math.max(3, name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const align = (cell: string, column: number) => (column < labels ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0));
  const lineOf = (cells: readonly string[]) => line(cells.map(align));
  return [lineOf(head), line(widths.map((width, column) => rule(width, column < labels))), ...rows.map(lineOf)].join("\n");
}

export function renderText(table: Table): string {
  return `${table.title}\n${inColumns(
    table,
    (cells) => cells.join("  ").trimEnd(),
    (width) => "-".repeat(width),
  )}`;
}

/** As the formatter of this repository would lay it out. */
export function renderMarkdown(table: Table): string {
  return `### ${table.title}\n\n${inColumns(
    table,
    (cells) => `| ${cells.join(" | ")} |`,
    (width, isLabel) => (isLabel ? "-".repeat(width) : `${"-".repeat(width - 1)}:`),
  )}`;
}
