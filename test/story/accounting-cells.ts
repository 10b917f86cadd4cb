/** What can become of a call, and what its ledger rows must say: the scenarios of the accounting matrix (reliability.md 4.8). */
import type { LedgerRow } from "../../src/core/ledger-row.ts";
import type { FaultName } from "../../src/sim/faults.ts";

export type Basis = "provider" | "estimated" | "none";

/** What one attempt's row must say. `basis` none: nothing was billed. */
export interface ExpectedRow {
  readonly status: LedgerRow["status"];
  readonly basis: Basis;
  /** Counts that the wire stated, where they are not the bill's: what a provider says counts. */
  readonly stated?: { readonly input: number; readonly output: number };
}

export interface Scenario {
  readonly name: string;
  readonly stream: boolean;
  readonly script: object;
  /** Which of a wire format's providers is asked. */
  readonly via: "plain" | "failover" | "drain" | "no_bill";
  /** When the client goes: never, once the upstream has the request, after the first content, after the last. */
  readonly leave: "never" | "before" | "mid" | "after";
  readonly timeoutMs?: number;
  readonly tools?: boolean;
  readonly rows: readonly ExpectedRow[];
}

const words = "some words of an answer that is long enough to be counted ";
const say = { text: words };
const pause = { delay_ms: 10_000 };
const known: ExpectedRow = { status: "success", basis: "provider" };
const guessed: ExpectedRow = { status: "success", basis: "estimated" };
const cancelled: ExpectedRow = { status: "cancelled", basis: "estimated" };
const broken: ExpectedRow = { status: "error", basis: "estimated" };
const refused: ExpectedRow = { status: "error", basis: "none" };

const plain = { via: "plain", leave: "never" } as const;

/** The same once streamed and once buffered. */
function both(name: string, rest: Omit<Scenario, "name" | "stream">): Scenario[] {
  return [true, false].map((stream) => ({ name: `${name}, ${stream ? "streamed" : "buffered"}`, stream, ...rest }));
}

function usageFault(fault: FaultName, row: ExpectedRow): Scenario[] {
  return both(fault, { ...plain, script: { steps: [{ fault }, say] }, rows: [row] });
}

function failover(fault: FaultName, first: ExpectedRow): Scenario[] {
  const script = { attempts: [{ steps: [{ fault }] }, { steps: [say] }] };
  return both(`${fault}, then another target`, { ...plain, via: "failover", script, rows: [first, known] });
}

function brokenOff(fault: FaultName): Scenario {
  return { name: `${fault} in the middle`, stream: true, ...plain, script: { steps: [say, { fault }] }, rows: [broken] };
}

export const scenarios: readonly Scenario[] = [
  ...both("success", { ...plain, script: { steps: [say] }, rows: [known] }),
  ...both("tool calls", {
    ...plain,
    tools: true,
    script: { steps: [{ tool_call: { name: "look_up", arguments: { what: "the weather of tomorrow" } } }] },
    rows: [known],
  }),
  ...both("cached input and reasoning", {
    ...plain,
    script: { steps: [say], usage: { input_tokens: 900, output_tokens: 333, cache_read_tokens: 600, reasoning_tokens: 100 } },
    rows: [known],
  }),
  ...usageFault("usage_absent", guessed),
  ...usageFault("usage_zero", { ...known, stated: { input: 0, output: 0 } }),
  ...usageFault("usage_negative", guessed),
  // Beyond what a number can hold exactly it is no count.
  ...usageFault("usage_huge", guessed),
  ...usageFault("usage_string", known),
  ...usageFault("usage_repeated", known),
  ...usageFault("usage_falling", known),
  ...both("429", { ...plain, script: { steps: [{ fault: "rate_limit" }] }, rows: [refused] }),
  ...both("500", { ...plain, script: { steps: [{ fault: "status_500" }] }, rows: [refused] }),
  ...failover("rate_limit", refused),
  ...failover("status_500", refused),
  ...failover("reset_before", broken),
  ...([true, false] as const).map(
    (stream): Scenario => ({
      name: `deadline, ${stream ? "streamed" : "buffered"}`,
      stream,
      ...plain,
      timeoutMs: 300,
      // Of an answer that is sent in one piece nothing is known before it comes.
      script: { steps: stream ? [say, pause] : [pause, say] },
      rows: [{ status: "timeout", basis: "estimated" }],
    }),
  ),
  brokenOff("reset"),
  brokenOff("truncated_json"),
  brokenOff("error_event"),
  ...both("client gone before the first byte", { ...plain, leave: "before", script: { steps: [pause, say] }, rows: [cancelled] }),
  { name: "client gone in the middle", stream: true, ...plain, leave: "mid", script: { steps: [say, pause, say] }, rows: [cancelled] },
  { name: "client gone after the last event", stream: true, ...plain, leave: "after", script: { steps: [say] }, rows: [known] },
  ...(["before", "mid"] as const).map(
    (leave): Scenario => ({
      name: `client gone ${leave === "mid" ? "in the middle" : "before the first byte"}, drained`,
      stream: true,
      via: "drain",
      leave,
      script: { steps: leave === "mid" ? [say, { delay_ms: 150 }, say] : [{ delay_ms: 150 }, say] },
      rows: [{ status: "cancelled", basis: "provider" }],
    }),
  ),
  {
    name: "client gone before a buffered answer, drained",
    stream: false,
    via: "drain",
    leave: "before",
    script: { steps: [{ delay_ms: 150 }, say] },
    rows: [{ status: "cancelled", basis: "provider" }],
  },
  ...(["before", "mid"] as const).map(
    (leave): Scenario => ({
      name: `client gone ${leave === "mid" ? "in the middle" : "before the first byte"}, no bill`,
      stream: true,
      via: "no_bill",
      leave,
      script: { steps: leave === "mid" ? [say, pause] : [pause, say] },
      rows: [{ status: "cancelled", basis: "none" }],
    }),
  ),
];
