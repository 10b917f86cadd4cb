/**
 * Events to the chunks of `streamGenerateContent`. What came in one batch is one chunk. A chunk holds whole parts: text as it
 * comes, anything else at the end of its block. The finish reasons wait for the end, so that the last chunk has them and
 * the counts, and nothing follows it.
 */
import type { Finished, Started } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { AnswerFacts, DialectRequest, EventWriter } from "../../core/dialect.ts";
import type { GatewayError } from "../../core/error.ts";
import type { EventBatch, GenerateEvent } from "../../core/event.ts";
import { mergeExtras, RawJson, type WritableObject, writeJson } from "../../core/json.ts";
import { CandidateWriter } from "./candidate-writer.ts";
import { formatName } from "./wire.ts";
import { writeFeedback, writeHead } from "./write-answer.ts";
import { writeError } from "./write-error.ts";
import { writeUsage } from "./write-usage.ts";

/** The writer of one stream. `facts` are used where the provider gave no id of its own. */
export function createEventWriter(request: DialectRequest, facts: AnswerFacts): EventWriter {
  return request.rendering === "array" ? new GeminiArrayWriter(request, facts) : new GeminiEventWriter(request, facts);
}

class GeminiEventWriter implements EventWriter {
  readonly #model: string;
  readonly #facts: AnswerFacts;
  readonly #candidates = new Map<number, CandidateWriter>();
  #head: WritableObject;
  /** The head's members behind a comma, to the end of the chunk. */
  #tail = "";
  /** Top-level fields that are not modelled and no chunk holds yet. */
  #extras: string[] = [];
  #usage: Usage | undefined;
  #blocked: Finished | undefined;

  constructor(request: DialectRequest, facts: AnswerFacts) {
    this.#model = request.generate.model;
    this.#facts = facts;
    this.#head = {};
    this.#start(undefined);
  }

  write({ events }: EventBatch): string {
    let out = "";
    for (const event of events) out += this.#event(event);
    return out + this.#chunk(false);
  }

  error(error: GatewayError): string {
    return this.#chunk(true) + this.record(JSON.stringify(writeError(error)));
  }

  end(): string {
    const candidates = [...this.#candidates.values()].map((candidate) => candidate.finish());
    const chunk: WritableObject = {
      candidates: candidates.length === 0 ? undefined : candidates,
      promptFeedback: this.#blocked === undefined ? undefined : writeFeedback(this.#blocked),
      usageMetadata: this.#usage === undefined ? undefined : writeUsage(this.#usage),
      ...this.#head,
    };
    this.#mergeExtras(chunk);
    return this.#record(writeJson(chunk));
  }

  /** One chunk, framed. `json` has no line breaks. */
  protected record(json: string): string {
    return `data: ${json}\n\n`;
  }

  #record(json: string): string {
    // Line breaks end a record's line; in JSON text they stand between tokens only.
    return this.record(/[\r\n]/.test(json) ? json.replace(/[\r\n]+/g, " ") : json);
  }

  /** Gives a chunk where one must be complete before the next event. */
  #event({ event, extrasJson }: GenerateEvent): string {
    const { case: kind, value } = event;
    switch (kind) {
      case "started":
        this.#start(value);
        this.#keepExtras(extrasJson[formatName]);
        break;
      case "blockStarted":
        this.#candidate(value.candidate).start(value, extrasJson);
        break;
      case "blockDelta":
        this.#candidate(value.candidate).grow(value);
        break;
      case "blockEnded": {
        const candidate = this.#candidate(value.candidate);
        candidate.end(value, extrasJson);
        // A chunk's log probabilities are those of its one text.
        return candidate.hasLogprobs ? this.#chunk(false) : "";
      }
      case "finished":
        if (value.promptBlocked) this.#blocked = value;
        else this.#candidate(value.candidate).finished(value, extrasJson);
        break;
      case "usage":
        this.#usage = value;
        this.#keepExtras(extrasJson[formatName]);
        break;
      case "settled":
        this.#usage ??= value.usage;
        break;
      case "opaque":
        if (value.format === formatName) this.#keepExtras(value.dataJson);
        break;
      default:
        break; // a newer event: ignored, as the contract asks
    }
    return "";
  }

  #start(started: Started | undefined): void {
    this.#head = writeHead(started, this.#facts, this.#model);
    this.#tail = `],${writeJson(this.#head).slice(1)}`;
  }

  #candidate(index: number): CandidateWriter {
    let candidate = this.#candidates.get(index);
    if (candidate === undefined) {
      candidate = new CandidateWriter(index);
      this.#candidates.set(index, candidate);
    }
    return candidate;
  }

  /** What the candidates have to say since the last chunk; empty where that is nothing. `all`: nothing more will come. */
  #chunk(all: boolean): string {
    let candidates = "";
    for (const candidate of this.#candidates.values()) {
      const text = candidate.take(all);
      if (text !== "") candidates += candidates === "" ? text : `,${text}`;
    }
    if (candidates === "") return "";
    if (this.#extras.length === 0) return this.#record(`{"candidates":[${candidates}${this.#tail}`);
    const chunk: WritableObject = { candidates: new RawJson(`[${candidates}]`), ...this.#head };
    this.#mergeExtras(chunk);
    return this.#record(writeJson(chunk));
  }

  #keepExtras(extras: string | undefined): void {
    if (extras !== undefined && extras !== "") this.#extras.push(extras);
  }

  /** What was said later wins. */
  #mergeExtras(chunk: WritableObject): void {
    for (const extras of this.#extras.splice(0).reverse()) mergeExtras(chunk, extras);
  }
}

/** Without `alt=sse` the answer is one JSON array of chunks, written as they come. */
class GeminiArrayWriter extends GeminiEventWriter {
  readonly contentType = "application/json; charset=utf-8";
  #hasElements = false;

  override error(error: GatewayError): string {
    return `${super.error(error)}]`;
  }

  override end(): string {
    return `${super.end()}]`;
  }

  protected override record(json: string): string {
    const before = this.#hasElements ? ",\n" : "[";
    this.#hasElements = true;
    return before + json;
  }
}
