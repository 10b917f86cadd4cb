/** Intents, settlements and a store to try the ledger with. */
import { create } from "@bufbuild/protobuf";
import { type Usage, UsageBasis, UsageSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { GatewayError } from "../../src/core/error.ts";
import { ulid } from "../../src/core/id.ts";
import type { LedgerIntent, LedgerRow, LedgerSettlement } from "../../src/core/ledger-row.ts";
import type { LedgerStore } from "../../src/core/ledger-store.ts";

export function intentOf(facts: Partial<LedgerIntent> = {}): LedgerIntent {
  return {
    usageId: ulid(),
    requestId: ulid(),
    attempt: 1,
    tenant: "default",
    project: "default",
    principal: "tester",
    endUser: "",
    surface: "v1",
    operation: "generate",
    requestedModel: "p/m",
    route: "",
    provider: "p",
    target: "p/m",
    upstreamModel: "m",
    reservedNano: 12_345_678_901_234_567n,
    estimatedInputTokens: 11,
    pricingVersion: "",
    startedAt: 1_700_000_000_000,
    epoch: "tests",
    ...facts,
  };
}

export function settlementOf(usageId: string, facts: Partial<LedgerSettlement> = {}): LedgerSettlement {
  return {
    usageId,
    state: "settled",
    outcome: "success",
    status: "success",
    httpStatus: 200,
    usage: usageOf(11, 7),
    costNano: 9_007_199_254_740_993n,
    chargeNano: 9_007_199_254_740_993n,
    pricingVersion: "v1",
    endedAt: 1_700_000_001_000,
    durationMs: 1_000,
    firstContentMs: 40,
    upstreamRequestId: "req-1",
    ...facts,
  };
}

export function usageOf(inputTokens: number, outputTokens: number): Usage {
  return create(UsageSchema, { inputTokens, outputTokens, basis: UsageBasis.PROVIDER });
}

/** Keeps rows by usage id, and can be away. */
export class SpyStore implements Pick<LedgerStore, "append"> {
  readonly rows = new Map<string, LedgerRow>();
  /** Usage ids in the order in which they first came. */
  readonly order: string[] = [];
  away = false;
  /** Rows that are not taken, whatever is done. */
  readonly refused = new Set<string>();
  asked = 0;
  repeated = 0;

  async append(rows: readonly LedgerRow[]) {
    this.asked++;
    if (this.away) throw new GatewayError("store_unavailable", "the database is away");
    if (rows.some(({ usageId }) => this.refused.has(usageId))) throw new GatewayError("already_exists", "another tenant has it");
    let inserted = 0;
    for (const row of rows) {
      if (this.rows.has(row.usageId)) {
        this.repeated++;
        continue;
      }
      this.rows.set(row.usageId, row);
      this.order.push(row.usageId);
      inserted++;
    }
    return { inserted, advanced: 0, repeated: rows.length - inserted };
  }
}
