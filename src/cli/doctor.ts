/** `dragoman doctor`: whether a start would go well, and what is wrong where it would not. */
import { loadConfig } from "../config/load.ts";
import { exitCodes } from "../core/start-error.ts";
import type { Command } from "./command.ts";
import { table } from "./terminal.ts";

export const doctor: Command = {
  name: "doctor",
  about: "check configuration, data directory, database, journals and Redis",
  options: {
    config: { value: "FILE", about: "a .yaml, .json or .toml file, or a directory of them (DRAGOMAN_CONFIG)" },
    fix: { about: "cut the torn ends of journals that dead processes left; nothing else is changed" },
  },
  details: `It reads what \`dragoman serve\` would use; gateways may run meanwhile. SQLite's file is read to its end, which takes
some seconds for each GiB. Exit code 78 where the configuration is wrong, 70 where something else is.`,
  async run({ options, switches }, { env, cwd, write }) {
    const { knownNames } = await import("../app/known-names.ts");
    const { examineInstallation } = await import("../app/examine-installation.ts");
    // What is wrong with it is said by the error: without it nobody knows where to look for the rest.
    const config = loadConfig({ file: options.config, env, cwd, known: knownNames(env) });
    const found = await examineInstallation(config, { fix: switches.has("fix") });
    const rows = found.map(({ state, about, text }) => [state, about, text]);
    write(`${table([["ok", "configuration", "it can be used"], ...rows])}\n`);
    const problems = found.filter(({ state }) => state === "problem").length;
    if (problems === 0) return exitCodes.ok;
    write(`\n${problems === 1 ? "one problem" : `${problems} problems`}\n`);
    return exitCodes.internal;
  },
};
