/** The command line: finds the command, runs it, and turns what went wrong into a message and an exit code. */

import { ConfigError, describeProblems } from "../config/problem.ts";
import { suggestion } from "../core/nearest.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import { version } from "../version.ts";
import { type Command, describeCommand, readArguments, UsageError } from "./command.ts";
import { configCommands } from "./config.ts";
import { doctor } from "./doctor.ts";
import { keyCommands } from "./keys.ts";
import { ledgerCommands } from "./ledger.ts";
import { limitCommands } from "./limits.ts";
import { migrate } from "./migrate.ts";
import { models } from "./models.ts";
import { requests } from "./requests.ts";
import { serve } from "./serve.ts";
import { sim } from "./sim.ts";
import { paint, processTerminal, type Terminal, table } from "./terminal.ts";
import { usage } from "./usage.ts";

const commands: readonly Command[] = [
  serve,
  sim,
  ...keyCommands,
  ...limitCommands,
  usage,
  requests,
  ...configCommands,
  models,
  migrate,
  ...ledgerCommands,
  doctor,
];

/** Gives the exit code. Never throws. */
export async function run(words: readonly string[], terminal: Terminal = processTerminal()): Promise<number> {
  try {
    return await dispatch(words, terminal);
  } catch (error) {
    terminal.writeError(`${describeFailure(error)}\n`);
    return error instanceof StartError ? error.exitCode : exitCodes.internal;
  }
}

async function dispatch(words: readonly string[], terminal: Terminal): Promise<number> {
  const [first, ...rest] = words;
  if (first === "--version" || first === "-v" || first === "version") {
    terminal.write(`dragoman ${version}\n`);
    return exitCodes.ok;
  }
  if (first === "--help" || first === "-h" || (first === "help" && rest.length === 0)) {
    terminal.write(overview(terminal));
    return exitCodes.ok;
  }
  if (first === "help") return dispatch([...rest, "--help"], terminal);
  // Without a command the gateway is what people want: `npx dragoman`.
  if (first === undefined || first.startsWith("-")) return start(serve, words, terminal);
  const command = commands.find(({ name }) => name.split(" ").every((word, index) => words[index] === word));
  if (command !== undefined) return start(command, words.slice(command.name.split(" ").length), terminal);
  return startGroup(first, rest, terminal);
}

async function start(command: Command, words: readonly string[], terminal: Terminal): Promise<number> {
  const input = readArguments(command, words);
  if (input !== undefined) return command.run(input, terminal);
  terminal.write(describeCommand(command));
  return exitCodes.ok;
}

/** `config` alone, or a word that is no command. */
function startGroup(first: string, rest: readonly string[], terminal: Terminal): number {
  const group = commands.filter(({ name }) => name.startsWith(`${first} `));
  const names = [...new Set(commands.map(({ name }) => name.split(" ", 1)[0] ?? name))];
  if (group.length === 0)
    throw new UsageError(`unknown command "${first}"${suggestion(first, names) || `; there are ${names.join(", ")}`}`);
  const [second] = rest;
  if (second === "--help" || second === "-h") {
    terminal.write(`Usage: dragoman ${first} COMMAND [options]\n\n${listOf(group)}\n`);
    return exitCodes.ok;
  }
  const words = group.map(({ name }) => name.slice(first.length + 1));
  const known = words.join(", ");
  if (second === undefined) throw new UsageError(`"dragoman ${first}" needs a command: ${known}`, first);
  throw new UsageError(`unknown command "${first} ${second}"${suggestion(second, words) || `; there are ${known}`}`, first);
}

function overview(terminal: Terminal): string {
  const title = (text: string) => paint("bold", text, terminal);
  return `${title(`dragoman ${version}`)}: a gRPC-first gateway to language models, with an OpenAI HTTP surface.

Usage: dragoman [COMMAND] [options]

${title("Commands")} (none: serve)
${listOf(commands)}

${title("Start")}
  dragoman                         everything by default, on 127.0.0.1:8080
  OPENAI_API_KEY=... dragoman      with a vendor, by its usual variable
  dragoman --config dragoman.yaml  with a file

\`dragoman COMMAND --help\` tells more. \`--version\` prints the version.
Exit codes: 0 ok, 64 wrong arguments, 69 unavailable, 70 internal, 74 file, 78 configuration.
`;
}

function listOf(some: readonly Command[]): string {
  return table(some.map(({ name, about }) => [`  ${name}`, about]));
}

function describeFailure(error: unknown): string {
  if (error instanceof ConfigError) return describeProblems(error);
  if (error instanceof StartError) return `dragoman: ${error.message}`;
  return `dragoman: internal error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
}
