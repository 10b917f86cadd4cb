/**
 * The events of one generation (dragoman.v1.GenerateResponse) and how upstream readers build them. Order and meaning:
 * the comment of GenerateResponse in proto/dragoman/v1/generate.proto.
 *
 * Deltas are literals with `$typeName`, which cost a tenth of `create()`; events that come once a block use `create`.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Annotation,
  type BlockDelta,
  BlockEndedSchema,
  type BlockKind,
  BlockStartedSchema,
  FinishedSchema,
  type GenerateResponse,
  OpaqueEventSchema,
  StartedSchema,
  type TokenLogprob,
} from "../../gen/dragoman/v1/generate_pb.ts";
import type { Settled, Usage } from "../../gen/dragoman/v1/usage_pb.ts";

export type GenerateEvent = GenerateResponse;
export type Extras = Record<string, string>;
type Delta = BlockDelta["delta"];
type Init<Schema extends Parameters<typeof create>[0]> = Omit<MessageInitShape<Schema>, "$typeName">;

/** What one read of the upstream gave. */
export interface EventBatch {
  readonly events: readonly GenerateEvent[];
  /**
   * The bytes for a client that speaks the upstream's format: whole records, in place of what its writer would make of
   * `events`. May be empty. If the first batch of a call has them, all have, until it ends or fails.
   */
  readonly raw?: Uint8Array;
}

function event(value: GenerateResponse["event"], extrasJson: Extras = {}): GenerateEvent {
  return { $typeName: "dragoman.v1.GenerateResponse", sequence: 0, event: value, extrasJson };
}

export function startedEvent(started: Init<typeof StartedSchema>, extras?: Extras): GenerateEvent {
  return event({ case: "started", value: create(StartedSchema, started as MessageInitShape<typeof StartedSchema>) }, extras);
}

export function usageEvent(usage: Usage, extras?: Extras): GenerateEvent {
  return event({ case: "usage", value: usage }, extras);
}

export function finishedEvent(finished: Init<typeof FinishedSchema>, extras?: Extras): GenerateEvent {
  return event({ case: "finished", value: create(FinishedSchema, finished as MessageInitShape<typeof FinishedSchema>) }, extras);
}

export function settledEvent(settled: Settled): GenerateEvent {
  return event({ case: "settled", value: settled });
}

/** A record that is not modelled, in the place where it stood. */
export function opaqueEvent(format: string, type: string, dataJson: string): GenerateEvent {
  return event({ case: "opaque", value: create(OpaqueEventSchema, { format, type, dataJson }) });
}

export function deltaEvent(
  candidate: number,
  index: number,
  delta: Delta,
  annotations: Annotation[] = [],
  logprobs: TokenLogprob[] = [],
  section = 0,
): GenerateEvent {
  return event({
    case: "blockDelta",
    value: { $typeName: "dragoman.v1.BlockDelta", candidate, index, delta, annotations, logprobs, section },
  });
}

/**
 * Builds the events of one upstream answer and keeps its blocks in order: indexes rise by 1 per candidate, every block
 * is ended, finished comes after the last block. Readers call it and hand out `take()`.
 */
export class EventBuilder {
  #events: GenerateEvent[] = [];
  /** Next block index per candidate. */
  readonly #next: number[] = [];
  /** Blocks that have not ended, in order of their start. */
  readonly #open: { readonly candidate: number; readonly index: number; readonly kind: BlockKind }[] = [];

  /** The events since the last take. */
  take(): GenerateEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  push(event: GenerateEvent): void {
    this.#events.push(event);
  }

  /** Gives the new block's index. */
  startBlock(
    candidate: number,
    kind: BlockKind,
    init: Omit<Init<typeof BlockStartedSchema>, "candidate" | "index" | "kind"> = {},
    extras?: Extras,
  ): number {
    const index = this.#next[candidate] ?? 0;
    this.#next[candidate] = index + 1;
    this.#open.push({ candidate, index, kind });
    const value = create(BlockStartedSchema, { ...init, candidate, index, kind } as MessageInitShape<typeof BlockStartedSchema>);
    this.#events.push(event({ case: "blockStarted", value }, extras));
    return index;
  }

  text(candidate: number, index: number, text: string): void {
    this.#events.push(deltaEvent(candidate, index, { case: "text", value: text }));
  }

  argumentsJson(candidate: number, index: number, fragment: string): void {
    this.#events.push(deltaEvent(candidate, index, { case: "argumentsJson", value: fragment }));
  }

  delta(candidate: number, index: number, delta: Delta, annotations?: Annotation[], logprobs?: TokenLogprob[], section?: number): void {
    this.#events.push(deltaEvent(candidate, index, delta, annotations, logprobs, section));
  }

  endBlock(candidate: number, index: number, init: Omit<Init<typeof BlockEndedSchema>, "candidate" | "index"> = {}, extras?: Extras): void {
    const at = this.#open.findIndex((block) => block.candidate === candidate && block.index === index);
    if (at === -1) return;
    this.#open.splice(at, 1);
    const value = create(BlockEndedSchema, { ...init, candidate, index } as MessageInitShape<typeof BlockEndedSchema>);
    this.#events.push(event({ case: "blockEnded", value }, extras));
  }

  /** Whether a block of this candidate (of any, where none is named) is open. */
  hasOpen(candidate?: number): boolean {
    return this.#open.some((block) => candidate === undefined || block.candidate === candidate);
  }

  /** Ends what is open, of one candidate or of all. `incomplete`: the stream broke off inside. */
  endOpenBlocks({ candidate, incomplete = false }: { candidate?: number; incomplete?: boolean } = {}): void {
    for (const block of [...this.#open]) {
      if (candidate === undefined || block.candidate === candidate) this.endBlock(block.candidate, block.index, { incomplete });
    }
  }
}

/** Whether an event commits the call to its target: content, a tool call, or an end. Before it another may be tried. */
export function commits({ event }: GenerateEvent): boolean {
  switch (event.case) {
    case "blockDelta":
    case "finished":
    case "settled":
      return true;
    case "blockStarted":
      return event.value.toolCall !== undefined || event.value.opaque !== undefined;
    case "blockEnded":
      return event.value.signature !== undefined || event.value.opaque !== undefined || event.value.media !== undefined;
    default:
      return false;
  }
}
