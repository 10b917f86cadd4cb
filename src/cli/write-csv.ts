/** Comma-separated values as RFC 4180 has them, for spreadsheets and other programs. */

/** One record, with its line end. */
export function writeCsvLine(cells: readonly string[]): string {
  return `${cells.map(writeCell).join(",")}\r\n`;
}

function writeCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
