/** How servers that speak Chat Completions differ from OpenAI: plain data, filled in by a vendor's table. */
import type { CacheField } from "./wire.ts";

/** Everything is optional; absent is what OpenAI itself does. */
export interface OpenAiChatQuirks {
  /** Below the base URL; default `/chat/completions`. */
  readonly path?: string;
  /** Name of the output limit; default `max_completion_tokens`. */
  readonly maxTokensField?: "max_completion_tokens" | "max_tokens";
  /** False: refuses `stream_options`; usage then comes unasked or not at all. */
  readonly streamOptions?: boolean;
  /** True: closes the stream after finish_reason without `[DONE]`. */
  readonly endMarkOptional?: boolean;
  /** Field in which assistant messages take earlier reasoning back; absent: nowhere. */
  readonly reasoningField?: "reasoning_content" | "reasoning";
  /** True: refuses assistant messages with tool calls and without that field. */
  readonly reasoningRequired?: boolean;
  /** True: completion_tokens do not count reasoning (xAI). */
  readonly reasoningOutsideCompletion?: boolean;
  /** False: knows no role `developer`. */
  readonly developerRole?: boolean;
  /** False: knows no `strict` in tools. */
  readonly strictTools?: boolean;
  /** False: knows no `custom` tools. */
  readonly customTools?: boolean;
  /** False: knows no `allowed_tools`. */
  readonly allowedTools?: boolean;
  /** False: takes images as data only. */
  readonly imageUrls?: boolean;
  /** False: takes no `input_audio`. */
  readonly inputAudio?: boolean;
  /** False: takes no `file` parts. */
  readonly inputFiles?: boolean;
  /** Kinds of output beside text; default audio alone. */
  readonly outputModalities?: readonly ("audio" | "image")[];
  /** Field that carries the end user's id; absent: it is not sent. */
  readonly sendUser?: "user" | "safety_identifier";
  /** Chat fields that it refuses, top-level or `name`, `refusal`, `annotations` of messages: left out and reported. */
  readonly refusedParameters?: readonly string[];
  /** False: knows no `response_format` json_schema; it is emulated by a forced tool, beside other tools by an instruction. */
  readonly jsonSchema?: boolean;
  /** False: knows no `response_format` json_object either. */
  readonly jsonObject?: boolean;
  /** Field that takes a grammar; absent: none. */
  readonly grammarField?: "response_format" | "guided_grammar";
  /** Sampling fields beyond OpenAI's that it takes. */
  readonly nativeFields?: readonly ("top_k" | "min_p" | "repetition_penalty")[];
  /** Tool-call ids must be exactly so many letters and digits (Mistral: 9). */
  readonly toolIdLength?: number;
  /** Field that marks cacheable prefixes; default `prompt_cache_breakpoint`. */
  readonly cacheField?: CacheField | "none";
  /** True: takes `extra_content.google.thought_signature` on tool calls (Google's compatible endpoint). */
  readonly googleSignatures?: boolean;
  /** True: takes tool calls without results and results without calls. */
  readonly unpairedToolCalls?: boolean;
  /** Most stop texts; default 4. */
  readonly maxStops?: number;
  /** Highest temperature; default 2. */
  readonly maxTemperature?: number;
}
