/** What is seen of one call while it runs. Keeps no more of its content than its retention allows. */
import { BlockKind, type Finished, type Started, type ToolCall } from "../../gen/dragoman/v1/generate_pb.ts";
import type { Settled } from "../../gen/dragoman/v1/usage_pb.ts";
import type { Call } from "../core/call.ts";
import type { GatewayError } from "../core/error.ts";
import type { GenerateEvent } from "../core/event.ts";
import { Fold } from "../core/fold.ts";
import type { CallRecorder, LoggableRequest } from "../core/request-log.ts";
import type { Retention } from "../core/request-log-store.ts";
import { summaryWindow } from "./summary.ts";

/** A call that is over, as it waits to be written. */
export interface EndedCall {
  readonly call: Call;
  /** Undefined where it was refused before anybody could read it. */
  readonly request: LoggableRequest | undefined;
  readonly model: string;
  readonly retention: Retention;
  readonly settled: Settled | undefined;
  readonly error: GatewayError | undefined;
  /** When everything was known of it, in milliseconds since 1970. */
  readonly endedAt: number;
  /** Until its client had the answer, or left. */
  readonly durationMs: number;
  readonly seen: Seen;
}

export interface Seen {
  readonly started: Started | undefined;
  readonly finished: Finished | undefined;
  /** Who answered, where no event says it. */
  readonly served:
    | { readonly provider: string; readonly model: string; readonly usedFallback: boolean; readonly replayed: boolean }
    | undefined;
  readonly toolCalls: readonly ToolCall[];
  /** The beginning of the first candidate's text. */
  readonly text: string;
  /** Everything, with retention full. */
  readonly answer: Fold | undefined;
  /** Whether the answer went on after what `answer` holds. */
  readonly isCut: boolean;
  /** Characters and bytes that `answer` holds, about. */
  readonly answerLength: number;
}

export const nothingSeen: Seen = {
  started: undefined,
  finished: undefined,
  served: undefined,
  toolCalls: [],
  text: "",
  answer: undefined,
  isCut: false,
  answerLength: 0,
};

export interface RecorderOptions {
  readonly retention: Retention;
  /** Most characters of the answer that are kept, with retention full. */
  readonly maxAnswerLength: number;
  end(seen: Seen, settled: Settled | undefined, error: GatewayError | undefined, durationMs: number): void;
}

/** What is said of who answered by replies of operations that answer once. */
interface Answered {
  readonly provider: string;
  readonly servedModel: string;
  readonly usedFallback?: boolean;
  readonly replayed?: boolean;
}

export class Recorder implements CallRecorder, Seen {
  started: Started | undefined;
  finished: Finished | undefined;
  served: Seen["served"];
  text = "";
  isCut = false;
  answerLength = 0;
  readonly toolCalls: ToolCall[] = [];
  readonly answer: Fold | undefined;
  readonly #options: RecorderOptions;
  /** Blocks of the first candidate that are text for people. */
  readonly #textBlocks = new Set<number>();
  #isOver = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.answer = options.retention === "full" ? new Fold() : undefined;
  }

  see(events: readonly GenerateEvent[]): void {
    const keepsContent = this.#options.retention !== "none";
    for (const event of events) {
      const { case: kind, value } = event.event;
      if (kind === "blockDelta") {
        if (keepsContent) this.#keep(event);
        continue;
      }
      if (kind === "started") this.started = value;
      else if (kind === "blockStarted") {
        if (value.toolCall !== undefined) this.toolCalls.push(value.toolCall);
        if (value.candidate === 0 && (value.kind === BlockKind.TEXT || value.kind === BlockKind.REFUSAL)) this.#textBlocks.add(value.index);
      } else if (kind === "finished" && (this.finished === undefined || value.candidate === 0)) this.finished = value;
      if (!this.isCut) this.answer?.add(event);
    }
  }

  #keep(event: GenerateEvent): void {
    if (event.event.case !== "blockDelta") return;
    const { candidate, index, delta } = event.event.value;
    if (candidate === 0 && delta.case === "text" && this.text.length < summaryWindow && this.#textBlocks.has(index))
      this.text += delta.value;
    if (this.answer === undefined || this.isCut) return;
    this.answerLength += delta.value?.length ?? 0;
    if (this.answerLength > this.#options.maxAnswerLength) this.isCut = true;
    this.answer.add(event);
  }

  answered({ provider, servedModel, usedFallback = false, replayed = false }: Answered): void {
    this.served = { provider, model: servedModel, usedFallback, replayed };
  }

  end(settled: Settled | undefined, error: GatewayError | undefined, durationMs: number): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.end(this, settled, error, durationMs);
  }
}
