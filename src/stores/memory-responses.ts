/** Stored answers of OpenAI Responses in this process's memory, bounded by bytes and age; the oldest go first. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { MessageSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Clock } from "../core/clock.ts";
import type { ResponseStore, StoredResponse } from "../core/response-store.ts";

export interface MemoryResponsesOptions {
  /** Most bytes of all answers together. An answer that is larger alone is not kept. */
  readonly maxBytes: number;
  /** How long an answer is kept, in milliseconds. */
  readonly ttlMs: number;
  readonly clock: Clock;
}

/** What is kept of one answer. Messages are packed: they are read rarely, and nobody can change them. */
interface Entry {
  readonly response: Omit<StoredResponse, "messages">;
  readonly messages: readonly Uint8Array[];
  readonly bytes: number;
  /** By the monotonic clock. */
  readonly keptAt: number;
}

/** What an entry takes beside its texts. */
const entryOverheadBytes = 512;

export function createMemoryResponses({ maxBytes, ttlMs, clock }: MemoryResponsesOptions): ResponseStore {
  /** In order of age. */
  const entries = new Map<string, Entry>();
  let bytes = 0;

  return {
    async put({ messages, ...response }) {
      remove(keyOf(response.tenant, response.owner, response.id));
      const packed = messages.map((message) => toBinary(MessageSchema, message));
      const entry = { response, messages: packed, bytes: sizeOf(response, packed), keptAt: clock.now() };
      if (entry.bytes > maxBytes) return;
      for (const [key, old] of entries) {
        if (bytes + entry.bytes <= maxBytes && !isOver(old)) break;
        remove(key);
      }
      entries.set(keyOf(response.tenant, response.owner, response.id), entry);
      bytes += entry.bytes;
    },

    async get(tenant, owner, id) {
      const entry = find(tenant, owner, id);
      if (entry === undefined) return undefined;
      return { ...entry.response, messages: entry.messages.map((message) => fromBinary(MessageSchema, message)) };
    },

    async delete(tenant, owner, id) {
      return find(tenant, owner, id) !== undefined && remove(keyOf(tenant, owner, id));
    },
  };

  function find(tenant: string, owner: string, id: string): Entry | undefined {
    const key = keyOf(tenant, owner, id);
    const entry = entries.get(key);
    if (entry === undefined || !isOver(entry)) return entry;
    remove(key);
    return undefined;
  }

  function remove(key: string): boolean {
    bytes -= entries.get(key)?.bytes ?? 0;
    return entries.delete(key);
  }

  function isOver({ keptAt }: Entry): boolean {
    return clock.now() - keptAt > ttlMs;
  }
}

/** Names of tenants and owners hold no NUL, so two keys never meet. */
function keyOf(tenant: string, owner: string, id: string): string {
  return `${tenant}\u0000${owner}\u0000${id}`;
}

/** A character of a string takes up to two bytes. */
function sizeOf({ id, owner, responseJson, inputItemsJson }: Entry["response"], messages: readonly Uint8Array[]): number {
  const characters = [id, owner, responseJson, ...inputItemsJson].reduce((sum, text) => sum + text.length, 0);
  return entryOverheadBytes + 2 * characters + messages.reduce((sum, { length }) => sum + length, 0);
}
