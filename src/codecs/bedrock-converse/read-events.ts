/**
 * Reads a stream of ConverseStream into events.
 * https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
 *
 * The order on the wire is messageStart, then per block contentBlockStart (calls only), contentBlockDelta,
 * contentBlockStop, then messageStop, which is the end mark, then metadata with usage, then the end of the stream.
 */
import type { EventReader } from "../../core/dialect.ts";
import { GatewayError } from "../../core/error.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { isJsonObject, JsonError, type JsonObject, type JsonValue, jsonText, parseJson, upstreamJsonLimits } from "../../core/json.ts";
import { objectMember, textMember } from "../../core/members.ts";
import type { Frame } from "../../core/sse.ts";
import { AnswerBuilder, eventExtras } from "./answer-builder.ts";
import { ConverseCallState } from "./call-state.ts";
import { readErrorObject } from "./read-error.ts";
import { exceptionMark } from "./wire.ts";

/** What the platform's parser could round. */
const longNumber = /\d{16}/;

/** `state` is what writeRequest gave; anything else means that nothing was emulated. */
export function createEventReader(provider: string, state: unknown): EventReader {
  return new ConverseEventReader(provider, state instanceof ConverseCallState ? state : new ConverseCallState());
}

class ConverseEventReader implements EventReader {
  readonly #provider: string;
  readonly #answer: AnswerBuilder;
  #done = false;

  constructor(provider: string, state: ConverseCallState) {
    this.#provider = provider;
    this.#answer = new AnswerBuilder(provider, state);
  }

  get done(): boolean {
    return this.#done;
  }

  read(frame: Frame): GenerateEvent[] {
    if (this.#done) return [];
    if (frame.event.startsWith(exceptionMark)) throw this.#failure(frame);
    // Sent first by some services of this protocol; it says nothing.
    if (frame.event === "initial-response") return [];
    const event = this.#parse(frame);
    switch (frame.event) {
      case "contentBlockDelta":
        this.#answer.growBlock(this.#index(event), objectMember(event, "delta") ?? {});
        break;
      case "messageStart":
        this.#answer.start(event);
        break;
      case "contentBlockStart":
        this.#answer.startBlock(this.#index(event), objectMember(event, "start") ?? {}, eventExtras(event));
        break;
      case "contentBlockStop":
        this.#answer.endBlock(this.#index(event), eventExtras(event));
        break;
      case "messageStop":
        this.#answer.finish(event);
        break;
      case "metadata":
        this.#answer.metadata(event);
        this.#done = this.#answer.finished;
        break;
      default:
        this.#answer.opaqueEvent(frame.event, jsonText(event));
    }
    return this.#answer.take();
  }

  end(): GenerateEvent[] {
    if (!this.#answer.finished) {
      throw new GatewayError("provider_error", `provider ${this.#provider} ended its answer without messageStop`);
    }
    return [];
  }

  abandon(): GenerateEvent[] {
    this.#answer.abandon();
    return this.#answer.take();
  }

  #failure({ event, data }: Frame): GatewayError {
    const type = event.slice(exceptionMark.length);
    try {
      const value = parseJson(data, upstreamJsonLimits);
      if (isJsonObject(value)) return readErrorObject(value, type, this.#provider, true);
    } catch {
      // An exception whose payload cannot be read is still the exception that its header names.
    }
    return readErrorObject({ message: data }, type, this.#provider, true);
  }

  #parse({ event, data }: Frame): JsonObject {
    // Most records of a stream are deltas whose members are text: the platform's parser is exact for those, and faster.
    const isPlain = event === "contentBlockDelta" && !longNumber.test(data);
    const value = this.#attempt(() => (isPlain ? (JSON.parse(data) as JsonValue) : parseJson(data, upstreamJsonLimits)));
    if (!isJsonObject(value)) throw this.#unreadable("that is no JSON object");
    if (textMember(value, "__type") !== "") throw readErrorObject(value, "", this.#provider, true);
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

  #index({ contentBlockIndex: index }: JsonObject): number {
    if (typeof index === "number" && Number.isSafeInteger(index) && index >= 0) return index;
    throw this.#unreadable("without the index of its block");
  }

  #unreadable(what: string): GatewayError {
    return new GatewayError("provider_error", `provider ${this.#provider} sent an event ${what}`);
  }
}
