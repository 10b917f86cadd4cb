/** What a command sees of the outside: two streams, the environment, a directory. */

export interface Terminal {
  /** What the user asked for: stdout. */
  write(text: string): void;
  /** What went wrong, and notes: stderr. */
  writeError(text: string): void;
  /** Whether stdout takes colours. Everything must read well without. */
  readonly color: boolean;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/** The process's own. A reader that goes away early, as `head` does, ends nothing with a stack trace. */
export function processTerminal(): Terminal {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  return {
    write: (text) => void process.stdout.write(text),
    writeError: (text) => void process.stderr.write(text),
    color: process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "" && process.env.TERM !== "dumb",
    env: process.env,
    cwd: process.cwd(),
  };
}

type Style = "bold" | "dim" | "yellow";

const codes: Record<Style, readonly [number, number]> = { bold: [1, 22], dim: [2, 22], yellow: [33, 39] };

export function paint(style: Style, text: string, { color }: Pick<Terminal, "color">): string {
  const [on, off] = codes[style];
  return color ? `\x1b[${on}m${text}\x1b[${off}m` : text;
}

/** Columns as wide as their widest cell; the last one is not padded. */
export function table(rows: readonly (readonly string[])[], gap = "  "): string {
  const widths: number[] = [];
  for (const row of rows) for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
        .join(gap)
        .trimEnd(),
    )
    .join("\n");
}
