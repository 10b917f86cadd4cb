/** The log as an argument: layers say what happened, telemetry/log.ts decides where it goes and which fields may be seen. */

/** Facts by snake_case name. Only names that telemetry/log.ts lists are written; `error` holds whatever was thrown. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Messages are constant plain words; what differs goes into fields. Never throws. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Writes nothing. */
export const silentLog: Logger = { debug() {}, info() {}, warn() {}, error() {} };
