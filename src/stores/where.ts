/** Conditions of a query, each with its values; a condition whose value is undefined is left out. */
import type { SqlValue } from "./database.ts";

export class Where {
  readonly #conditions: string[] = [];
  readonly values: SqlValue[] = [];

  /** Every query of a tenant's rows begins with it. */
  static ofTenant(tenant: string): Where {
    return new Where().equal("tenant", tenant);
  }

  and(condition: string, ...values: readonly SqlValue[]): this {
    this.#conditions.push(condition);
    this.values.push(...values);
    return this;
  }

  equal(column: string, value: SqlValue | undefined): this {
    return value === undefined ? this : this.and(`${column} = ?`, value);
  }

  from(column: string, value: number | undefined): this {
    return value === undefined ? this : this.and(`${column} >= ?`, value);
  }

  before(column: string, value: number | undefined): this {
    return value === undefined ? this : this.and(`${column} < ?`, value);
  }

  anyOf(column: string, values: readonly SqlValue[] | undefined): this {
    if (values === undefined) return this;
    if (values.length === 0) return this.and("1 = 0");
    return this.and(`${column} IN (${values.map(() => "?").join(", ")})`, ...values);
  }

  /** Text anywhere in one of the columns, without regard to the case of ASCII letters. */
  contains(columns: readonly string[], text: string | undefined): this {
    if (text === undefined || text === "") return this;
    const pattern = `%${escapeLike(lowerAscii(text))}%`;
    return this.and(`(${columns.map((column) => `lower(${column}) LIKE ? ESCAPE '\\'`).join(" OR ")})`, ...columns.map(() => pattern));
  }

  startsWith(column: string, text: string | undefined): this {
    return text === undefined || text === "" ? this : this.and(`${column} LIKE ? ESCAPE '\\'`, `${escapeLike(text)}%`);
  }

  /** With the keyword, or empty. */
  get sql(): string {
    return this.#conditions.length === 0 ? "" : ` WHERE ${this.#conditions.join(" AND ")}`;
  }
}

/** `%`, `_` and backslash stand for themselves. */
function escapeLike(text: string): string {
  return text.replaceAll(/[%_\\]/g, "\\$&");
}

/** As both databases' lower() does under the columns' collation. */
function lowerAscii(text: string): string {
  return text.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}
