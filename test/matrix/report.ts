/** What the matrix found: a line per dialect and format, and the table of docs/translation.md. */
import type { Outcome } from "./judge.ts";
import type { Note } from "./scene.ts";

export interface Finding {
  readonly dialect: string;
  readonly format: string;
  readonly tried: string;
  readonly stream: boolean;
  readonly outcome: Outcome;
  readonly notes: readonly Note[];
}

const marks: Readonly<Record<Outcome, string>> = {
  carried: "yes",
  emulated: "emulated",
  reported: "reported",
  refused: "refused",
  partial: "in part",
  unsayable: "–",
};

/** `openai-chat -> gemini: 80 carried, 3 emulated, 2 reported, 1 refused`. */
export function summarize(findings: readonly Finding[]): string[] {
  const groups = Map.groupBy(findings, ({ dialect, format }) => `${dialect} -> ${format}`);
  return [...groups].map(([pair, cells]) => {
    const count = (outcome: Outcome) => cells.filter((cell) => cell.outcome === outcome).length;
    const counts = (["carried", "emulated", "reported", "refused"] as const).map((outcome) => `${count(outcome)} ${outcome}`).join(", ");
    const partial = count("partial");
    const unsayable = count("unsayable");
    const rest = [
      ...(partial === 0 ? [] : [`${partial} in part, as far as both have a place for it`]),
      ...(unsayable === 0 ? [] : [`${unsayable} have no words in the dialect`]),
    ];
    return [`${pair}: ${counts}`, ...rest, "0 silent losses"].join("; ");
  });
}

/** The text of docs/translation.md. */
export function writeManual(findings: readonly Finding[]): string {
  const dialects = [...new Set(findings.map(({ dialect }) => dialect))];
  const formats = [...new Set(findings.map(({ format }) => format))];
  const cases = [...new Set(findings.map(({ tried }) => tried))];
  const lines = [
    "# What is translated into what",
    "",
    "Made by `npm test` from what it ran: every client dialect against every upstream format, streamed and buffered, with the",
    "vendors' own SDKs against simulated vendors. Do not edit; `UPDATE_MANUAL=1 npx vitest run --project matrix` writes it anew.",
    "",
    "| mark | means |",
    "|---|---|",
    "| yes | carried: the upstream was told, and the client got, what was meant |",
    "| emulated | sent by other means or with another value, and the answer's translation report says so |",
    "| reported | left out, and the report names the field |",
    "| refused | 400 `untranslatable` with the field's path, because leaving it out would change the meaning |",
    "| in part | carried as far as there is a place for it: the rest of the answer has none in the dialect, or in the vendor's format |",
    "| – | the dialect has no words for it |",
    "",
    "With `x-dragoman-strict: true` (or `options.strict`) everything *emulated* and *reported* is refused as well; the same run tries it.",
    "Where streamed and buffered calls differ, both are given, in this order.",
  ];
  for (const dialect of dialects) {
    lines.push("", `## From ${dialect}`, "", `| | ${formats.join(" | ")} |`, `|---|${formats.map(() => "---|").join("")}`);
    for (const tried of cases) {
      const marked = formats.map((format) => {
        const cells = findings.filter((cell) => cell.dialect === dialect && cell.format === format && cell.tried === tried);
        const words = cells.toSorted((a, b) => Number(b.stream) - Number(a.stream)).map(writeMark);
        return [...new Set(words)].join(" / ");
      });
      lines.push(`| ${tried} | ${marked.join(" | ")} |`);
    }
  }
  return `${lines.join("\n")}\n`;
}

function writeMark({ outcome, notes }: Finding): string {
  if (outcome !== "reported" && outcome !== "emulated") return marks[outcome];
  const paths = [...new Set(notes.filter(({ action }) => action !== "defaulted").map(({ path }) => `\`${path.replaceAll("|", "\\|")}\``))];
  return `${marks[outcome]}: ${paths.slice(0, 2).join(", ")}${paths.length > 2 ? ", …" : ""}`;
}
