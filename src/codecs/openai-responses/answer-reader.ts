/** What the records of a stream and a whole reply have in common: the `response` object around the items. */
import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { FinishReason } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { GatewayError } from "../../core/error.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, opaqueEvent, startedEvent, usageEvent } from "../../core/event.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { defaults } from "./answer-object.ts";
import { CallState } from "./call-state.ts";
import { ItemReader } from "./item-reader.ts";
import { brokenAnswer, cancelledAnswer, errorInAnswer } from "./read-error.ts";
import { readUsage } from "./usage.ts";
import { format } from "./wire.ts";

/** 9999-12-31, the last second of a Timestamp. */
const maxSeconds = 253_402_300_799;

const incompleteReasons: Readonly<Record<string, FinishReason>> = {
  max_output_tokens: FinishReason.LENGTH,
  content_filter: FinishReason.CONTENT_FILTER,
};

export class AnswerReader {
  readonly #provider: string;
  readonly #state: CallState | undefined;
  readonly #isStream: boolean;
  readonly #builder = new EventBuilder();
  /** By output index. */
  readonly #items = new Map<number, ItemReader>();
  #isStarted = false;
  isFinished = false;

  constructor(provider: string, state: unknown, isStream: boolean) {
    this.#provider = provider;
    this.#state = state instanceof CallState ? state : undefined;
    this.#isStream = isStream;
  }

  /** One record of a stream. Throws GatewayError for a failed answer. */
  read(record: JsonValue): GenerateEvent[] {
    if (this.isFinished) return [];
    if (!isJsonObject(record)) throw this.broken("its stream has a record that is no JSON object");
    const type = typeof record.type === "string" ? record.type : "";
    if (type === "error" || (type === "" && isJsonObject(record.error))) throw errorInAnswer(record, this.#provider, true);
    switch (type) {
      case "response.created":
      case "response.queued":
      case "response.in_progress":
        this.#start(responseOf(record));
        break;
      case "response.completed":
      case "response.incomplete":
      case "response.failed":
      case "response.cancelled":
        this.#end(responseOf(record), type.slice("response.".length));
        break;
      default:
        this.#start({});
        this.#itemRecord(type, record);
    }
    return this.#builder.take();
  }

  /** A whole `response` object. */
  readWhole(answer: JsonValue): GenerateEvent[] {
    if (!isJsonObject(answer)) throw this.broken("its answer is no JSON object");
    if (isJsonObject(answer.error) || typeof answer.error === "string") throw errorInAnswer(answer, this.#provider, false);
    if (answer.object !== "response" && !Array.isArray(answer.output)) throw this.broken("its answer is no response object");
    this.#end(answer, typeof answer.status === "string" ? answer.status : "completed");
    return this.#builder.take();
  }

  /** Ends open blocks as incomplete. */
  abandon(): GenerateEvent[] {
    this.#builder.endOpenBlocks({ incomplete: true });
    return this.#builder.take();
  }

  broken(what: string): GatewayError {
    return brokenAnswer(this.#provider, what, this.#isStream);
  }

  #start(response: JsonObject): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    const createdAt = readTime(response.created_at);
    this.#builder.push(
      startedEvent(
        {
          upstreamId: typeof response.id === "string" ? response.id : "",
          servedModel: typeof response.model === "string" ? response.model : "",
          provider: this.#provider,
          ...(createdAt === undefined ? {} : { createdAt }),
        },
        unknownFields(response),
      ),
    );
  }

  #itemRecord(type: string, record: JsonObject): void {
    if (type === "response.output_item.added" && isJsonObject(record.item)) {
      const { output_index: index } = record;
      this.#items.set(typeof index === "number" ? index : this.#items.size, this.#newItem(record.item));
      return;
    }
    const item = this.#findItem(type, record);
    if (item === undefined || !item.read(type, record)) {
      this.#builder.push(opaqueEvent(format, type, jsonText(record)));
      return;
    }
    if (item.stop !== undefined) this.#cut(item.stop);
  }

