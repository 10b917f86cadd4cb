/** The sim's own books: what it received, and what a real provider would bill for it. */
import type { Counts } from "../compose.ts";

/** One request that reached a model. Times are of performance.now() in this process. */
export interface BillRow extends Counts {
  readonly id: string;
  readonly path: string;
  readonly format: string;
  readonly model: string;
  /** The last 4 characters of the credential. */
  readonly key: string;
  /** HTTP status that was sent; 0: none. */
  readonly status: number;
  /** The whole answer was sent. */
  readonly completed: boolean;
  /** The client went away before. */
  readonly aborted: boolean;
  /** Milliseconds from the request to its abort. */
  readonly abortedAtMs: number | undefined;
  /** When the request's socket closed; undefined while it is open. */
  readonly socketClosedAt: number | undefined;
  readonly startedAt: number;
  /** Bytes of the answer that were handed to the socket. */
  readonly bytesWritten: number;
}

/** Any request, also a refused one. */
export interface ReceivedRequest {
  readonly id: string;
  readonly method: string;
  /** With query; a key in it is masked. */
  readonly path: string;
  /** Credentials are masked up to the last 4 characters. */
  readonly headers: Readonly<Record<string, string>>;
  /** JSON value, or the text where it is no JSON. */
  readonly body: unknown;
  readonly status: number;
  readonly startedAt: number;
  readonly socketClosedAt: number | undefined;
  readonly bytesWritten: number;
}

const noCounts: Counts = { inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: 0, reasoningTokens: 0 };

type Mutable<Row> = { -readonly [Key in keyof Row]: Row[Key] };

/** One request in the books, while it runs and after. */
export class Entry {
  readonly received: Mutable<ReceivedRequest>;
  row: Mutable<BillRow> | undefined;

  constructor(received: ReceivedRequest) {
    this.received = received;
  }

  /** It reached a model. */
  bill(facts: Pick<BillRow, "format" | "model" | "key">): void {
    const { id, path, startedAt, status, bytesWritten, socketClosedAt } = this.received;
    this.row = {
      ...noCounts,
      ...facts,
      id,
      path,
      startedAt,
      status,
      bytesWritten,
      socketClosedAt,
      completed: false,
      aborted: false,
      abortedAtMs: undefined,
    };
  }

  set status(status: number) {
    this.received.status = status;
    if (this.row !== undefined) this.row.status = status;
  }

  wrote(bytes: number): void {
    this.received.bytesWritten += bytes;
    if (this.row !== undefined) this.row.bytesWritten = this.received.bytesWritten;
  }

  socketClosed(): void {
    this.received.socketClosedAt = performance.now();
    if (this.row !== undefined) this.row.socketClosedAt = this.received.socketClosedAt;
  }

  aborted(): void {
    if (this.row === undefined) return;
    this.row.aborted = true;
    this.row.abortedAtMs = performance.now() - this.row.startedAt;
  }

  charge(counts: Counts, completed: boolean): void {
    if (this.row !== undefined) Object.assign(this.row, counts, { completed });
  }
}

export class Books {
  #entries: Entry[] = [];
  readonly #keep: number;

  constructor(keep: number) {
    this.#keep = keep;
  }

  add(entry: Entry): void {
    this.#entries.push(entry);
    // Dropped by halves, so that a long run does not move the list at every request.
    if (this.#entries.length >= this.#keep * 2) this.#entries = this.#entries.slice(-this.#keep);
  }

  bill(): BillRow[] {
    return this.#entries.slice(-this.#keep).flatMap(({ row }) => (row === undefined ? [] : [{ ...row }]));
  }

  requests(): ReceivedRequest[] {
    return this.#entries.slice(-this.#keep).map(({ received }) => ({ ...received }));
  }

  clear(): void {
    this.#entries = [];
  }
}

/** The last 4 characters of a credential; nothing of a short one. */
export function lastFour(key: string): string {
  return key.length > 8 ? key.slice(-4) : "";
}

const credentials: ReadonlySet<string> = new Set([
  "authorization",
  "proxy-authorization",
  "x-api-key",
  "api-key",
  "x-goog-api-key",
  "x-amz-security-token",
  "cookie",
]);

export function maskHeader(name: string, value: string): string {
  return credentials.has(name) ? `***${lastFour(value)}` : value;
}
