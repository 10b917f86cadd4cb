import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import { StartError } from "../core/start-error.ts";
import { migrateDatabase, pendingMigrations } from "../stores/open-database.ts";
import { databasePlace } from "./open-stores.ts";

export interface SchemaSteps {
  /** The database's, for people: `memory`, `sqlite` or `postgres`. */
  readonly engine: string;
  /** Steps that were applied, or with `check` those that are missing. */
  readonly steps: readonly string[];
}

/** Brings the database's schema up to date, or with `check` only looks. Throws StartError for a schema that is not ours. */
export async function migrateStores(config: Config, check: boolean): Promise<SchemaSteps> {
  const place = databasePlace(config);
  if (place.engine === "memory") throw new StartError("there is no database to migrate; set DRAGOMAN_DATA_DIR or DATABASE_URL");
  const steps = check ? await pendingMigrations(place) : await migrateDatabase(place, () => systemClock.wall());
  return { engine: place.engine, steps };
}
