/** An idempotency store without a database, for tests of the pipeline alone. */
import type {
  IdempotencyAttempt,
  IdempotencyId,
  IdempotencyState,
  IdempotencyStore,
  StoredReply,
} from "../../src/core/idempotency-store.ts";

interface Entry {
  attempt: IdempotencyAttempt;
  readonly token: string;
  reply?: StoredReply;
}

export class MemoryIdempotency implements IdempotencyStore {
  readonly entries = new Map<string, Entry>();
  /** Thrown by every call, where set. */
  failure: Error | undefined;
  #tokens = 0;

  async begin(tenant: string, id: IdempotencyId, attempt: IdempotencyAttempt): Promise<IdempotencyState> {
    this.#refuse();
    const key = nameOf(tenant, id);
    const entry = this.entries.get(key);
    const isFree =
      entry === undefined ||
      entry.attempt.keptUntil <= attempt.now ||
      (entry.reply === undefined && entry.attempt.runsUntil <= attempt.now);
    if (isFree) {
      const token = String(++this.#tokens);
      this.entries.set(key, { attempt, token });
      return { state: "new", token };
    }
    if (entry.attempt.bodyHash !== attempt.bodyHash) return { state: "other_body" };
    return entry.reply === undefined ? { state: "in_flight", startedAt: entry.attempt.now } : { state: "finished", reply: entry.reply };
  }

  async finish(tenant: string, id: IdempotencyId, token: string, reply: StoredReply): Promise<boolean> {
    const entry = this.#own(tenant, id, token);
    if (entry !== undefined) entry.reply = reply;
    return entry !== undefined;
  }

  async release(tenant: string, id: IdempotencyId, token: string): Promise<boolean> {
    return this.#own(tenant, id, token) !== undefined && this.entries.delete(nameOf(tenant, id));
  }

  async prune(now: number): Promise<number> {
    const gone = [...this.entries].filter(([, { attempt }]) => attempt.keptUntil <= now);
    for (const [key] of gone) this.entries.delete(key);
    return gone.length;
  }

  #own(tenant: string, id: IdempotencyId, token: string): Entry | undefined {
    this.#refuse();
    const entry = this.entries.get(nameOf(tenant, id));
    return entry?.token === token && entry.reply === undefined ? entry : undefined;
  }

  #refuse(): void {
    if (this.failure !== undefined) throw this.failure;
  }
}

function nameOf(tenant: string, { scope, key }: IdempotencyId): string {
  return JSON.stringify([tenant, scope, key]);
}
