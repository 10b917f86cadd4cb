/** Many rows in few statements. */
import type { SqlValue, Statement } from "./database.ts";

/** Both databases take more values in one statement than this. */
const maxValues = 4_000;

/** Same sizes again and again, so that prepared statements are found again. */
const chunkSizes = [100, 10, 1];

/** `tail` is what follows the values: ON CONFLICT, RETURNING. Rows of one call must differ in their key. */
export function insertRows(table: string, columns: readonly string[], rows: readonly (readonly SqlValue[])[], tail = ""): Statement[] {
  const statements: Statement[] = [];
  const tuple = `(${columns.map(() => "?").join(", ")})`;
  for (let done = 0; done < rows.length; ) {
    const left = rows.length - done;
    const size = chunkSizes.find((chunk) => chunk <= left && chunk * columns.length <= maxValues) ?? 1;
    const chunk = rows.slice(done, done + size);
    const tuples = chunk.map(() => tuple).join(", ");
    statements.push({ sql: `INSERT INTO ${table} (${columns.join(", ")}) VALUES ${tuples} ${tail}`, values: chunk.flat() });
    done += size;
  }
  return statements;
}
