/** How many idempotency keys of a tenant are kept, asked of the database no more often than it matters. */
import type { Database } from "./database.ts";
import { readNumber } from "./read-value.ts";

interface Counted {
  /** Calls that may begin before the keys are counted again. */
  left: number;
  readonly isFull: boolean;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** Part of the room that is left, which may be taken before the keys are counted again. */
const slack = 16;
/** A tenant without room is looked at again after so long: keys end by themselves. */
const fullMs = 1_000;
/** Tenants that are remembered; without more than a count is lost by forgetting them. */
const maxTenants = 10_000;

export class IdempotencyRoom {
  readonly #database: Database;
  readonly #maxKeys: number;
  readonly #counted = new Map<string, Counted>();

  /** `maxKeys`: of each tenant. Several processes hold it together to within a sixteenth of what is left. */
  constructor(database: Database, maxKeys: number) {
    this.#database = database;
    this.#maxKeys = maxKeys;
  }

  /** Whether a tenant may keep one more key; rejects where the database is away. */
  async take(tenant: string, now: number): Promise<boolean> {
    let counted = this.#counted.get(tenant);
    const isFull = counted?.isFull === true && now - counted.at < fullMs;
    if (counted === undefined || (counted.left === 0 && !isFull)) counted = await this.#count(tenant, now);
    if (counted.left === 0) return false;
    counted.left--;
    return true;
  }

  async #count(tenant: string, now: number): Promise<Counted> {
    const sql = "SELECT count(*) AS kept FROM idempotency WHERE tenant = ? AND kept_until > ?";
    const [row] = await this.#database.rows(tenant, sql, [tenant, Math.round(now)]);
    const room = this.#maxKeys - (row === undefined ? 0 : readNumber(row, "kept"));
    const counted = { left: Math.max(0, Math.ceil(room / slack)), isFull: room <= 0, at: now };
    if (this.#counted.size >= maxTenants) this.#counted.clear();
    this.#counted.set(tenant, counted);
    return counted;
  }
}
