/** Issuers of signatures, and what belongs to tool calls, in this process's memory: bounded by bytes and age, least used first. */
import { createHash } from "node:crypto";
import type { Signature } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Clock } from "../core/clock.ts";
import type { CallSignatures, SignatureStore } from "../core/signature-store.ts";

export interface MemorySignaturesOptions {
  /** Most bytes of all entries together. */
  readonly maxBytes: number;
  /** What is larger belongs to no call: a thought without its end is worth nothing. */
  readonly maxCallBytes: number;
  /** How long an entry is kept since it was last used, in milliseconds. */
  readonly ttlMs: number;
  readonly clock: Clock;
}

type Issuer = Pick<Signature, "format" | "provider">;

interface Entry {
  readonly value: Issuer | CallSignatures;
  readonly bytes: number;
  /** By the monotonic clock. */
  usedAt: number;
}

/** What an entry takes beside its texts: key, objects, place in the map. */
const entryOverheadBytes = 256;

export function createMemorySignatures({ maxBytes, maxCallBytes, ttlMs, clock }: MemorySignaturesOptions): SignatureStore {
  /** The one that was used longest ago first. */
  const entries = new Map<string, Entry>();
  let bytes = 0;

  return {
    remember(owner, signatures) {
      for (const { value, format, provider } of signatures) put(issuerKey(owner, value), { format, provider }, sizeOf(format, provider));
    },

    rememberCall(owner, callId, signatures) {
      const { signature, reasoning } = signatures;
      const texts = reasoning.flatMap((thought) => [thought.text, ...thought.summaries, thought.signature.value]);
      const size = sizeOf(signature?.value ?? "", ...texts);
      if (size <= maxCallBytes) put(callKey(owner, callId), signatures, size);
    },

    async issuers(owner, values) {
      return values.map((value) => find<Issuer>(issuerKey(owner, value)));
    },

    async calls(owner, callIds) {
      return callIds.map((callId) => find<CallSignatures>(callKey(owner, callId)));
    },
  };

  function put(key: string, value: Entry["value"], size: number): void {
    remove(key);
    if (size > maxBytes) return;
    const now = clock.now();
    for (const [oldest, { usedAt }] of entries) {
      if (bytes + size <= maxBytes && now - usedAt <= ttlMs) break;
      remove(oldest);
    }
    entries.set(key, { value, bytes: size, usedAt: now });
    bytes += size;
  }

  function find<Value extends Entry["value"]>(key: string): Value | undefined {
    const entry = entries.get(key);
    if (entry === undefined) return undefined;
    const now = clock.now();
    entries.delete(key);
    if (now - entry.usedAt > ttlMs) {
      bytes -= entry.bytes;
      return undefined;
    }
    // Behind the others: it was used last.
    entry.usedAt = now;
    entries.set(key, entry);
    // Keys of the two kinds begin differently.
    return entry.value as Value;
  }

  function remove(key: string): void {
    bytes -= entries.get(key)?.bytes ?? 0;
    entries.delete(key);
  }
}

/** Of issuers only a hash is kept: a signature may be as long as the thought that it seals. */
function issuerKey(owner: string, value: string): string {
  return `s${createHash("sha256").update(`${owner}\u0000${value}`).digest("base64")}`;
}

/** Ids are the provider's, of any length. */
function callKey(owner: string, callId: string): string {
  return `c${createHash("sha256").update(`${owner}\u0000${callId}`).digest("base64")}`;
}

/** A character of a string takes up to two bytes. */
function sizeOf(...texts: readonly string[]): number {
  return texts.reduce((sum, { length }) => sum + 2 * length, entryOverheadBytes);
}
