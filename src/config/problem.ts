/** What is wrong with a configuration: every problem, with where it stands, what is wrong and what would be right. */
import { type ExitCode, exitCodes, StartError } from "../core/start-error.ts";
import { type Path, type Place, writePath, writePlace } from "./tree.ts";

export interface Problem {
  readonly place?: Place | undefined;
  /** Path of the field; empty where the file as a whole is wrong. */
  readonly path: Path;
  /** What is wrong and what would be right. Holds no values from the configuration but names. */
  readonly message: string;
}

/** A configuration that cannot be used. The message lists all problems. */
export class ConfigError extends StartError {
  override readonly name = "ConfigError";
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[], exitCode: ExitCode = exitCodes.config) {
    super(problems.map(describeProblem).join("\n"), exitCode);
    this.problems = problems;
  }
}

/** One line: `file:line:column: path: what is wrong; what would be right`. */
export function describeProblem({ place, path, message }: Problem): string {
  return [place === undefined ? "" : writePlace(place), writePath(path), message].filter((part) => part !== "").join(": ");
}

/** All problems for a terminal, a headline first. */
export function describeProblems(error: ConfigError): string {
  const { length } = error.problems;
  const headline = length === 1 ? "The configuration has a problem:" : `The configuration has ${length} problems:`;
  return [headline, ...error.problems.map((problem) => `  ${describeProblem(problem)}`)].join("\n");
}
