/** A reader of Prometheus' text format 0.0.4, strict where a scraper is: https://prometheus.io/docs/instrumenting/exposition_formats/ */

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export class Scrape {
  readonly samples: readonly Sample[];
  /** Kind of each metric, by its name without the suffixes of histograms. */
  readonly types: ReadonlyMap<string, string>;

  constructor(text: string) {
    const samples: Sample[] = [];
    const types = new Map<string, string>();
    const seen = new Set<string>();
    if (!text.endsWith("\n")) throw new Error("the last line does not end");
    for (const line of text.split("\n")) {
      if (line === "") continue;
      const comment = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.+)$/.exec(line);
      if (comment !== null) {
        const [, kind, name = "", rest = ""] = comment;
        if (kind !== "TYPE") continue;
        if (types.has(name)) throw new Error(`${name} has two types`);
        if (!/^(?:counter|gauge|histogram|summary|untyped)$/.test(rest)) throw new Error(`${name} is a ${rest}`);
        types.set(name, rest);
        continue;
      }
      const sample = readSample(line);
      const key = JSON.stringify([sample.name, Object.entries(sample.labels).sort()]);
      if (seen.has(key)) throw new Error(`twice: ${line}`);
      seen.add(key);
      if (!types.has(sample.name) && !types.has(sample.name.replace(/_(?:bucket|sum|count)$/, ""))) throw new Error(`no type: ${line}`);
      samples.push(sample);
    }
    this.samples = samples;
    this.types = types;
  }

  /** The sum of all samples of a name with these labels; 0 where there are none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.samples
      .filter((sample) => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
      .reduce((sum, { value }) => sum + value, 0);
  }
}

function readSample(line: string): Sample {
  const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
  if (match === null) throw new Error(`no sample: ${line}`);
  const [, name = "", inside = "", text = ""] = match;
  const labels: Record<string, string> = {};
  let rest = inside;
  while (rest !== "") {
    const label = /^([a-zA-Z_]\w*)="((?:[^"\\]|\\[\\"n])*)",?/.exec(rest);
    if (label === null) throw new Error(`no label: ${rest} in ${line}`);
    labels[label[1] as string] = (label[2] as string).replace(/\\(.)/g, (_, escaped: string) => (escaped === "n" ? "\n" : escaped));
    rest = rest.slice(label[0].length);
  }
  if (!/^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)|nan)$/i.test(text)) throw new Error(`no number: ${line}`);
  return { name, labels, value: /inf/i.test(text) ? Number.POSITIVE_INFINITY : Number(text) };
}
