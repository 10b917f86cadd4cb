/** Calls by idempotency key (reliability.md 3, rule 7): which run, which are finished, and what they answered. */
export interface IdempotencyId {
  /** Whose keys they are within the tenant: key id and method. */
  readonly scope: string;
  /** The client's key, at most 255 characters. */
  readonly key: string;
}

/** What a finished call answers again. */
export interface StoredReply {
  readonly httpStatus: number;
  /** JSON text of whatever the surface needs beside the body: headers, kind of reply, usage. Empty where the store gave the answer up. */
  readonly metaJson: string;
  /** Empty where the call's answer is too large to repeat; `metaJson` says so. */
  readonly body: Uint8Array;
}

export interface IdempotencyAttempt {
  /** SHA-256 in hex of the canonical body. */
  readonly bodyHash: string;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Until when the call may run: after it another caller may take the key, for its process must have died. */
  readonly runsUntil: number;
  /** Until when the record is kept. */
  readonly keptUntil: number;
}

export type IdempotencyState =
  /** This caller runs the call; the token ends it. */
  | { readonly state: "new"; readonly token: string }
  | { readonly state: "in_flight"; readonly startedAt: number }
  | { readonly state: "finished"; readonly reply: StoredReply }
  /** The key was used with another body. */
  | { readonly state: "other_body" }
  /** The key is new, and the tenant has as many as it may. */
  | { readonly state: "full"; readonly maxKeys: number };

export interface IdempotencyStore {
  /** Of callers at the same moment exactly one gets `new`. */
  begin(tenant: string, id: IdempotencyId, attempt: IdempotencyAttempt): Promise<IdempotencyState>;
  /** Keeps the answer. False where the token is not, or no longer, the running one's. */
  finish(tenant: string, id: IdempotencyId, token: string, reply: StoredReply): Promise<boolean>;
  /** Forgets a call that was refused before it was dispatched. False as finish. */
  release(tenant: string, id: IdempotencyId, token: string): Promise<boolean>;
  /** Removes what is no longer kept, over all tenants; how many records. */
  prune(now: number): Promise<number>;
}
