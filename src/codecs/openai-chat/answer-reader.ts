/** What the frames of a stream and a whole reply have in common: the top level around the choices. */
import { create } from "@bufbuild/protobuf";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { CallState } from "../../core/call-state.ts";
import type { GatewayError } from "../../core/error.ts";
import { EventBuilder, type GenerateEvent, opaqueEvent, startedEvent, usageEvent } from "../../core/event.ts";
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  jsonText,
  RawJson,
  type Writable,
  type WritableObject,
  writeJson,
} from "../../core/json.ts";
import { ChoiceReader } from "./choice-reader.ts";
import type { OpenAiChatQuirks } from "./quirks.ts";
import { brokenAnswer, errorInAnswer } from "./read-error.ts";
import { readUsage } from "./usage.ts";
import { format } from "./wire.ts";

/** More choices than anyone may ask for are a broken answer, and would cost memory for each. */
const maxCandidates = 128;
/** 9999-12-31, the last second of a Timestamp. */
const maxSeconds = 253_402_300_799;

export class AnswerReader {
  readonly #provider: string;
  readonly #quirks: OpenAiChatQuirks;
  readonly #state: CallState | undefined;
  readonly #builder = new EventBuilder();
  readonly #choices = new Map<number, ChoiceReader>();
  readonly #isStream: boolean;
  #id = "";
  #isStarted = false;
  #serviceTier: string | undefined;
  /** Unknown top-level members so far, as JSON text each. */
  readonly #seen = new Map<string, string>();

  constructor(provider: string, quirks: OpenAiChatQuirks, state: unknown, isStream: boolean) {
    this.#provider = provider;
    this.#quirks = quirks;
    this.#state = state instanceof CallState ? state : undefined;
    this.#isStream = isStream;
  }

  /** Events of one frame or of the whole reply. Throws GatewayError for an error in its place. */
  read(answer: JsonValue): GenerateEvent[] {
    if (!isJsonObject(answer)) throw this.broken("its answer is no JSON object");
    const error = answer.error ?? undefined;
    if (error !== undefined) throw errorInAnswer(answer, this.#provider, this.#isStream);
    // vLLM: the error object without an envelope.
    if (answer.object === "error") throw errorInAnswer(answer, this.#provider, this.#isStream);
    const choices = Array.isArray(answer.choices) ? answer.choices : [];
    const usage = isJsonObject(answer.usage) ? answer.usage : undefined;
    const unknown = this.#unknown(answer);
    if (typeof answer.id === "string" && answer.id !== "") this.#id = answer.id;
    // Azure's first frame holds only the filter's verdict on the prompt, without id and model: its members wait.
    if (!this.#isStarted && (choices.length > 0 || usage !== undefined)) this.#start(answer);
    else if (this.#isStarted && unknown !== undefined && usage === undefined) this.#builder.push(opaqueEvent(format, "chunk", unknown));
    choices.forEach((choice, position) => {
      if (isJsonObject(choice)) this.#choice(choice, position);
    });
    if (typeof answer.service_tier === "string") this.#serviceTier = answer.service_tier;
    if (usage !== undefined) this.#usage(usage, unknown);
    return this.#builder.take();
  }

  /** Whether there was an answer, and all of it is complete. */
  get isFinished(): boolean {
    return this.#choices.size > 0 && [...this.#choices.values()].every((choice) => choice.isFinished);
  }

  get isEmpty(): boolean {
    return this.#choices.size === 0;
  }

  /** Ends open blocks as incomplete. */
  abandon(): GenerateEvent[] {
    this.#builder.endOpenBlocks({ incomplete: true });
    return this.#builder.take();
  }

  broken(what: string): GatewayError {
    return brokenAnswer(this.#provider, what, this.#isStream);
  }

  #start(answer: JsonObject): void {
    this.#isStarted = true;
    const createdAt = readTime(answer.created);
    const extras: WritableObject = {};
    for (const [key, text] of this.#seen) extras[key] = new RawJson(text);
    this.#builder.push(
      startedEvent(
        {
          upstreamId: this.#id,
          servedModel: typeof answer.model === "string" ? answer.model : "",
          provider: this.#provider,
          systemFingerprint: typeof answer.system_fingerprint === "string" ? answer.system_fingerprint : "",
          ...(createdAt === undefined ? {} : { createdAt }),
        },
        this.#seen.size === 0 ? undefined : { [format]: writeJson(extras) },
      ),
    );
  }

  #choice(choice: JsonObject, position: number): void {
    const index = typeof choice.index === "number" && Number.isInteger(choice.index) ? choice.index : position;
    if (index < 0 || index >= maxCandidates) throw this.broken("its answer has a choice with a senseless index");
    // OpenRouter: an error of the server behind it, inside a choice.
    if (isJsonObject(choice.error)) throw errorInAnswer({ error: choice.error }, this.#provider, this.#isStream);
    if (choice.finish_reason === "error") throw this.broken("it gave up with finish_reason error");
    let reader = this.#choices.get(index);
    if (reader === undefined) {
      const facts = { builder: this.#builder, candidate: index, answerId: () => this.#id, state: this.#state };
      reader = new ChoiceReader(facts);
      this.#choices.set(index, reader);
    }
    // Servers that answer a stream request at once send `message` in their only frame.
    reader.read(choice, this.#isStream && isJsonObject(choice.delta) ? "delta" : "message");
  }

  #usage(usage: JsonObject, unknown: string | undefined): void {
    const reasoningOutside = this.#quirks.reasoningOutsideCompletion ?? false;
    const read = readUsage(usage, { reasoningOutside, serviceTier: this.#serviceTier });
    // Folding keeps the later extras of the answer, so these repeat the earlier ones.
    let extras: Record<string, string> | undefined;
    if (this.#isStream && unknown !== undefined) {
      const all: WritableObject = {};
      for (const [key, text] of this.#seen) all[key] = new RawJson(text);
      extras = { [format]: writeJson(all) };
    }
    this.#builder.push(usageEvent(read, extras));
  }

  /** JSON text of the unknown members that are new or have changed; undefined where there are none. Nulls mean absent. */
  #unknown(answer: JsonObject): string | undefined {
    let fresh: WritableObject | undefined;
    for (const key of Object.keys(answer)) {
      if (known.has(key) || answer[key] === null) continue;
      const text = jsonText(answer[key] as JsonValue);
      if (this.#seen.get(key) === text) continue;
      this.#seen.set(key, text);
      fresh ??= {};
      fresh[key] = answer[key] as Writable;
    }
    return fresh === undefined ? undefined : writeJson(fresh);
  }
}

/**
 * Members of the top level that are read here. `service_tier` is read and yet kept with the unknown ones: it stands on
 * every frame, while usage comes once. `obfuscation` pads the frame it stood in and means nothing on another.
 */
const known: ReadonlySet<string> = new Set([
  "id",
  "object",
  "created",
  "model",
  "choices",
  "usage",
  "system_fingerprint",
  "error",
  "obfuscation",
]);

function readTime(created: JsonValue | undefined): Timestamp | undefined {
  if (typeof created !== "number" || created < 0 || created > maxSeconds) return undefined;
  return create(TimestampSchema, { seconds: BigInt(Math.floor(created)) });
}
