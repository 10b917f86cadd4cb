/**
 * The events of one generation (dragoman.v1.GenerateResponse) and how upstream readers build them. Order and meaning:
 * the comment of GenerateResponse in proto/dragoman/v1/generate.proto.
 *
 * Events are literals with `$typeName`, which cost a tenth of `create()` and less; what holds messages of vendors' own uses `create`.
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Annotation,
  type BlockDelta,
  type BlockEnded,
  BlockEndedSchema,
  type BlockKind,
  type BlockStarted,
  BlockStartedSchema,
  type FinishedSchema,
  FinishReason,
  type GenerateResponse,
  OpaqueEventSchema,
  type Started,
  StartedSchema,
  type TokenLogprob,
} from "../../gen/dragoman/v1/generate_pb.ts";
import type { Settled, Usage } from "../../gen/dragoman/v1/usage_pb.ts";
import { newStarted } from "./new-message.ts";

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
  return event({ case: "started", value: makeStarted(started) }, extras);
}

export function usageEvent(usage: Usage, extras?: Extras): GenerateEvent {
  return event({ case: "usage", value: usage }, extras);
}

export function finishedEvent(finished: Init<typeof FinishedSchema>, extras?: Extras): GenerateEvent {
  const { candidate = 0, reason = FinishReason.UNSPECIFIED, rawReason = "", stopSequence = "", message = "", category = "" } = finished;
  const { promptBlocked = false, meanLogprob } = finished;
  const value = { candidate, reason, rawReason, stopSequence, message, category, promptBlocked };
  const all = meanLogprob === undefined ? value : { ...value, meanLogprob };
  return event({ case: "finished", value: { $typeName: "dragoman.v1.Finished", ...all } }, extras);
}

function makeStarted(init: Init<typeof StartedSchema>): Started {
  const { createdAt, policy, translation = [] } = init;
  const isPlain = policy === undefined && translation.length === 0 && (createdAt === undefined || "$typeName" in createdAt);
  if (!isPlain) return create(StartedSchema, init as MessageInitShape<typeof StartedSchema>);
  const started: Record<string, unknown> & Started = newStarted();
  for (const name of Object.keys(init)) {
    const value = init[name as keyof typeof init];
    if (value !== undefined) started[name] = value;
  }
  return started;
}

function makeBlockStarted(
  candidate: number,
  index: number,
  kind: BlockKind,
  init: Omit<Init<typeof BlockStartedSchema>, "candidate" | "index" | "kind">,
): BlockStarted {
  const { id = "", mimeType = "", toolCall, opaque } = init;
  if (toolCall === undefined && opaque === undefined)
    return { $typeName: "dragoman.v1.BlockStarted", candidate, index, kind, id, mimeType };
  return create(BlockStartedSchema, { ...init, candidate, index, kind } as MessageInitShape<typeof BlockStartedSchema>);
}

function makeBlockEnded(candidate: number, index: number, init: Omit<Init<typeof BlockEndedSchema>, "candidate" | "index">): BlockEnded {
  const { incomplete = false, redacted = false, signature, opaque, media } = init;
  if (signature === undefined && opaque === undefined && media === undefined)
    return { $typeName: "dragoman.v1.BlockEnded", candidate, index, incomplete, redacted };
  return create(BlockEndedSchema, { ...init, candidate, index } as MessageInitShape<typeof BlockEndedSchema>);
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
    this.#events.push(event({ case: "blockStarted", value: makeBlockStarted(candidate, index, kind, init) }, extras));
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
    this.#events.push(event({ case: "blockEnded", value: makeBlockEnded(candidate, index, init) }, extras));
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
