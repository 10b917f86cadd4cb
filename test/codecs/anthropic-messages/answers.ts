/** Answers for writers: built as readers build them, written in batches as upstreams send them. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  BlockKind,
  FinishReason,
  GenerateRequestSchema,
  SignatureSchema,
  ToolCallSchema,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { anthropicMessagesDialect as dialect } from "../../../src/codecs/anthropic-messages/index.ts";
import type { DialectRequest } from "../../../src/core/dialect.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, startedEvent, usageEvent } from "../../../src/core/event.ts";

export const facts = { generationId: "01GEN", created: 1_700_000_000 };
export const asked: DialectRequest = { generate: create(GenerateRequestSchema, { model: "asked" }), stream: true, includeUsage: true };

export interface WireRecord {
  [name: string]: unknown;
  readonly type: string;
}

export function startCall(builder: EventBuilder, id: string, name = "f", kind: ToolKind = ToolKind.FUNCTION): number {
  return builder.startBlock(0, BlockKind.TOOL_CALL, { toolCall: create(ToolCallSchema, { id, name, kind }) });
}

export function signature(value: string, format = "anthropic", provider = "anthropic") {
  return create(SignatureSchema, { value, format, provider });
}

export function usage(init: Omit<MessageInitShape<typeof UsageSchema>, "$typeName">): GenerateEvent {
  return usageEvent(create(UsageSchema, init as MessageInitShape<typeof UsageSchema>));
}

/** The events of an answer: its start, what `fill` builds, its end. */
export function answer(fill: (builder: EventBuilder) => void, reason: FinishReason = FinishReason.STOP): GenerateEvent[] {
  const builder = new EventBuilder();
  builder.push(startedEvent({ upstreamId: "msg_9", servedModel: "served", provider: "p" }));
  fill(builder);
  builder.push(finishedEvent({ candidate: 0, reason }));
  return builder.take();
}

/** One batch per event, as of a slow upstream, or all in one. */
export function writeText(events: readonly GenerateEvent[], { together = false, ends = true } = {}): string {
  const writer = dialect.eventWriter(asked, facts);
  const batches = together ? [events] : events.map((event) => [event]);
  return batches.map((batch) => writer.write({ events: batch })).join("") + (ends ? writer.end() : "");
}

/** The records on the wire; the name of each must be the type of its data. */
export function recordsOf(text: string): WireRecord[] {
  return text
    .split("\n\n")
    .filter((frame) => frame !== "")
    .map((frame) => {
      const match = /^event: ([^\n]+)\ndata: ([^\n]+)$/.exec(frame);
      if (match === null) throw new Error(`no record: ${frame}`);
      const data = JSON.parse(match[2] ?? "") as WireRecord;
      if (data.type !== match[1]) throw new Error(`record ${match[1]} has the type ${data.type}`);
      return data;
    });
}

export function write(events: readonly GenerateEvent[], options: { together?: boolean; ends?: boolean } = {}): WireRecord[] {
  return recordsOf(writeText(events, options));
}

/** Freezes a value and all it holds, bytes aside, which cannot be frozen. */
export function deepFreeze<Value>(value: Value): Value {
  if (typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}

/** What the API promises of the order of records. Problems, none where it is kept. */
export function orderProblems(records: readonly WireRecord[]): string[] {
  const problems: string[] = [];
  let open: unknown;
  let next = 0;
  records.forEach(({ type, index }, at) => {
    if ((type === "message_start") !== (at === 0)) problems.push(`record ${at}: ${type}`);
    if (type === "content_block_start") {
      if (open !== undefined) problems.push(`block ${index} starts inside block ${open}`);
      if (index !== next) problems.push(`block ${index} instead of ${next}`);
      next++;
      open = index;
    } else if (type === "content_block_delta" && index !== open) problems.push(`a piece of block ${index} inside ${open}`);
    else if (type === "content_block_stop") {
      if (index !== open) problems.push(`block ${index} stops inside ${open}`);
      open = undefined;
    } else if (type === "message_delta" && open !== undefined) problems.push(`block ${open} never stops`);
  });
  if (records.at(-2)?.type !== "message_delta" || records.at(-1)?.type !== "message_stop") problems.push("no end");
  return problems;
}
