/** `dragoman usage`: what was used and what it cost. */
import { toJson } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { createClient } from "@connectrpc/connect";
import { UsageDimension, UsageService, type UsageSum, UsageSumSchema } from "../../gen/dragoman/admin/v1/usage_service_pb.ts";
import { writeDollars, writeExactDollars } from "../core/money.ts";
import { suggestion } from "../core/nearest.ts";
import { type Column, writeCount, writeTable } from "./columns.ts";
import { type Command, UsageError } from "./command.ts";
import { recordOptions, recordPlace, withRecords } from "./records.ts";
import { readTime } from "./since.ts";
import type { Terminal } from "./terminal.ts";
import { writeCsvLine } from "./write-csv.ts";

const dimensions: Readonly<Record<string, UsageDimension>> = {
  model: UsageDimension.UPSTREAM_MODEL,
  name: UsageDimension.MODEL,
  provider: UsageDimension.PROVIDER,
  key: UsageDimension.KEY,
  project: UsageDimension.PROJECT,
  user: UsageDimension.END_USER,
  route: UsageDimension.ROUTE,
  surface: UsageDimension.SURFACE,
  operation: UsageDimension.OPERATION,
  outcome: UsageDimension.OUTCOME,
};
const spans: Readonly<Record<string, number>> = { hour: 3_600_000, day: 86_400_000 };

export const usage: Command = {
  name: "usage",
  about: "show what was used and what it cost, by model, key, day, ...",
  options: {
    by: { value: "LIST", about: `of ${[...Object.keys(spans), ...Object.keys(dimensions)].join(", ")}; model by default` },
    since: { value: "WHEN", about: "a date, a time, or a span back as 24h; 30d by default" },
    until: { value: "WHEN", about: "the same; now by default" },
    model: { value: "NAME", about: "only this model, as its provider calls it" },
    provider: { value: "NAME", about: "only this provider" },
    project: { value: "NAME", about: "only this project" },
    "key-id": { value: "ID", about: "only this key" },
    user: { value: "ID", about: "only this end user" },
    csv: { about: "as comma-separated values with a line of names, money as exact dollars" },
    ...recordOptions,
  },
  details: `Counted are attempts that are over, by the time they began; days and hours are of UTC. CALLS are different calls, ERRORS
attempts that failed, INPUT and OUTPUT tokens, COST what providers take in US dollars. --by name is the model as
clients asked for it.
${recordPlace}`,
  run: (input, terminal) =>
    withRecords(input, terminal, async ({ transport }) => {
      const { options, switches } = input;
      if (switches.has("csv") && switches.has("json")) throw new UsageError("--csv and --json exclude each other", "usage");
      const { names, bucket } = readGrouping(options.by ?? "model");
      const { sums } = await createClient(UsageService, transport).sumUsage({
        query: {
          tenant: options.tenant ?? "",
          fromTime: readTime(options.since ?? "30d", "since", "usage"),
          ...(options.until === undefined ? {} : { untilTime: readTime(options.until, "until", "usage") }),
          upstreamModel: options.model ?? "",
          provider: options.provider ?? "",
          project: options.project ?? "",
          keyId: options["key-id"] ?? "",
          endUserId: options.user ?? "",
          groupBy: names.flatMap((name) => dimensions[name] ?? []),
          ...(bucket === undefined ? {} : { bucket: bucket.span }),
        },
      });
      if (switches.has("csv")) writeCsv(sums, names, bucket?.name, terminal);
      else if (switches.has("json")) for (const sum of sums) terminal.write(`${JSON.stringify(toJson(UsageSumSchema, sum))}\n`);
      else show(sums, names, bucket?.name, terminal);
    }),
};

interface Grouping {
  readonly names: readonly string[];
  readonly bucket: { readonly name: string; readonly span: Duration } | undefined;
}

