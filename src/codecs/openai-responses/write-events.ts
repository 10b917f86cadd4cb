/**
 * Events to the records of a Responses stream (contract.md 4, Responses writer): its start, the blocks, and the answer as a
 * whole at the end.
 */
import type { Finished, Started } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { AnswerFacts, DialectRequest, EventWriter } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import type { EventBatch, Extras, GenerateEvent } from "../../core/event.ts";
import type { WritableObject } from "../../core/json.ts";
import { type AnswerContent, type AnswerHead, answerHead, incompleteReason, type Status, writeAnswer } from "./answer-object.ts";
import { BlockWriter } from "./block-writer.ts";
import { OutputItems, writeItem } from "./output-items.ts";
import { RecordWriter } from "./record-writer.ts";
import { renderingOf } from "./rendering.ts";
import { format } from "./wire.ts";
import { responseError } from "./write-error.ts";
import { hasRefusal } from "./write-response.ts";

/** A comment begins with it. */
const colon = 0x3a;

/** The writer of one stream. */
export function createEventWriter(request: DialectRequest, facts: AnswerFacts): EventWriter {
  return new ResponsesEventWriter(request, facts);
}

class ResponsesEventWriter implements EventWriter {
  readonly #request: DialectRequest;
  readonly #facts: AnswerFacts;
  readonly #items: OutputItems;
  readonly #records = new RecordWriter();
  readonly #blocks: BlockWriter;
  #head: AnswerHead | undefined;
  /** Of a stream that is not written here. */
  #lastSent: Uint8Array | undefined;
  #usage: Usage | undefined;
  #finished: Finished | undefined;
  /** JSON texts of the provider's own fields, the latest first. */
  readonly #extras: string[] = [];

  constructor(request: DialectRequest, facts: AnswerFacts) {
    const { isStored, summarizes } = renderingOf(request);
    this.#request = request;
    this.#facts = facts;
    this.#items = new OutputItems({ generationId: facts.generationId, keeps: !isStored });
    this.#blocks = new BlockWriter({ records: this.#records, items: this.#items, summarizes, startAnswer: () => this.#start() });
  }

  write({ events }: EventBatch): string {
    for (const event of events) this.#event(event);
    this.#records.flush();
    return this.#records.take();
  }

  /** Counted only where it is needed: this runs for every read of an upstream. */
  sent({ events, raw }: EventBatch): void {
    // Keep-alives have no number.
    if (raw !== undefined && raw.length > 0 && raw[0] !== colon) this.#lastSent = raw;
    for (const { event } of events) {
      if (event.case === "started") this.#head ??= answerHead(event.value, this.#facts, this.#request);
      else if (event.case === "usage") this.#usage = event.value;
    }
  }

  error(error: GatewayError): string {
    this.#records.flush();
    if (this.#lastSent !== undefined) this.#records.continueAfter(this.#lastSent);
    this.#blocks.abandon();
    this.#terminal("response.failed", { status: "failed", error: responseError(error) });
    return this.#records.take();
  }

  end(): string {
    this.#records.flush();
    this.#start();
    this.#blocks.endItems(this.#isCut());
    const reason = incompleteReason(this.#finished, hasRefusal(this.#items));
    const status = reason === undefined ? "completed" : "incomplete";
    this.#terminal(`response.${status}`, { status, incompleteReason: reason });
    return this.#records.take();
  }

  #event(event: GenerateEvent): void {
    const { case: kind, value } = event.event;
    switch (kind) {
      case "blockDelta":
        if (value.candidate === 0) this.#blocks.grow(value);
        break;
      case "blockStarted":
        if (value.candidate === 0) this.#blocks.start(value, event.extrasJson);
        break;
      case "blockEnded":
        if (value.candidate === 0) this.#blocks.end(value);
        break;
      case "started":
        this.#keep(event.extrasJson);
        this.#start(value);
        break;
      case "usage":
        this.#usage = value;
        this.#keep(event.extrasJson);
        break;
      case "finished":
        if (value.candidate !== 0) break;
        this.#keep(event.extrasJson);
        this.#finished = value;
        this.#records.flush();
        this.#start();
        this.#blocks.endItems(this.#isCut());
        break;
      case "settled":
        this.#usage ??= value.usage;
        break;
      case "opaque":
        if (value.format === format) this.#blocks.writeRaw(value.dataJson);
        break;
      default:
        break; // a newer event: ignored, as the contract asks
    }
  }

  #keep(extras: Extras): void {
    const own = extras[format];
    if (own !== undefined) this.#extras.unshift(own);
  }

  #start(started?: Started): void {
    if (this.#head !== undefined) return;
    this.#head = answerHead(started, this.#facts, this.#request);
    const response = this.#answer({ status: "in_progress" });
    this.#records.write("response.created", { response });
    this.#records.write("response.in_progress", { response });
  }

  #isCut(): boolean {
    return incompleteReason(this.#finished, false) === "max_output_tokens";
  }

  #answer(content: { status: Status } & Partial<AnswerContent>): WritableObject {
    this.#head ??= answerHead(undefined, this.#facts, this.#request);
    return writeAnswer(this.#head, { output: [], extras: this.#extras, ...content }, this.#request);
  }

  #terminal(type: string, content: { status: Status } & Partial<AnswerContent>): void {
    const output = this.#items.all.map(writeItem);
    this.#records.write(type, { response: this.#answer({ output, usage: this.#usage, ...content }) });
  }
}
