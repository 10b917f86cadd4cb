/** The near end of a thread that holds a connection. Started by its first task; keeps the process alive only while it works. */
import { Worker } from "node:worker_threads";
import type { Statement } from "../database.ts";
import { awayCode, type JobAnswer, type ThreadAnswer, type ThreadOptions, type ThreadTask } from "./thread-messages.ts";

export class SqliteThread {
  readonly #options: ThreadOptions;
  readonly #waiting = new Map<number, (answers: readonly JobAnswer[]) => void>();
  #worker: Worker | undefined;
  /** Why nothing more can be done; a database in memory would be empty in another thread. */
  #over: string | undefined;
  #lastId = 0;

  constructor(options: ThreadOptions) {
    this.#options = options;
  }

  async run({ sql, values }: Statement): Promise<JobAnswer> {
    return first(await this.#ask({ kind: "run", sql, values }));
  }

  /** One answer for each job, or one failure for all. */
  async runGroup(jobs: readonly (readonly Statement[])[]): Promise<readonly JobAnswer[]> {
    const answers = await this.#ask({ kind: "group", jobs });
    const [only] = answers;
    return answers.length === jobs.length || only === undefined ? answers : jobs.map(() => only);
  }

  async control(kind: "begin" | "commit" | "rollback"): Promise<JobAnswer> {
    return first(await this.#ask({ kind }));
  }

  async close(): Promise<void> {
    if (this.#worker !== undefined && this.#over === undefined) await this.#ask({ kind: "close" });
    this.#over ??= "the store is closed";
    await this.#worker?.terminate();
  }

  #ask(task: ThreadTask): Promise<readonly JobAnswer[]> {
    const over = this.#over;
    if (over !== undefined) return Promise.resolve([{ failure: { code: awayCode, message: over } }]);
    this.#worker ??= this.#start();
    const worker = this.#worker;
    const id = ++this.#lastId;
    worker.ref();
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      worker.postMessage({ id, task });
    });
  }

  #start(): Worker {
    // The file beside this one, whether they run as .ts (type stripping) or as compiled .js.
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const worker = new Worker(new URL(`./thread.${extension}`, import.meta.url), {
      workerData: this.#options,
      // node:sqlite calls itself experimental in every process; operators can do nothing about it.
      execArgv: ["--disable-warning=ExperimentalWarning"],
    });
    worker.on("message", ({ id, answers }: ThreadAnswer) => {
      const resolve = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (this.#waiting.size === 0) worker.unref();
      resolve?.(answers);
    });
    worker.on("error", (error) => this.#end(error instanceof Error ? error.message : String(error)));
    worker.on("exit", () => this.#end("its thread ended"));
    return worker;
  }

  #end(message: string): void {
    this.#over ??= message;
    for (const resolve of this.#waiting.values()) resolve([{ failure: { code: awayCode, message } }]);
    this.#waiting.clear();
  }
}

function first(answers: readonly JobAnswer[]): JobAnswer {
  return answers[0] ?? { failure: { code: awayCode, message: "no answer" } };
}