  /** Servers that leave out the beginning of an item are understood: its type shows in the record. */
  #findItem(type: string, record: JsonObject): ItemReader | undefined {
    const { output_index: index, item_id: id } = record;
    if (typeof index !== "number" && typeof id !== "string") return undefined;
    const known = this.#items.get(this.#outputIndex(record)) ?? [...this.#items.values()].find((item) => item.id !== "" && item.id === id);
    if (known !== undefined) return known;
    const begun = type === "response.output_item.done" && isJsonObject(record.item) ? record.item : beginnings[type];
    if (begun === undefined) return undefined;
    const item = this.#newItem({ id: record.item_id ?? "", ...begun });
    this.#items.set(this.#outputIndex(record), item);
    return item;
  }

  #newItem(item: JsonObject): ItemReader {
    return new ItemReader(item, { builder: this.#builder, provider: this.#provider, state: this.#state });
  }

  /** Servers without indexes speak of the last item. */
  #outputIndex({ output_index: index }: JsonObject): number {
    return typeof index === "number" ? index : Math.max(0, this.#items.size - 1);
  }

  #end(response: JsonObject, status: string): void {
    if (status === "failed") throw errorInAnswer(response.error ?? response, this.#provider, this.#isStream);
    if (status === "cancelled") throw cancelledAnswer(this.#provider, this.#isStream);
    if (status !== "completed" && status !== "incomplete") throw this.broken("its answer is not complete");
    this.#start(response);
    let stop: string | undefined;
    (Array.isArray(response.output) ? response.output : []).forEach((item, index) => {
      if (stop !== undefined || !isJsonObject(item)) return;
      const reader = this.#items.get(index) ?? this.#newItem(item);
      this.#items.set(index, reader);
      reader.end(item);
      stop = reader.stop;
    });
    if (stop === undefined) for (const item of this.#items.values()) item.end({});
    const unknown = unknownFields(response);
    if (isJsonObject(response.usage)) this.#builder.push(usageEvent(readUsage(response.usage, response.service_tier), unknown));
    if (stop !== undefined) this.#cut(stop);
    else this.#finish(response, status);
  }

  #finish(response: JsonObject, status: string): void {
    const details = response.incomplete_details;
    const said = isJsonObject(details) && typeof details.reason === "string" ? details.reason : "";
    const rawReason = status === "incomplete" ? said || status : status;
    const reason = status === "incomplete" ? (incompleteReasons[said] ?? FinishReason.OTHER) : this.#completedReason();
    this.isFinished = true;
    this.#builder.push(finishedEvent({ candidate: 0, reason, rawReason }));
  }

  #completedReason(): FinishReason {
    const items = [...this.#items.values()];
    if (items.some(({ isCall }) => isCall)) return FinishReason.TOOL_CALLS;
    return items.some(({ hasRefusal }) => hasRefusal) ? FinishReason.REFUSAL : FinishReason.STOP;
  }

  /** The answer ends at a stop text, whatever follows. */
  #cut(stopSequence: string): void {
    this.#builder.endOpenBlocks();
    this.isFinished = true;
    this.#builder.push(finishedEvent({ candidate: 0, reason: FinishReason.STOP_SEQUENCE, rawReason: "completed", stopSequence }));
  }
}

/** Items by the records that can be the first of them. */
const beginnings: Readonly<Record<string, JsonObject>> = {
  "response.content_part.added": { type: "message" },
  "response.output_text.delta": { type: "message" },
  "response.refusal.delta": { type: "message" },
  "response.reasoning_summary_part.added": { type: "reasoning" },
  "response.reasoning_summary_text.delta": { type: "reasoning" },
  "response.reasoning_text.delta": { type: "reasoning" },
};

/**
 * Members of a response that are read here, or that repeat the request: the client's own request is what its answer
 * repeats. What the service filled in (temperature, text, reasoning, ...) is kept with the unknown ones.
 */
const known: ReadonlySet<string> = new Set([
  ...["id", "object", "created_at", "status", "error", "incomplete_details", "model", "output", "output_text", "usage", "service_tier"],
  ...["instructions", "tools", "tool_choice", "parallel_tool_calls", "metadata", "store", "previous_response_id", "conversation"],
  ...["user", "safety_identifier", "prompt", "prompt_cache_key", "background", "max_output_tokens", "max_tool_calls"],
]);

function unknownFields(response: JsonObject): Record<string, string> | undefined {
  const unknown: WritableObject = {};
  for (const key of Object.keys(response)) {
    const value = response[key] as Writable;
    if (known.has(key) || value === null || isDefault(key, value)) continue;
    unknown[key] = value;
  }
  return Object.keys(unknown).length === 0 ? undefined : { [format]: writeJson(unknown) };
}

/** The response of a record. What else the record holds, and nobody knows, is kept with the response's own unknown fields. */
function responseOf({ type, sequence_number, response, ...rest }: JsonObject): JsonObject {
  return isJsonObject(response) ? { ...rest, ...response } : rest;
}

/** What every answer repeats says nothing. */
function isDefault(key: string, value: Writable): boolean {
  return Object.hasOwn(defaults, key) && writeJson(defaults[key]) === writeJson(value);
}

function readTime(created: JsonValue | undefined): Timestamp | undefined {
  if (typeof created !== "number" || created < 0 || created > maxSeconds) return undefined;
  return create(TimestampSchema, { seconds: BigInt(Math.floor(created)) });
}
