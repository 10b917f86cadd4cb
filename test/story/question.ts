/** A question put to every client, and what any of them made of the answer: one shape for all protocols. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { GenerateRequest, GenerateRequestSchema } from "../../gen/dragoman/v1/generate_pb.ts";

/** Body of a chat completion, without `stream`. */
export interface ChatBody {
  readonly model: string;
  readonly messages: readonly unknown[];
  readonly [field: string]: unknown;
}

/** What `create(GenerateRequestSchema, ...)` takes, as a literal. */
export type CoreRequest = Exclude<MessageInitShape<typeof GenerateRequestSchema>, GenerateRequest>;

export interface Question {
  readonly chat: ChatBody;
  readonly core: CoreRequest;
}

export interface AnswerCandidate {
  readonly text: string;
  readonly reasoning: string;
  readonly calls: readonly { readonly name: string; readonly arguments: unknown }[];
  /** In the words of Chat Completions. */
  readonly finish: string;
}

export interface Answer {
  readonly candidates: readonly AnswerCandidate[];
  readonly usage: { readonly input: number; readonly output: number; readonly cached: number | undefined } | undefined;
  /** Present where the call failed; `candidates` then hold what had come before. */
  readonly failure: Failure | undefined;
}

export interface Failure {
  /** As ErrorInfo and x-dragoman-error-reason have it, in lower case; empty where the protocol's stream cannot say. */
  readonly reason: string;
  readonly message: string;
}

export interface Client {
  readonly name: string;
  /** Asks with streaming. Never throws for a failure of the call. */
  ask(question: Question): Promise<Answer>;
  close?(): Promise<void>;
}
