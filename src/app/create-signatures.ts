import type { Config } from "../config/schema.ts";
import { systemClock } from "../core/clock.ts";
import type { SignatureStore } from "../core/signature-store.ts";
import { createMemorySignatures } from "../stores/memory-signatures.ts";

/** Signatures in this process's memory. */
export function createSignatures({ signatures }: Config): SignatureStore {
  return createMemorySignatures({
    maxBytes: signatures.max_bytes,
    maxCallBytes: signatures.max_call_bytes,
    ttlMs: signatures.ttl_seconds * 1_000,
    clock: systemClock,
  });
}
