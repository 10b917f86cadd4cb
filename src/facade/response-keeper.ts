/**
 * Keeps one answer of OpenAI Responses for its caller: while it is streamed it can be looked at and cancelled, and when it
 * is over it is stored, so that it can be retrieved and continued.
 */
import { create } from "@bufbuild/protobuf";
import { type CompleteResponse, CompleteResponseSchema, type Message, type Started } from "../../gen/dragoman/v1/generate_pb.ts";
import type { AnswerFacts, Dialect, DialectRequest } from "../core/dialect.ts";
import { GatewayError } from "../core/error.ts";
import type { EventBatch } from "../core/event.ts";
import { Fold } from "../core/fold.ts";
import { isJsonObject, type JsonObject, parseJson, upstreamJsonLimits, type WritableObject, writeJson } from "../core/json.ts";
import type { Logger } from "../core/log.ts";
import type { ResponseStore } from "../core/response-store.ts";
import type { GenerateObserver } from "./generate.ts";
import type { RunningResponse, RunningResponses } from "./running-responses.ts";

export interface ResponseKeeperOptions {
  readonly dialect: Dialect;
  readonly read: DialectRequest;
  readonly answerFacts: AnswerFacts;
  readonly tenant: string;
  readonly owner: string;
  /** What was said until now, without the instructions, which hold for one answer only. */
  readonly conversation: readonly Message[];
  readonly inputItemsJson: readonly string[];
  readonly store: ResponseStore;
  readonly running: RunningResponses;
  readonly log: Logger;
}

type Ending = { readonly status: "cancelled" } | { readonly status: "failed"; readonly error: WritableObject };

export class ResponseKeeper implements GenerateObserver {
  readonly #options: ResponseKeeperOptions;
  readonly #stop = new AbortController();
  readonly #fold = new Fold();
  readonly #over = Promise.withResolvers<void>();
  /** Of a stream that has begun: takes it out of those that run. */
  #leave: (() => void) | undefined;
  #discarded = false;

  constructor(options: ResponseKeeperOptions) {
    this.#options = options;
  }

  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  see({ events }: EventBatch): Promise<void> | undefined {
    this.#fold.addAll(events);
    const [first] = events;
    if (this.#leave === undefined && first?.event.case === "started") this.#begin(first.event.value);
    // The client learns that its answer is complete when it is stored, and not before.
    return events.at(-1)?.event.case === "settled" ? this.#finish() : undefined;
  }

  async keep(json: string, answer: CompleteResponse): Promise<void> {
    const message = answer.candidates[0]?.message;
    // A plan has no answer.
    if (message !== undefined) await this.#put(readObject(json), [...this.#options.conversation, message]);
  }

  async fail(error: GatewayError): Promise<void> {
    // Where nothing was sent, nobody knows an id to ask for.
    if (this.#leave === undefined) return;
    const { dialect, answerFacts, read } = this.#options;
    const ending: Ending =
      error.reason === "cancelled"
        ? { status: "cancelled" }
        : { status: "failed", error: { code: "server_error", message: error.message } };
    const sofar = readObject(dialect.writeResponse(this.#fold.response(), answerFacts, read));
    await this.#put({ ...sofar, incomplete_details: null, ...ending } as JsonObject, []);
    this.#end();
  }

  #begin(started: Started): void {
    const { dialect, answerFacts, read, tenant, owner, inputItemsJson, running } = this.#options;
    const empty = readObject(dialect.writeResponse(create(CompleteResponseSchema, { started }), answerFacts, read));
    const json = writeJson({
      ...(empty as WritableObject),
      status: "in_progress",
      incomplete_details: null,
      output: [],
      usage: null,
    });
    const response: RunningResponse = {
      id: idOf(empty),
      tenant,
      owner,
      inputItemsJson,
      json: () => json,
      cancel: () => {
        this.#stop.abort(new GatewayError("cancelled", "the response was cancelled"));
        return this.#over.promise;
      },
      discard: () => {
        this.#discarded = true;
        this.#leave?.();
      },
    };
    this.#leave = running.add(response);
  }

  async #finish(): Promise<void> {
    const { dialect, answerFacts, read } = this.#options;
    const answer = this.#fold.response();
    await this.keep(dialect.writeResponse(answer, answerFacts, read), answer);
    this.#end();
  }

  #end(): void {
    this.#leave?.();
    this.#over.resolve();
  }

  /** A store that fails costs the caller the stored answer, not the answer. */
  async #put(response: JsonObject, messages: readonly Message[]): Promise<void> {
    const { store, tenant, owner, answerFacts, inputItemsJson, log } = this.#options;
    if (this.#discarded) return;
    const createdAt = answerFacts.created * 1_000;
    try {
      await store.put({
        id: idOf(response),
        tenant,
        owner,
        createdAt,
        messages,
        responseJson: writeJson(response as WritableObject),
        inputItemsJson,
      });
    } catch (error) {
      log.error("an answer could not be stored", { error });
    }
  }
}

function readObject(json: string): JsonObject {
  const value = parseJson(json, upstreamJsonLimits);
  return isJsonObject(value) ? value : {};
}

function idOf({ id }: JsonObject): string {
  return typeof id === "string" ? id : "";
}
