/** The thread that holds one connection: node:sqlite is synchronous, and waits for other processes' locks. */
import { closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { Outcome, SqlValue, Statement } from "../database.ts";
import { refuseDamage, refuseEmptyFile } from "./check-file.ts";
import {
  awayCode,
  type JobAnswer,
  type ThreadAnswer,
  type ThreadFailure,
  type ThreadOptions,
  type ThreadRequest,
  type ThreadTask,
} from "./thread-messages.ts";

const { file, busyMs, readOnly } = workerData as ThreadOptions;

/** Statements that are kept prepared; filters make many kinds. */
const maxPrepared = 256;

/** Changing to WAL needs the file alone, and does not wait for it as other statements do. */
const walTries = 50;

const prepared = new Map<string, StatementSync>();
let connection: DatabaseSync | undefined;

parentPort?.on("message", ({ id, task }: ThreadRequest) => {
  const answer: ThreadAnswer = { id, answers: answerTo(task) };
  parentPort?.postMessage(answer);
  if (task.kind === "close") parentPort?.close();
});

function answerTo(task: ThreadTask): readonly JobAnswer[] {
  try {
    if (task.kind === "close") {
      connection?.close();
      return [{ outcomes: [] }];
    }
    connection ??= open();
    if (task.kind === "group") return runGroup(connection, task.jobs);
    if (task.kind === "run") return [{ outcomes: [run(connection, task)] }];
    connection.exec(task.kind === "begin" ? "BEGIN IMMEDIATE" : task.kind);
    return [{ outcomes: [] }];
  } catch (thrown) {
    return [{ failure: describe(thrown) }];
  }
}

function open(): DatabaseSync {
  if (readOnly) return new DatabaseSync(file, { readOnly, timeout: busyMs });
  const isThere = file !== ":memory:" && existsSync(file);
  if (isThere) refuseEmptyFile(file);
  else if (file !== ":memory:") {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // Never one that is there: closing it would give up the locks that another connection of this process has on it.
    closeSync(openSync(file, "a", 0o600));
  }
  const opened = new DatabaseSync(file, { timeout: busyMs });
  try {
    if (isThere) refuseDamage(opened, file);
    switchToWal(opened);
    // Of the ledger: what was acknowledged survives the loss of power. Writes are grouped, so a group waits for the disk once.
    opened.exec("PRAGMA synchronous = FULL");
    return opened;
  } catch (thrown) {
    opened.close();
    throw thrown;
  }
}

function switchToWal(opened: DatabaseSync): void {
  for (let left = walTries; ; left--) {
    try {
      opened.exec("PRAGMA journal_mode = WAL");
      return;
    } catch (thrown) {
      if (left === 0 || (describe(thrown).code & 0xff) !== 5) throw thrown;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyMs / walTries);
    }
  }
}

/** A job that fails leaves the others of its group as they are. */
function runGroup(opened: DatabaseSync, jobs: readonly (readonly Statement[])[]): readonly JobAnswer[] {
  opened.exec("BEGIN IMMEDIATE");
  try {
    const answers = jobs.map((job) => runJob(opened, job));
    opened.exec("COMMIT");
    return answers;
  } catch (thrown) {
    if (opened.isTransaction) opened.exec("ROLLBACK");
    const failure = describe(thrown);
    return jobs.map(() => ({ failure }));
  }
}

function runJob(opened: DatabaseSync, job: readonly Statement[]): JobAnswer {
  opened.exec("SAVEPOINT job");
  try {
    const outcomes = job.map((statement) => run(opened, statement));
    opened.exec("RELEASE job");
    return { outcomes };
  } catch (thrown) {
    // A full disk ends the whole transaction by itself.
    if (!opened.isTransaction) throw thrown;
    opened.exec("ROLLBACK TO job; RELEASE job");
    return { failure: describe(thrown) };
  }
}

function run(opened: DatabaseSync, { sql, values }: { readonly sql: string; readonly values: readonly SqlValue[] }): Outcome {
  const statement = prepare(opened, sql);
  if (statement.columns().length > 0) {
    const rows = statement.all(...values);
    return { rows, changed: rows.length };
  }
  return { rows: [], changed: Number(statement.run(...values).changes) };
}

/** The one that was used longest ago makes room. */
function prepare(opened: DatabaseSync, sql: string): StatementSync {
  const known = prepared.get(sql);
  if (known !== undefined) {
    prepared.delete(sql);
    prepared.set(sql, known);
    return known;
  }
  const statement = opened.prepare(sql);
  statement.setReadBigInts(true);
  for (const oldest of prepared.keys()) {
    if (prepared.size < maxPrepared) break;
    prepared.delete(oldest);
  }
  prepared.set(sql, statement);
  return statement;
}

function describe(thrown: unknown): ThreadFailure {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (thrown instanceof Error && "errcode" in thrown && typeof thrown.errcode === "number") return { code: thrown.errcode, message };
  return { code: thrown instanceof Error && "syscall" in thrown ? awayCode : 0, message };
}
