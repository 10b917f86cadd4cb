/** What the main thread and the thread that holds the SQLite connection say to each other. */
import type { Outcome, SqlValue, Statement } from "../database.ts";

export interface ThreadOptions {
  /** A path, or `:memory:`. */
  readonly file: string;
  /** How long a statement waits for another process's lock. */
  readonly busyMs: number;
  readonly readOnly: boolean;
}

export type ThreadTask =
  /** Each job takes effect on its own; all are committed together. */
  | { readonly kind: "group"; readonly jobs: readonly (readonly Statement[])[] }
  | { readonly kind: "begin" | "commit" | "rollback" | "close" }
  | { readonly kind: "run"; readonly sql: string; readonly values: readonly SqlValue[] };

export interface ThreadRequest {
  readonly id: number;
  readonly task: ThreadTask;
}

/** Of one job: an outcome for each statement, or why nothing of it happened. */
export type JobAnswer = { readonly outcomes: readonly Outcome[] } | { readonly failure: ThreadFailure };

export interface ThreadFailure {
  /** SQLite's extended result code; `awayCode` for a failure of the file system or of the thread, 0 for a fault of the program. */
  readonly code: number;
  readonly message: string;
}

/** Beside SQLite's own codes, which are positive. */
export const awayCode = -1;

export interface ThreadAnswer {
  readonly id: number;
  /** One for each job of a group; one otherwise. */
  readonly answers: readonly JobAnswer[];
}
