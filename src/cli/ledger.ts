/** `dragoman ledger verify`: whether the books are in order. */
import { loadConfig } from "../config/load.ts";
import { GatewayError } from "../core/error.ts";
import { silentLog } from "../core/log.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import type { Command } from "./command.ts";
import { table } from "./terminal.ts";

const nanoPerDollar = 1_000_000_000n;

const verify: Command = {
  name: "ledger verify",
  about: "check that journals are whole, nothing is open, and sums are the sums of rows",
  options: { config: { value: "FILE", about: "a .yaml, .json or .toml file, or a directory of them (DRAGOMAN_CONFIG)" } },
  details: `It reads the journals in DRAGOMAN_DATA_DIR and the database of \`dragoman serve\`, and changes nothing; gateways may run
meanwhile. Exit code 70 where something is wrong, 69 where the database is away.`,
  async run({ options }, { env, cwd, write }) {
    const { knownNames } = await import("../app/known-names.ts");
    const { verifyBooks } = await import("../app/verify-books.ts");
    const config = loadConfig({ file: options.config, env, cwd, known: knownNames(env) });
    const report = await verifyBooks(config, silentLog).catch((thrown: unknown) => {
      if (!(thrown instanceof GatewayError)) throw thrown;
      throw new StartError("the database is away; check its address and that it runs", exitCodes.unavailable, thrown);
    });
    const journals = report.journals.map(({ name, alive, segments, rows, open }) =>
      [name, alive ? "running" : "left behind", segments, rows, open].map(String),
    );
    const tenants = report.tenants.map(({ tenant, rows, costNano, chargeNano, unpriced, estimated }) => [
      tenant,
      String(rows),
      dollars(costNano),
      dollars(chargeNano),
      String(unpriced),
      String(estimated),
    ]);
    if (journals.length > 0) write(`${table([["JOURNAL", "PROCESS", "SEGMENTS", "ROWS", "OPEN"], ...journals])}\n\n`);
    write(`${table([["TENANT", "ROWS", "COST USD", "CHARGE USD", "UNPRICED", "ESTIMATED"], ...tenants])}\n\n`);
    if (report.problems.length === 0) {
      write("the books are in order\n");
      return exitCodes.ok;
    }
    write(report.problems.map((problem) => `${problem}\n`).join(""));
    return exitCodes.internal;
  },
};

export const ledgerCommands: readonly Command[] = [verify];

function dollars(nano: bigint): string {
  return `${nano / nanoPerDollar}.${String(nano % nanoPerDollar).padStart(9, "0")}`;
}
