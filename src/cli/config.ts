/** `dragoman config check | show | schema`. */
import { stringify } from "yaml";
import { checkBind } from "../config/check-bind.ts";
import { configJsonSchema } from "../config/json-schema.ts";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { showConfig } from "../config/show.ts";
import { exitCodes } from "../core/start-error.ts";
import type { Arguments, Command } from "./command.ts";
import type { Terminal } from "./terminal.ts";

const sources = `FILE is a .yaml, .json or .toml file, or a directory of them; by default what DRAGOMAN_CONFIG names.
The environment counts as it does for \`dragoman serve\`: PORT, HOST, LOG_LEVEL, DRAGOMAN__SECTION__KEY, ...`;

const check: Command = {
  name: "config check",
  about: "check a configuration and list every problem",
  positionals: "[FILE]",
  maxPositionals: 1,
  options: {},
  details: `${sources}\nExit code 0 where all is well, 78 where not, 74 where a file cannot be read.`,
  async run(input, terminal) {
    checkBind(await load(input, terminal));
    const name = input.positionals[0] ?? (terminal.env.DRAGOMAN_CONFIG || "the default configuration");
    terminal.write(`${name} is fine\n`);
    return exitCodes.ok;
  },
};

const show: Command = {
  name: "config show",
  about: "print the effective configuration, secrets masked",
  positionals: "[FILE]",
  maxPositionals: 1,
  options: { json: { about: "as JSON instead of YAML" } },
  details: sources,
  async run(input, terminal) {
    const shown = showConfig(await load(input, terminal));
    terminal.write(input.switches.has("json") ? `${JSON.stringify(shown, null, 2)}\n` : stringify(shown));
    return exitCodes.ok;
  },
};

const schema: Command = {
  name: "config schema",
  about: "print the JSON Schema of the configuration, for editors",
  options: {},
  details:
    'Save it and put `# yaml-language-server: $schema=PATH` into the first line of a YAML file,\nor `"$schema": "PATH"` into a JSON file.',
  async run(_, terminal) {
    terminal.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`);
    return exitCodes.ok;
  },
};

export const configCommands: readonly Command[] = [check, show, schema];

async function load({ positionals }: Arguments, { env, cwd }: Terminal): Promise<Config> {
  const { knownNames } = await import("../app/known-names.ts");
  return loadConfig({ file: positionals[0], env, cwd, known: knownNames(env) });
}
