/** A whole answer as its chunks come, whether of a stream or the one of a buffered reply. */
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { FinishReason } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import { GatewayError } from "../../core/error.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, opaqueEvent, startedEvent, usageEvent } from "../../core/event.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.ts";
import { objectMember, textMember } from "../../core/members.ts";
import { CallState } from "./call-state.ts";
import { CandidateReader } from "./candidate-reader.ts";
import { isErrorRecord, readErrorRecord } from "./read-error.ts";
import { UsageReader } from "./usage.ts";
import { extrasOf, formatName, membersText, unknownMembers } from "./wire.ts";

const knownMembers: ReadonlySet<string> = new Set(["candidates", "usageMetadata", "modelVersion", "responseId", "createTime"]);

/** Most candidates that are believed: the API gives 8. */
const maxCandidates = 128;

export class AnswerReader {
  readonly #builder = new EventBuilder();
  readonly #provider: string;
  readonly #state: CallState;
  readonly #midStream: boolean;
  readonly #usage = new UsageReader();
  readonly #candidates = new Map<number, CandidateReader>();
  readonly #unknown = new Map<string, string>();
  #started = false;
  #lastUsage: Usage | undefined;
  /** Whether there are unknown members that no event holds yet. */
  #unknownIsNew = false;
  #blocked: { readonly rawReason: string; readonly message: string } | undefined;

  /** `midStream` says where a failure inside the answer stands. `state` is what the request's writer left. */
  constructor(provider: string, state: unknown, midStream: boolean) {
    this.#provider = provider;
    this.#state = state instanceof CallState ? state : new CallState();
    this.#midStream = midStream;
  }

  take(): GenerateEvent[] {
    return this.#builder.take();
  }

  /** Throws GatewayError for an error and for what is no chunk. */
  read(chunk: JsonValue): void {
    if (isErrorRecord(chunk)) throw readErrorRecord(chunk, this.#provider, this.#midStream);
    if (!isJsonObject(chunk)) throw unreadable(this.#provider, "an answer that is no JSON object");
    this.#keepUnknown(chunk);
    if (!this.#started) this.#start(chunk);
    this.#readFeedback(chunk);
    this.#readCandidates(chunk);
    this.#readUsage(chunk);
  }

  /** The answer is complete. Throws provider_error where nothing said that it ended. */
  end(): void {
    const candidates = [...this.#candidates].sort(([left], [right]) => left - right);
    const isBlocked = this.#blocked !== undefined && candidates.length === 0;
    if (!isBlocked && !candidates.some(([, candidate]) => candidate.hasFinishReason)) {
      throw unreadable(this.#provider, "an answer that breaks off: no candidate has a finishReason");
    }
    this.#flushUnknown();
    for (const [, candidate] of candidates) candidate.finish();
    if (isBlocked) {
      this.#builder.push(finishedEvent({ reason: FinishReason.CONTENT_FILTER, promptBlocked: true, ...this.#blocked }));
    }
  }

  /** The answer broke off. */
  abandon(): void {
    this.#builder.endOpenBlocks({ incomplete: true });
  }

  #start(chunk: JsonObject): void {
    this.#started = true;
    const createdAt = readTime(textMember(chunk, "createTime"));
    const started = {
      servedModel: textMember(chunk, "modelVersion"),
      upstreamId: textMember(chunk, "responseId"),
      ...(createdAt === undefined ? {} : { createdAt }),
    };
    this.#builder.push(startedEvent(started, extrasOf(this.#unknown)));
    this.#unknownIsNew = false;
  }

  /** Feedback stays among the unknown members too: its ratings are for clients of the same format. */
  #readFeedback(chunk: JsonObject): void {
    const feedback = objectMember(chunk, "promptFeedback");
    const rawReason = feedback === undefined ? "" : textMember(feedback, "blockReason");
    if (feedback !== undefined && rawReason !== "") this.#blocked = { rawReason, message: textMember(feedback, "blockReasonMessage") };
  }

  #readCandidates({ candidates = [] }: JsonObject): void {
    if (candidates === null) return;
    if (!Array.isArray(candidates)) throw unreadable(this.#provider, "candidates that are no array");
    candidates.forEach((candidate, position) => {
      if (!isJsonObject(candidate)) throw unreadable(this.#provider, "a candidate that is no object");
      const index = typeof candidate.index === "number" ? candidate.index : position;
      if (!Number.isInteger(index) || index < 0 || index >= maxCandidates)
        throw unreadable(this.#provider, "a candidate with an impossible index");
      let reader = this.#candidates.get(index);
      if (reader === undefined) {
        reader = new CandidateReader(index, this.#builder, this.#provider, this.#state);
        this.#candidates.set(index, reader);
      }
      reader.read(candidate);
    });
  }

  #readUsage(chunk: JsonObject): void {
    const metadata = objectMember(chunk, "usageMetadata");
    if (metadata === undefined) return;
    this.#usage.read(metadata);
    const usage = this.#usage.usage();
    if (usage === undefined) return;
    this.#lastUsage = usage;
    this.#builder.push(usageEvent(usage, this.#unknownIsNew ? extrasOf(this.#unknown) : {}));
    this.#unknownIsNew = false;
  }

  #keepUnknown(chunk: JsonObject): void {
    for (const [name, text] of unknownMembers(chunk, knownMembers)) {
      if (this.#unknown.get(name) === text) continue;
      this.#unknown.set(name, text);
      this.#unknownIsNew = true;
    }
  }

  /** Members that came after the last usage. */
  #flushUnknown(): void {
    if (!this.#unknownIsNew) return;
    const extras = extrasOf(this.#unknown);
    if (this.#lastUsage !== undefined) this.#builder.push(usageEvent(this.#lastUsage, extras));
    else this.#builder.push(opaqueEvent(formatName, "chunk", membersText(this.#unknown)));
    this.#unknownIsNew = false;
  }
}

/** An answer that cannot be read; the vendor's fault, so another target may be tried. */
export function unreadable(provider: string, what: string): GatewayError {
  return new GatewayError("provider_error", `provider ${provider} sent ${what}`);
}

function readTime(text: string): Timestamp | undefined {
  const milliseconds = text === "" ? Number.NaN : Date.parse(text);
  return Number.isNaN(milliseconds) ? undefined : timestampFromMs(milliseconds);
}
