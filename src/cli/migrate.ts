/** `dragoman migrate`: the database's schema, brought up to date or looked at. */
import { loadConfig } from "../config/load.ts";
import { GatewayError } from "../core/error.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import type { Command } from "./command.ts";

export const migrate: Command = {
  name: "migrate",
  about: "bring the database's schema up to date",
  options: {
    config: { value: "FILE", about: "a .yaml, .json or .toml file, or a directory of them (DRAGOMAN_CONFIG)" },
    check: { about: "change nothing; exit code 78 where steps are missing" },
  },
  details: `The database is the one of \`dragoman serve\`: DATABASE_URL, else the file in DRAGOMAN_DATA_DIR. Run it before a new
version serves; gateways of the old version go on meanwhile. Steps only go forward, each takes effect whole or not at
all, and running it again does no harm. Exit code 69 where the database is away.`,
  async run({ options, switches }, { env, cwd, write }) {
    const { knownNames } = await import("../app/known-names.ts");
    const { migrateStores } = await import("../app/migrate-stores.ts");
    const config = loadConfig({ file: options.config, env, cwd, known: knownNames(env) });
    const check = switches.has("check");
    const { engine, steps } = await migrateStores(config, check).catch((thrown: unknown) => {
      if (!(thrown instanceof GatewayError)) throw thrown;
      const { cause } = thrown.details;
      const why = cause instanceof Error ? ` (${cause.message})` : "";
      throw new StartError(
        `the database is away or cannot be opened${why}; check its address and that it runs`,
        exitCodes.unavailable,
        thrown,
      );
    });
    const list = steps.map((step) => `  ${step}\n`).join("");
    if (steps.length === 0) write(`the schema of ${engine} is up to date\n`);
    else write(`${engine}: ${check ? "missing" : "applied"} ${steps.length === 1 ? "one step" : `${steps.length} steps`}\n${list}`);
    return check && steps.length > 0 ? exitCodes.config : exitCodes.ok;
  },
};
