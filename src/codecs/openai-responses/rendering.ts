/** What the writers of an answer must know of its request. */
import { type Reasoning, ReasoningDisplay } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { DialectRequest } from "../../core/dialect.ts";
import { isJsonObject, type JsonObject, type JsonValue, type Writable, type WritableObject } from "../../core/json.ts";

export interface ResponsesRendering {
  /** Request fields that an answer repeats, as the client wrote them. */
  readonly echo: Readonly<WritableObject>;
  /** The input as the client wrote it. */
  readonly input: JsonValue | undefined;
  /** Whether the first message of the request is its `instructions`, which a continuing call does not inherit. */
  readonly hasInstructions: boolean;
  /** Whether the client wants its answer kept: then all ids are the gateway's own, by which it finds them again. */
  readonly isStored: boolean;
  /** Whether reasoning text is shown as a summary: the client asked for one. */
  readonly summarizes: boolean;
}

/** In the order of the API's own answers. */
const echoed = [
  "background",
  "conversation",
  "instructions",
  "max_output_tokens",
  "max_tool_calls",
  "parallel_tool_calls",
  "previous_response_id",
  "prompt",
  "prompt_cache_key",
  "prompt_cache_retention",
  "reasoning",
  "safety_identifier",
  "store",
  "temperature",
  "text",
  "tool_choice",
  "tools",
  "top_logprobs",
  "top_p",
  "truncation",
  "user",
  "metadata",
] as const;

const none: ResponsesRendering = { echo: {}, input: undefined, hasInstructions: false, isStored: false, summarizes: false };

export function createRendering(body: JsonObject, hasInstructions: boolean, reasoning: Reasoning | undefined): ResponsesRendering {
  const echo: WritableObject = {};
  for (const name of echoed) {
    const value = body[name];
    if (value === undefined || value === null) continue;
    echo[name] = name === "conversation" && !isJsonObject(value) ? { id: value as Writable } : (value as Writable);
  }
  const display = reasoning?.display ?? ReasoningDisplay.UNSPECIFIED;
  return {
    echo,
    input: body.input,
    hasInstructions,
    isStored: body.store !== false,
    summarizes: display !== ReasoningDisplay.UNSPECIFIED && display !== ReasoningDisplay.OMITTED,
  };
}

/** The same request where the upstream keeps the answer, not the gateway: ids are the upstream's own then. */
export function keptUpstream(request: DialectRequest): DialectRequest {
  return { ...request, rendering: { ...renderingOf(request), isStored: false } satisfies ResponsesRendering };
}

/** Of a request that this dialect read. */
export function renderingOf({ rendering }: Pick<DialectRequest, "rendering">): ResponsesRendering {
  return (rendering as ResponsesRendering | undefined) ?? none;
}