function readGrouping(text: string): Grouping {
  const words = [...new Set(text.split(",").map((word) => word.trim()))].filter((word) => word !== "");
  const known = [...Object.keys(spans), ...Object.keys(dimensions)];
  for (const word of words) {
    if (!known.includes(word))
      throw new UsageError(`--by: "${word}" is unknown${suggestion(word, known) || `; there are ${known.join(", ")}`}`, "usage");
  }
  const [name, second] = words.filter((word) => Object.hasOwn(spans, word));
  if (second !== undefined) throw new UsageError("--by takes hour or day, not both", "usage");
  const span = spans[name ?? ""];
  return {
    names: words.filter((word) => word !== name),
    bucket: name === undefined || span === undefined ? undefined : { name, span: durationFromMs(span) },
  };
}

function show(sums: readonly UsageSum[], names: readonly string[], bucket: string | undefined, { write }: Terminal): void {
  if (sums.length === 0) {
    write("nothing was used in this time\n");
    return;
  }
  const labels: Column[] = names.map((name) => ({ title: name.toUpperCase(), least: 12 }));
  if (bucket !== undefined) labels.unshift({ title: bucket.toUpperCase() });
  const numbers = ["CALLS", "ERRORS", "INPUT", "OUTPUT", "COST USD"].map((title) => ({ title, isNumber: true }));
  const rows = sums.map((sum) => [...labelsOf(sum, bucket), ...figuresOf(sum)]);
  // Different calls cannot be added up: one call may stand in several rows.
  if (sums.length > 1) rows.push([...labels.map((_, index) => (index === 0 ? "all" : "")), ...figuresOf(addUp(sums))]);
  write(writeTable([...labels, ...numbers], rows));
  const { unpriced, estimated } = addUp(sums);
  if (unpriced > 0n) write(`${writeCount(unpriced)} attempts have no known price: they are not in the cost\n`);
  if (estimated > 0n) write(`${writeCount(estimated)} attempts have estimated tokens\n`);
}

function labelsOf({ group, bucketTime }: UsageSum, bucket: string | undefined): string[] {
  const labels = group.map(({ value }) => value || "-");
  if (bucket === undefined) return labels;
  const at = bucketTime === undefined ? "" : new Date(timestampMs(bucketTime)).toISOString();
  return [bucket === "day" ? at.slice(0, 10) : at.slice(0, 16).replace("T", " "), ...labels];
}

/** Every sum of the contract; a cost of which nothing is known is left out, as it is none. */
function writeCsv(sums: readonly UsageSum[], names: readonly string[], bucket: string | undefined, { write }: Terminal): void {
  const counts = ["attempts", "calls", "errors", "unpriced", "estimated"] as const;
  const tokens = ["inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "reasoningTokens"] as const;
  const figures = [...counts, ...tokens];
  const titles = figures.map((name) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
  write(writeCsvLine([...(bucket === undefined ? [] : [bucket]), ...names, ...titles, "cost_usd", "charge_usd"]));
  for (const sum of sums) {
    const time = sum.bucketTime === undefined ? [] : [new Date(timestampMs(sum.bucketTime)).toISOString()];
    const values = figures.map((name) => String(sum[name]));
    const money = [sum.costNanoUsd, sum.chargeNanoUsd].map((nano) => (nano === 0n && sum.unpriced > 0n ? "" : writeExactDollars(nano)));
    write(writeCsvLine([...time, ...sum.group.map(({ value }) => value), ...values, ...money]));
  }
}

type Figures = Pick<UsageSum, "calls" | "errors" | "inputTokens" | "outputTokens" | "costNanoUsd" | "unpriced" | "estimated">;

function figuresOf({ calls, errors, inputTokens, outputTokens, costNanoUsd, unpriced }: Figures): string[] {
  const cost = costNanoUsd === 0n && unpriced > 0n ? "-" : writeDollars(costNanoUsd);
  return [...[calls, errors, inputTokens, outputTokens].map(writeCount), cost];
}

function addUp(sums: readonly Figures[]): Figures {
  const add = (field: keyof Figures) => sums.reduce((sum, figures) => sum + figures[field], 0n);
  return {
    calls: add("calls"),
    errors: add("errors"),
    inputTokens: add("inputTokens"),
    outputTokens: add("outputTokens"),
    costNanoUsd: add("costNanoUsd"),
    unpriced: add("unpriced"),
    estimated: add("estimated"),
  };
}
