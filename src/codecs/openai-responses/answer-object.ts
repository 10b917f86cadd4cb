/** The `response` object: the whole of a buffered answer, and part of the first and last events of a streamed one. */
import { type Finished, FinishReason, type Started } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Usage } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { AnswerFacts, DialectRequest } from "../../core/dialect.ts";
import { mergeExtras, type Writable, type WritableObject } from "../../core/json.ts";
import { serviceTiers, wordFor } from "../../core/openai-words.ts";
import { renderingOf } from "./rendering.ts";
import { writeUsage } from "./usage.ts";

export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

const prefix = "resp_";

/** The id that the client sees: the gateway's own where it keeps the answer, or where the provider's has another shape. */
function answerId(started: Started | undefined, facts: AnswerFacts, request: DialectRequest): string {
  const upstreamId = started?.upstreamId ?? "";
  const isKept = !renderingOf(request).isStored && upstreamId.startsWith(prefix);
  return isKept ? upstreamId : `${prefix}${facts.generationId}`;
}

export function answerHead(started: Started | undefined, facts: AnswerFacts, request: DialectRequest): AnswerHead {
  return {
    id: answerId(started, facts, request),
    created: started?.createdAt === undefined ? facts.created : Number(started.createdAt.seconds),
    model: started?.servedModel || started?.requestedModel || request.generate.model,
  };
}

export type Status = "in_progress" | "completed" | "incomplete" | "failed";

/** Why an answer is incomplete, in the API's words; absent: it is complete. */
const incompleteReasons: Readonly<Record<number, string>> = {
  [FinishReason.LENGTH]: "max_output_tokens",
  [FinishReason.CONTEXT_EXCEEDED]: "max_output_tokens",
  [FinishReason.TIME_LIMIT]: "max_output_tokens",
  [FinishReason.CONTENT_FILTER]: "content_filter",
  [FinishReason.RECITATION]: "content_filter",
  [FinishReason.GUARDRAIL]: "content_filter",
  // The API has no word for these, and clients want one.
  [FinishReason.MALFORMED]: "other",
  [FinishReason.OTHER]: "other",
};

/** A refusal in words is an answer; one without is a filter's. */
export function incompleteReason(finished: Finished | undefined, refusedInWords: boolean): string | undefined {
  const reason = finished?.reason ?? FinishReason.UNSPECIFIED;
  if (reason === FinishReason.REFUSAL && !refusedInWords) return "content_filter";
  return incompleteReasons[reason];
}

/** What an answer repeats where the request does not say it. */
export const defaults: Readonly<WritableObject> = {
  background: false,
  instructions: null,
  max_output_tokens: null,
  max_tool_calls: null,
  parallel_tool_calls: true,
  previous_response_id: null,
  reasoning: { effort: null, summary: null },
  store: true,
  temperature: null,
  text: { format: { type: "text" } },
  tool_choice: "auto",
  tools: [],
  top_logprobs: null,
  top_p: null,
  truncation: "disabled",
  user: null,
  metadata: {},
};

export interface AnswerContent {
  readonly status: Status;
  readonly output: readonly Writable[];
  readonly usage?: Usage | undefined;
  readonly incompleteReason?: string | undefined;
  readonly error?: { readonly code: string; readonly message: string } | undefined;
  /** JSON texts of the provider's own fields, the latest first. */
  readonly extras: readonly (string | undefined)[];
}

export function writeAnswer(head: AnswerHead, content: AnswerContent, request: DialectRequest): WritableObject {
  const { status, output, usage, error } = content;
  const incomplete = content.incompleteReason === undefined ? null : { reason: content.incompleteReason };
  const written: WritableObject = {
    id: head.id,
    object: "response",
    created_at: head.created,
    status,
    error: error === undefined ? null : { ...error },
    incomplete_details: incomplete,
    model: head.model,
    output,
    usage: usage === undefined ? null : writeUsage(usage),
    // A copy, for extras are merged into it: the rendering belongs to the whole call.
    ...copyOf(renderingOf(request).echo),
  };
  const tier = wordFor(serviceTiers, usage?.serviceTier);
  if (tier !== undefined) written.service_tier = tier;
  for (const extras of content.extras) mergeExtras(written, extras);
  for (const name of Object.keys(defaults)) written[name] ??= defaults[name];
  return written;
}

/** One level deep is enough: only `text` and `reasoning` are objects that a provider completes. */
function copyOf(echo: Readonly<WritableObject>): WritableObject {
  const copy: WritableObject = { ...echo };
  for (const name of ["text", "reasoning"]) {
    const value = copy[name];
    if (typeof value === "object" && value !== null) copy[name] = { ...(value as WritableObject) };
  }
  return copy;
}
