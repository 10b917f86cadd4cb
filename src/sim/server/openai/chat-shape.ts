/** Fields of POST /v1/chat/completions, after the types of the openai package 7.55. */
import { anything, either, flag, integer, list, map, number, object, required, string, variants, word } from "../../shape.ts";

export const effort = word("none", "minimal", "low", "medium", "high", "xhigh", "max");
export const verbosity = word("low", "medium", "high");
export const toolName = string({ min: 1, max: 64, pattern: /^[a-zA-Z0-9_-]+$/ });
export const openObject = object({}, { open: true });
export const metadata = map(string({ max: 512 }), 16);
export const breakpoint = object({ mode: required(word("explicit")), ttl: word("30m", "12h") });

const textPart = object({ type: anything, text: required(string()), prompt_cache_breakpoint: breakpoint });
const refusalPart = object({ type: anything, refusal: required(string()) });
const userParts = variants("type", {
  text: textPart,
  image_url: object({
    type: anything,
    image_url: required(object({ url: required(string({ min: 1 })), detail: word("auto", "low", "high", "original") })),
    prompt_cache_breakpoint: breakpoint,
  }),
  input_audio: object({
    type: anything,
    input_audio: required(object({ data: required(string()), format: required(word("wav", "mp3")) })),
    prompt_cache_breakpoint: breakpoint,
  }),
  file: object({
    type: anything,
    file: required(object({ file_data: string(), file_id: string(), filename: string() })),
    prompt_cache_breakpoint: breakpoint,
  }),
});
const textParts = list(variants("type", { text: textPart }), 1);
const toolCalls = variants("type", {
  function: object({
    id: required(string()),
    type: anything,
    function: required(object({ name: required(toolName), arguments: required(string()) })),
  }),
  custom: object({
    id: required(string()),
    type: anything,
    custom: required(object({ name: required(toolName), input: required(string()) })),
  }),
});
const instructions = object({ role: anything, content: required(either(string(), textParts)), name: string() });

const messages = variants("role", {
  system: instructions,
  developer: instructions,
  user: object({ role: anything, content: required(either(string(), list(userParts, 1))), name: string() }),
  assistant: object({
    role: anything,
    content: either(string(), list(variants("type", { text: textPart, refusal: refusalPart }))),
    name: string(),
    refusal: string(),
    audio: object({ id: required(string()) }),
    function_call: object({ name: required(string()), arguments: required(string()) }),
    tool_calls: list(toolCalls, 1, 128),
    // Sent back by answers; the service takes and ignores it.
    annotations: list(anything),
  }),
  tool: object({ role: anything, content: required(either(string(), textParts)), tool_call_id: required(string()) }),
  function: object({ role: anything, content: required(string()), name: required(string()) }),
});

const tools = variants("type", {
  function: object({
    type: anything,
    function: required(object({ name: required(toolName), description: string(), parameters: openObject, strict: flag })),
  }),
  custom: object({
    type: anything,
    custom: required(
      object({
        name: required(toolName),
        description: string(),
        format: variants("type", {
          text: object({ type: anything }),
          grammar: object({
            type: anything,
            grammar: required(object({ definition: required(string()), syntax: required(word("lark", "regex")) })),
          }),
        }),
      }),
    ),
  }),
});

const toolChoice = either(
  word("none", "auto", "required"),
  variants("type", {
    function: object({ type: anything, function: required(object({ name: required(string()) })) }),
    custom: object({ type: anything, custom: required(object({ name: required(string()) })) }),
    allowed_tools: object({
      type: anything,
      allowed_tools: required(object({ mode: required(word("auto", "required")), tools: required(list(openObject)) })),
    }),
  }),
);

const responseFormat = variants("type", {
  text: object({ type: anything }),
  json_object: object({ type: anything }),
  json_schema: object({
    type: anything,
    json_schema: required(object({ name: required(toolName), description: string(), schema: openObject, strict: flag })),
  }),
});

export const chatShape = object({
  model: required(string()),
  messages: required(list(messages, 1)),
  audio: object({ format: required(word("wav", "aac", "mp3", "flac", "opus", "pcm16")), voice: required(either(string(), openObject)) }),
  frequency_penalty: number(-2, 2),
  function_call: either(word("none", "auto"), object({ name: required(string()) })),
  functions: list(object({ name: required(toolName), description: string(), parameters: openObject }), 1, 128),
  logit_bias: map(number(-100, 100)),
  logprobs: flag,
  max_completion_tokens: integer(1),
  max_tokens: integer(1),
  metadata,
  modalities: list(word("text", "audio")),
  moderation: openObject,
  n: integer(1, 128),
  parallel_tool_calls: flag,
  prediction: object({ type: required(word("content")), content: required(either(string(), textParts)) }),
  presence_penalty: number(-2, 2),
  prompt_cache_key: string(),
  prompt_cache_options: object({ mode: word("implicit", "explicit"), ttl: word("30m") }),
  prompt_cache_retention: word("in_memory", "24h"),
  reasoning_effort: effort,
  response_format: responseFormat,
  safety_identifier: string({ max: 128 }),
  seed: integer(),
  service_tier: word("auto", "default", "flex", "scale", "priority", "fast"),
  stop: either(string(), list(string(), 1, 4)),
  store: flag,
  stream: flag,
  stream_options: object({ include_usage: flag, include_obfuscation: flag }),
  temperature: number(0, 2),
  tool_choice: toolChoice,
  tools: list(tools, 1, 128),
  top_logprobs: integer(0, 20),
  top_p: number(0, 1),
  user: string(),
  verbosity,
  web_search_options: openObject,
});
