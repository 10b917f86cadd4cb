/** Why the program does not start, with the exit code that says so to a service manager. */

/** The exit codes in use; names and numbers of BSD sysexits.h. */
export const exitCodes = {
  ok: 0,
  /** Wrong arguments. */
  usage: 64,
  /** Something that is needed is not there: an address in use, a gateway that does not answer. */
  unavailable: 69,
  /** A fault of the program. */
  internal: 70,
  /** A file that cannot be read or written. */
  io: 74,
  /** Wrong configuration, a missing secret, an unsafe bind. */
  config: 78,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The message is for the operator: what is wrong and what to do, without secrets. It may have several lines. */
export class StartError extends Error {
  override readonly name: string = "StartError";
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = exitCodes.config, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
  }
}
