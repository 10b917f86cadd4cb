/** Rows out of a journal: what was settled, and what its process died with. */
import { create } from "@bufbuild/protobuf";
import { UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { LedgerIntent, LedgerRow, LedgerSettlement } from "../../core/ledger-row.ts";
import { costOf, type PriceBook, pricingVersionOf } from "../../core/pricing.ts";
import type { CheckpointRecord, JournalRecord } from "./record.ts";
import { listSegments, readSegment } from "./segment.ts";

export interface ReplayOptions {
  readonly directory: string;
  /** Last segment to read; undefined: all. */
  readonly until?: number | undefined;
  /** Rows at a time. */
  readonly batchRows: number;
  /** Takes rows; the next ones come when it resolves. */
  readonly deliver: (rows: readonly LedgerRow[]) => Promise<void>;
}

export interface ReplayResult {
  /** Settled or released rows that were delivered. */
  readonly ended: number;
  /** Intents without a settlement, with their last checkpoint. */
  readonly open: readonly OpenIntent[];
  /** Segments whose end is torn: what was being written when the process died. */
  readonly torn: readonly number[];
  /** What is not as it was written. */
  readonly damage: readonly Damage[];
}

export interface Damage {
  readonly segment: number;
  /** Where it begins in the segment; the size is undefined where its end is not known. */
  readonly at: number;
  readonly bytes: number | undefined;
}

export interface OpenIntent {
  readonly intent: LedgerIntent;
  readonly checkpoint: CheckpointRecord | undefined;
}

/**
 * Delivers every row that was over, oldest first. A settlement whose intent is not there is of a row that the store had:
 * its segment has gone. A row may come again in another replay: the store keeps one. Records behind damage are read too.
 * Throws JournalVersionError for the journal of a newer program.
 */
export async function replay({ directory, until, batchRows, deliver }: ReplayOptions): Promise<ReplayResult> {
  const open = new Map<string, { readonly intent: LedgerIntent; checkpoint: CheckpointRecord | undefined }>();
  const torn: number[] = [];
  const damage: Damage[] = [];
  /** Where the segment before ended. */
  let before: { readonly number: number; readonly bytes: number } | undefined;
  let rows: LedgerRow[] = [];
  let ended = 0;

  const take = (record: JournalRecord): void => {
    if (record.is === "header") {
      const { previous } = record.header;
      // It held more when this one was begun.
      if (before !== undefined && previous !== undefined && before.bytes < previous.bytes)
        damage.push({ segment: before.number, at: before.bytes, bytes: previous.bytes - before.bytes });
    } else if (record.is === "intent") {
      if (!open.has(record.intent.usageId)) open.set(record.intent.usageId, { intent: record.intent, checkpoint: undefined });
    } else if (record.is === "checkpoint") {
      const entry = open.get(record.checkpoint.usageId);
      if (entry !== undefined) entry.checkpoint = record.checkpoint;
    } else if (record.is === "settlement") {
      const entry = open.get(record.settlement.usageId);
      if (entry === undefined) return;
      open.delete(record.settlement.usageId);
      rows.push({ ...entry.intent, ...record.settlement });
      ended++;
    }
  };

  for (const number of await listSegments(directory)) {
    if (until !== undefined && number > until) break;
    if (before !== undefined && before.number !== number - 1) {
      damage.push({ segment: before.number + 1, at: 0, bytes: undefined });
      before = undefined;
    }
    const reading = readSegment(directory, number);
    for (;;) {
      const { done, value } = await reading.next();
      if (done) {
        if (value.torn) torn.push(number);
        damage.push(...value.gaps.map((gap) => ({ segment: number, ...gap })));
        before = { number, bytes: value.bytes };
        break;
      }
      take(value);
      if (rows.length < batchRows) continue;
      await deliver(rows);
      rows = [];
    }
  }
  if (rows.length > 0) await deliver(rows);
  return { ended, open: [...open.values()], torn, damage };
}

/** How the attempts of a dead process are settled: estimated, from what was asked and what its last checkpoint says. */
export function settleCrashed({ intent, checkpoint }: OpenIntent, prices: PriceBook | undefined, chargesFailures: boolean): LedgerRow {
  const usage = create(UsageSchema, {
    inputTokens: checkpoint?.inputTokens ?? intent.estimatedInputTokens,
    outputTokens: checkpoint?.outputTokens ?? 0,
    basis: UsageBasis.ESTIMATED,
  });
  const { tenant, provider, upstreamModel: model, startedAt } = intent;
  const price = prices?.price({ tenant, provider, model, at: startedAt });
  const costNano = costOf(usage, price);
  const endedAt = Math.max(startedAt, checkpoint?.at ?? startedAt);
  const settlement: LedgerSettlement = {
    usageId: intent.usageId,
    state: "settled",
    outcome: "crash",
    status: "error",
    httpStatus: 0,
    usage,
    costNano,
    chargeNano: chargesFailures ? costNano : 0n,
    pricingVersion: pricingVersionOf(usage, price),
    endedAt,
    durationMs: endedAt - startedAt,
    firstContentMs: undefined,
    upstreamRequestId: "",
  };
  return { ...intent, ...settlement };
}
