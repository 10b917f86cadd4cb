/** Stored answers of OpenAI Responses in the database, bounded by bytes and age; the oldest go first. */
import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { MessageSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Clock } from "../core/clock.ts";
import type { ResponseStore, StoredResponse } from "../core/response-store.ts";
import { allTenants, type Database, type Row } from "./database.ts";
import { readNumber, readSum, readText } from "./read-value.ts";

export interface ResponseStoreOptions {
  /** Most bytes of all answers together, kept to within a few answers. 0 keeps none. */
  readonly maxBytes: number;
  /** How long an answer is kept, in milliseconds. */
  readonly ttlMs: number;
  readonly clock: Clock;
}

/** Answers after which the store is looked over. */
const putsBetweenPrunes = 64;

/** Rows of one step of pruning. */
const stepRows = 100;

/** What a row takes beside its texts. */
const rowOverheadBytes = 256;

export function createResponseStore(database: Database, { maxBytes, ttlMs, clock }: ResponseStoreOptions): ResponseStore {
  let putsToPrune = 1;

  return {
    async put({ tenant, owner, id, createdAt, messages, responseJson, inputItemsJson }) {
      const packed = JSON.stringify(messages.map((message) => toJson(MessageSchema, message)));
      const inputItems = JSON.stringify(inputItemsJson);
      const bytes = rowOverheadBytes + [packed, inputItems, responseJson].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
      if (bytes > maxBytes) return;
      const columns = ["created_at", "kept_at", "response", "input_items", "messages", "bytes"];
      const sql = `INSERT INTO responses (tenant, owner, id, ${columns.join(", ")}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (tenant, owner, id) DO UPDATE SET ${columns.map((column) => `${column} = excluded.${column}`).join(", ")}`;
      const values = [tenant, owner, id, Math.round(createdAt), Math.round(clock.wall()), responseJson, inputItems, packed, bytes];
      await database.write(tenant, [{ sql, values }]);
      if (--putsToPrune > 0) return;
      putsToPrune = putsBetweenPrunes;
      await prune();
    },

    async get(tenant, owner, id) {
      const sql = "SELECT * FROM responses WHERE tenant = ? AND owner = ? AND id = ? AND kept_at > ?";
      const [row] = await database.rows(tenant, sql, [tenant, owner, id, Math.round(clock.wall() - ttlMs)]);
      return row === undefined ? undefined : readResponse(row);
    },

    async delete(tenant, owner, id) {
      const sql = "DELETE FROM responses WHERE tenant = ? AND owner = ? AND id = ? AND kept_at > ?";
      const [outcome] = await database.write(tenant, [{ sql, values: [tenant, owner, id, Math.round(clock.wall() - ttlMs)] }]);
      return outcome?.changed === 1;
    },
  };

  async function prune(): Promise<void> {
    await database.write(allTenants, [{ sql: "DELETE FROM responses WHERE kept_at <= ?", values: [Math.round(clock.wall() - ttlMs)] }]);
    const [row] = await database.rows(allTenants, "SELECT sum(bytes) AS bytes FROM responses");
    let bytes = row === undefined ? 0n : readSum(row, "bytes");
    const oldest = "SELECT tenant, owner, id FROM responses ORDER BY kept_at, tenant, owner, id LIMIT ?";
    while (bytes > BigInt(maxBytes)) {
      const sql = `DELETE FROM responses WHERE (tenant, owner, id) IN (${oldest}) RETURNING bytes`;
      const [outcome] = await database.write(allTenants, [{ sql, values: [stepRows] }]);
      if (outcome === undefined || outcome.rows.length === 0) return;
      bytes -= outcome.rows.reduce((sum, removed) => sum + readSum(removed, "bytes"), 0n);
    }
  }
}

function readResponse(row: Row): StoredResponse {
  const messages = JSON.parse(readText(row, "messages")) as readonly JsonValue[];
  return {
    id: readText(row, "id"),
    tenant: readText(row, "tenant"),
    owner: readText(row, "owner"),
    createdAt: readNumber(row, "created_at"),
    messages: messages.map((message) => fromJson(MessageSchema, message, { ignoreUnknownFields: true })),
    responseJson: readText(row, "response"),
    inputItemsJson: JSON.parse(readText(row, "input_items")) as readonly string[],
  };
}
