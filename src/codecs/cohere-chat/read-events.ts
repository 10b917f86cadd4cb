/** Reads a stream: named events whose `type` says the same. The end mark is `message-end`. */
import { CallState } from "../../core/call-state.ts";
import type { EventReader } from "../../core/dialect.ts";
import { GatewayError } from "../../core/error.ts";
import type { GenerateEvent } from "../../core/event.ts";
import { isJsonObject, JsonError, type JsonObject, type JsonValue, jsonText, parseJson, upstreamJsonLimits } from "../../core/json.ts";
import { textMember } from "../../core/members.ts";
import type { Frame } from "../../core/sse.ts";
import { AnswerBuilder } from "./answer-builder.ts";
import { readLogprobs } from "./logprobs.ts";
import { failedAnswer, readErrorRecord } from "./read-error.ts";
import { objectMember, unknownMembers } from "./wire.ts";

const startKnown = new Set(["id", "type", "delta"]);

/** `state` is what writeRequest gave; anything else means that nothing was emulated. */
export function createEventReader(provider: string, state: unknown): EventReader {
  return new ChatEventReader(provider, state instanceof CallState ? state : new CallState());
}

class ChatEventReader implements EventReader {
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
    const delta = objectMember(record, "delta");
    const message = objectMember(delta, "message");
    switch (type) {
      case "content-delta":
        this.#answer.growContent(index(record), objectMember(message, "content"), readLogprobs(record.logprobs));
        break;
      case "tool-call-delta":
        this.#answer.growCall(index(record), textMember(objectMember(callOf(message), "function"), "arguments"));
        break;
      case "tool-plan-delta":
        this.#answer.growPlan(textMember(message, "tool_plan"));
        break;
      case "message-start":
        this.#answer.start(textMember(record, "id"), unknownMembers(record, startKnown));
        break;
      case "content-start":
        this.#answer.startContent(index(record), objectMember(message, "content"));
        break;
      case "content-end":
        this.#answer.endContent(index(record));
        break;
      case "tool-call-start":
        this.#answer.startCall(index(record), callOf(message));
        break;
      case "tool-call-end":
        this.#answer.endCall(index(record));
        break;
      case "citation-start":
        for (const citation of listOf(message.citations)) this.#answer.cite(citation);
        break;
      case "citation-end":
        break;
      case "message-end":
        this.#end(delta);
        break;
      default:
        if (type === "error" || isError(record)) throw readErrorRecord(record, this.#provider, true);
        this.#answer.opaqueEvent(type, jsonText(record));
    }
    return this.#answer.take();
  }

  end(): GenerateEvent[] {
    if (!this.#done) throw new GatewayError("provider_error", `provider ${this.#provider} ended its answer without message-end`);
    return [];
  }

  abandon(): GenerateEvent[] {
    this.#answer.abandon();
    return this.#answer.take();
  }

  #end(delta: JsonObject): void {
    if (isFailure(delta)) throw failedAnswer(delta, this.#provider, true);
    this.#answer.finish(delta);
    this.#done = true;
  }

  #parse({ event, data }: Frame): JsonObject {
    let value: JsonValue;
    try {
      // Most records of a stream are pieces whose members are text: the platform's parser is exact for those, and faster.
      const isPiece = event === "content-delta" || event === "tool-call-delta";
      value = isPiece ? (JSON.parse(data) as JsonValue) : parseJson(data, upstreamJsonLimits);
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof JsonError) throw this.#unreadable("that is no JSON text");
      throw error;
    }
    if (!isJsonObject(value)) throw this.#unreadable("that is no JSON object");
    return value;
  }

  #unreadable(what: string): GatewayError {
    return new GatewayError("provider_error", `provider ${this.#provider} sent a record ${what}`);
  }
}

/** The end of an answer that failed: with `error`, or with a finish reason that says so. */
export function isFailure({ error, finish_reason: reason }: JsonObject): boolean {
  return (typeof error === "string" && error !== "") || (typeof reason === "string" && /^ERROR/i.test(reason));
}

/** `tool_calls` is one object here, and was a list before. */
function callOf({ tool_calls: calls }: JsonObject): JsonObject {
  const [first] = listOf(calls);
  return first ?? {};
}

function listOf(value: JsonValue | undefined): JsonObject[] {
  return (Array.isArray(value) ? value : [value]).filter(isJsonObject);
}

/** `{message: "text"}`, as a reply with an error status has it. */
function isError({ type, message, error }: JsonObject): boolean {
  return type === undefined && (typeof message === "string" || error !== undefined);
}

function index({ index: value }: JsonObject): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}
