/** SQL as PostgreSQL takes it: values are numbered. Our SQL holds no `?` but for values. */
const known = new Map<string, string>();

/** Filters make many statements; those beyond the bound are converted, and not prepared, every time. */
const maxKnown = 512;

export interface NumberedSql {
  readonly sql: string;
  /** Whether the server is to keep it prepared. */
  readonly prepare: boolean;
}

export function numberValues(sql: string): NumberedSql {
  const before = known.get(sql);
  if (before !== undefined) return { sql: before, prepare: true };
  let count = 0;
  const numbered = sql.replaceAll("?", () => `$${++count}`);
  const prepare = known.size < maxKnown;
  if (prepare) known.set(sql, numbered);
  return { sql: numbered, prepare };
}
