/**
 * Reads a stream of the Messages API into events.
 * https://platform.claude.com/docs/en/build-with-claude/streaming
 *
 * The order on the wire is message_start, then per block content_block_start, _delta, _stop, then message_delta with
 * stop reason and usage, then message_stop, which is the end mark. `ping` may stand anywhere.
 */
import { CallState } from "../../core/call-state.ts";
import type { EventReader } from "../../core/dialect.ts";
import { GatewayError } from "../../core/error.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { isJsonObject, JsonError, type JsonObject, type JsonValue, jsonText, parseJson, upstreamJsonLimits } from "../../core/json.ts";
import { objectMember, textMember } from "../../core/members.ts";
import type { Frame } from "../../core/sse.ts";
import { AnswerBuilder } from "./answer-builder.ts";
import { readErrorEvent } from "./read-error.ts";

/** `state` is what writeRequest gave; anything else means that nothing was emulated. */
export function createEventReader(provider: string, state: unknown): EventReader {
  return new MessageEventReader(provider, state instanceof CallState ? state : new CallState());
}

class MessageEventReader implements EventReader {
  readonly #provider: string;
  readonly #answer: AnswerBuilder;
  #done = false;

  constructor(provider: string, state: CallState) {
    this.#provider = provider;
    this.#answer = new AnswerBuilder(provider, state);
  }

  get done(): boolean {
    return this.#done;
  }

  read(frame: Frame): GenerateEvent[] {
    if (this.#done) return [];
    const record = this.#parse(frame);
    const type = textMember(record, "type") || frame.event;
    switch (type) {
      case "content_block_delta": {
        const delta = objectMember(record, "delta") ?? {};
        this.#answer.growBlock(this.#index(record), delta, unknownBeside(record, delta));
        break;
      }
      case "message_start": {
        const message = objectMember(record, "message") ?? {};
        this.#answer.start(message);
        this.#answer.usage(message.usage);
        break;
      }
      case "content_block_start":
        this.#answer.startBlock(this.#index(record), objectMember(record, "content_block") ?? {});
        break;
      case "content_block_stop":
        this.#answer.endBlock(this.#index(record));
        break;
      case "message_delta":
        this.#answer.usage(record.usage);
        this.#answer.finish({ ...withoutEnvelope(record), ...objectMember(record, "delta") });
        break;
      case "message_stop":
        this.#answer.end();
        this.#done = true;
        break;
      case "ping":
        break;
      case "error":
        throw readErrorEvent(record, this.#provider, true);
      default:
        if (isJsonObject(record.error)) throw readErrorEvent(record, this.#provider, true);
        this.#answer.opaqueEvent(type, jsonText(record));
    }
    return this.#answer.take();
  }

  end(): GenerateEvent[] {
    if (!this.#done) {
      throw new GatewayError("provider_error", `provider ${this.#provider} ended its answer without message_stop`);
    }
    return [];
  }

  abandon(): GenerateEvent[] {
    this.#answer.abandon();
    return this.#answer.take();
  }

  #parse({ event, data }: Frame): JsonObject {
    // Most records of a stream are deltas whose members are text: the platform's parser is exact for those, and faster.
    const value =
      event === "content_block_delta" ? this.#attempt(() => JSON.parse(data) as JsonValue) : this.#attempt(() => parseExactly(data));
    if (!isJsonObject(value)) throw this.#unreadable("that is no JSON object");
    return value;
  }

  #attempt(parse: () => JsonValue): JsonValue {
    try {
      return parse();
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof JsonError) throw this.#unreadable("that is no JSON text");
      throw error;
    }
  }

  #index(record: JsonObject): number {
    const { index } = record;
    if (typeof index === "number" && Number.isSafeInteger(index) && index >= 0) return index;
    throw this.#unreadable("without the index of its block");
  }

  #unreadable(what: string): GatewayError {
    return new GatewayError("provider_error", `provider ${this.#provider} sent a record ${what}`);
  }
}

function parseExactly(data: string): JsonValue {
  return parseJson(data, upstreamJsonLimits);
}

const deltaRecordKnown = new Set(["type", "index", "delta"]);
/** Of every type of delta: the type, and what it holds. */
const deltaMembers = 2;
const deltaKnown = new Set(["type", "text", "thinking", "signature", "partial_json", "citation"]);

/** Members of a delta's record, and of the delta in it, that are not modelled, as the record has them; mostly undefined. */
function unknownBeside(record: JsonObject, delta: JsonObject): JsonObject | undefined {
  if (Object.keys(record).length <= deltaRecordKnown.size && Object.keys(delta).length <= deltaMembers) return undefined;
  const within = Object.entries(delta).filter(([name]) => !deltaKnown.has(name));
  const beside = Object.entries(record).filter(([name]) => !deltaRecordKnown.has(name));
  if (within.length > 0) beside.push(["delta", Object.fromEntries(within)]);
  return beside.length === 0 ? undefined : Object.fromEntries(beside);
}

function withoutEnvelope({ type: _type, delta: _delta, usage: _usage, ...rest }: JsonObject): JsonObject {
  return rest;
}
