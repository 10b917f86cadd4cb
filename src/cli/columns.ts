/** Tables of records: numbers to the right, names cut so that a row fits a terminal. */

export interface Column {
  readonly title: string;
  /** Numbers stand at the right of their column. */
  readonly isNumber?: boolean;
  /** May be cut to so many characters where a row is too wide; absent: never. */
  readonly least?: number;
  /** At least so wide, for rows that come later. */
  readonly width?: number;
}

const maxWidth = 100;
const gap = "  ";

/** Makes lines of rows, as wide as `rows` need, `most` characters at most. Rows that come later may be wider than their column. */
export function layOut(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  most = maxWidth,
): (row: readonly string[]) => string {
  const widths = columns.map(({ title, width = 0 }, index) => Math.max(title.length, width, ...rows.map((row) => row[index]?.length ?? 0)));
  const excess = () => widths.reduce((sum, width) => sum + width, gap.length * (widths.length - 1)) - most;
  while (excess() > 0) {
    const widest = widestCut(columns, widths);
    if (widest === undefined) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return (row) =>
    columns
      .map(({ isNumber = false, least }, index) => {
        const width = widths[index] ?? 0;
        const cell = least === undefined ? (row[index] ?? "") : cut(row[index] ?? "", width);
        return isNumber ? cell.padStart(width) : cell.padEnd(width);
      })
      .join(gap)
      .trimEnd();
}

export function writeTable(columns: readonly Column[], rows: readonly (readonly string[])[], most = maxWidth): string {
  const line = layOut(columns, rows, most);
  return [columns.map(({ title }) => title), ...rows].map((row) => `${line(row)}\n`).join("");
}

/** The widest column that may still be cut. */
function widestCut(columns: readonly Column[], widths: readonly number[]): number | undefined {
  let found: number | undefined;
  for (const [index, { least }] of columns.entries()) {
    const width = widths[index] ?? 0;
    if (least !== undefined && width > least && (found === undefined || width > (widths[found] ?? 0))) found = index;
  }
  return found;
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, Math.max(0, width - 3))}...`;
}

/** `1,234,567`. */
export function writeCount(count: number | bigint): string {
  return count.toLocaleString("en-US");
}
