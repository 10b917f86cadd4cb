/** What a command of the command line is, and how its arguments and its help are read off one description. */
import { parseArgs } from "node:util";
import { suggestion } from "../core/nearest.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import { type Terminal, table } from "./terminal.ts";

export interface Option {
  /** What stands for the value in the help, such as `PORT`; absent: the option is a switch. */
  readonly value?: string;
  readonly about: string;
}

export interface Arguments {
  readonly options: Readonly<Record<string, string | undefined>>;
  readonly switches: ReadonlySet<string>;
  readonly positionals: readonly string[];
}

export interface Command {
  /** Words after `dragoman`. */
  readonly name: string;
  /** One line of the list of commands. */
  readonly about: string;
  /** Positional arguments in the usage line, such as `[FILE]`. */
  readonly positionals?: string;
  readonly maxPositionals?: number;
  readonly options: Readonly<Record<string, Option>>;
  /** Further paragraphs of the help. */
  readonly details?: string;
  /** Gives the exit code. Throws StartError for what the user can mend. */
  run(input: Arguments, terminal: Terminal): Promise<number>;
}

/** Wrong arguments; exit code 64. */
export class UsageError extends StartError {
  override readonly name = "UsageError";

  constructor(message: string, command?: string) {
    super(`${message}\nRun \`dragoman ${command === undefined ? "" : `${command} `}--help\` for what there is.`, exitCodes.usage);
  }
}

const help: Record<string, Option> = { help: { about: "show this help" } };

/** Undefined where help was asked for. Throws UsageError with a suggestion. */
export function readArguments(command: Command, words: readonly string[]): Arguments | undefined {
  const known: Record<string, Option> = { ...command.options, ...help };
  const { tokens } = parseArgs({
    args: [...words],
    options: Object.fromEntries(
      Object.entries(known).map(([name, { value }]) => [name, { type: value === undefined ? "boolean" : "string" }]),
    ),
    strict: false,
    tokens: true,
  });
  const options: Record<string, string> = {};
  const switches = new Set<string>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    if (token.rawName === "-h") return undefined;
    const option = Object.hasOwn(known, token.name) && token.rawName.startsWith("--") ? known[token.name] : undefined;
    if (option === undefined)
      throw new UsageError(
        `unknown option ${token.rawName}${suggestion(token.name, Object.keys(known)).replace('"', '"--')}`,
        command.name,
      );
    if (token.name === "help") return undefined;
    if (option.value === undefined) {
      if (token.value !== undefined) throw new UsageError(`${token.rawName} takes no value`, command.name);
      switches.add(token.name);
    } else {
      if (token.value === undefined || token.value === "")
        throw new UsageError(`${token.rawName} needs a value: ${token.rawName} ${option.value}`, command.name);
      options[token.name] = token.value;
    }
  }
  const most = command.maxPositionals ?? 0;
  if (positionals.length > most) throw new UsageError(`unexpected argument "${positionals[most]}"`, command.name);
  return { options, switches, positionals };
}

/** A number of an option. Throws UsageError. */
export function readNumber(text: string, name: string, command: string): number {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number) || number < 0)
    throw new UsageError(`--${name} takes a number from 0, not "${text}"`, command);
  return number;
}

export function describeCommand({ name, about, positionals, options, details }: Command): string {
  const rows = Object.entries({ ...options, ...help }).map(([flag, { value, about: what }]) => [
    `  --${flag}${value === undefined ? "" : ` ${value}`}`,
    what,
  ]);
  const usage = ["dragoman", name, positionals ?? "", "[options]"].filter((part) => part !== "").join(" ");
  const parts = [`${capital(about)}.`, `Usage: ${usage}`, `Options:\n${table(rows)}`, ...(details === undefined ? [] : [details])];
  return `${parts.join("\n\n")}\n`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
