/**
 * SQLite in threads: one connection that writes, and for a file another that reads, so that a long list delays no write.
 * Writes that wait are committed as one group; their number is bounded. Several processes may open the same file.
 */
import {
  bindable,
  DamagedFile,
  type Database,
  type Outcome,
  type Statement,
  storeAway,
  type Transaction,
  UniqueViolation,
} from "../database.ts";
import { SqliteThread } from "./sqlite-thread.ts";
import { awayCode, type JobAnswer, type ThreadFailure } from "./thread-messages.ts";

export interface SqliteOptions {
  /** A path, or `:memory:`, which ends with the process. Its directory is made with the first statement. */
  readonly file: string;
  /** How long a statement waits for another process's lock, in milliseconds. */
  readonly busyMs?: number;
  /** Most writes that wait; beyond it a write fails as if the database were away. */
  readonly maxWaiting?: number;
}

/** Writes that are committed together at most. */
const maxGroup = 256;

type Unit =
  | { readonly kind: "job"; readonly statements: readonly Statement[]; readonly settle: (answer: JobAnswer) => void }
  | { readonly kind: "exclusive"; readonly work: () => Promise<void> };

export function openSqlite({ file, busyMs = 2_000, maxWaiting = 10_000 }: SqliteOptions): Database {
  const writer = new SqliteThread({ file, busyMs, readOnly: false });
  const reader = file === ":memory:" ? undefined : new SqliteThread({ file, busyMs, readOnly: true });
  const waiting: Unit[] = [];
  let pumping: Promise<void> | undefined;
  let closed = false;

  return {
    engine: "sqlite",

    async rows(_, sql, values = []) {
      // What is in memory has one connection, which may be in the middle of a transaction.
      const answer = reader === undefined ? await addJob([{ sql, values }]) : await reader.run(bound({ sql, values }));
      return outcomesOf(answer).flatMap(({ rows }) => rows);
    },

    async write(_, statements) {
      return statements.length === 0 ? [] : outcomesOf(await addJob(statements));
    },

    transaction(_, work) {
      return new Promise((resolve, reject) => {
        add({ kind: "exclusive", work: () => runTransaction(work).then(resolve, reject) }, reject);
      });
    },

    async close() {
      closed = true;
      await pumping;
      // The last connection empties the WAL and removes it, unless it may only read: what is left then looks like a crash.
      await reader?.close();
      await writer.close();
    },
  };

  function addJob(statements: readonly Statement[]): Promise<JobAnswer> {
    return new Promise((resolve, reject) => {
      add({ kind: "job", statements: statements.map(bound), settle: resolve }, reject);
    });
  }

  function add(unit: Unit, reject: (error: unknown) => void): void {
    if (closed || waiting.length >= maxWaiting) {
      reject(storeAway(new Error(closed ? "the store is closed" : `${maxWaiting} writes are waiting`)));
      return;
    }
    waiting.push(unit);
    pumping ??= pump();
  }

  async function pump(): Promise<void> {
    while (waiting.length > 0) {
      const group = takeGroup();
      if (group.length === 0) {
        const unit = waiting.shift();
        if (unit?.kind === "exclusive") await unit.work();
        continue;
      }
      const answers = await writer.runGroup(group.map(({ statements }) => statements));
      for (const [index, { settle }] of group.entries()) settle(answers[index] ?? { failure: { code: awayCode, message: "no answer" } });
    }
    // In the same turn that saw the queue empty: what comes next starts a pump of its own.
    pumping = undefined;
  }

  /** The jobs at the head of the queue, up to the first transaction. */
  function takeGroup(): Extract<Unit, { kind: "job" }>[] {
    const group: Extract<Unit, { kind: "job" }>[] = [];
    for (const unit of waiting) {
      if (unit.kind !== "job" || group.length === maxGroup) break;
      group.push(unit);
    }
    waiting.splice(0, group.length);
    return group;
  }

  async function runTransaction<Result>(work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    outcomesOf(await writer.control("begin"));
    try {
      const result = await work({ run: async (sql, values = []) => only(outcomesOf(await writer.run(bound({ sql, values })))) });
      outcomesOf(await writer.control("commit"));
      return result;
    } catch (thrown) {
      // Fails where the thread is gone or SQLite ended the transaction itself; what was thrown first tells more.
      await writer.control("rollback");
      throw thrown;
    }
  }
}

function bound({ sql, values }: Statement): Statement {
  return { sql, values: values.map(bindable) };
}

function only(outcomes: readonly Outcome[]): Outcome {
  return outcomes[0] ?? { rows: [], changed: 0 };
}

function outcomesOf(answer: JobAnswer): readonly Outcome[] {
  if ("failure" in answer) throw explain(answer.failure);
  return answer.outcomes;
}

/** Extended result codes: https://www.sqlite.org/rescode.html */
const uniqueCodes = new Set([1555, 2067]);

/** A lock that did not come free, a disk that is full or broken, a file that cannot be opened. */
const awayCodes = new Set([5, 6, 8, 10, 13, 14, 23]);

/** A file that is not as it was written, or is no database. */
const damagedCodes = new Set([11, 26]);

function explain({ code, message }: ThreadFailure): Error {
  const text = `SQLite ${code}: ${message}`;
  if (damagedCodes.has(code & 0xff)) return storeAway(new DamagedFile(text));
  const cause = new Error(text);
  if (uniqueCodes.has(code)) return new UniqueViolation(message);
  return code === awayCode || awayCodes.has(code & 0xff) ? storeAway(cause) : cause;
}
