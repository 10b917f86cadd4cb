/** Fields of POST /v2/chat and /v2/embed, after the types of the cohere-ai package 8.1. */
import { anything, either, flag, integer, list, number, object, required, string, variants, word } from "../../shape.ts";

const openObject = object({}, { open: true });
const textPart = object({ type: anything, text: required(string({ min: 1 })) });
const imagePart = object({
  type: anything,
  image_url: required(object({ url: required(string({ pattern: /^(?:https?:|data:image\/)/ })), detail: word("auto", "low", "high") })),
});
const document = object({ data: required(either(string(), openObject)), id: string() });
const citation = object({
  start: integer(0),
  end: integer(0),
  text: string(),
  sources: list(openObject),
  content_index: integer(0),
  type: word("TEXT_CONTENT", "THINKING_CONTENT", "PLAN"),
});
const toolName = string({ min: 1, max: 64, pattern: /^[a-zA-Z0-9_]+$/ });
const toolCall = object({
  id: required(string({ min: 1 })),
  type: required(word("function")),
  function: required(object({ name: required(toolName), arguments: required(string()) })),
});

const messages = variants("role", {
  system: object({ role: anything, content: required(either(string({ min: 1 }), list(variants("type", { text: textPart }), 1))) }),
  user: object({
    role: anything,
    content: required(either(string({ min: 1 }), list(variants("type", { text: textPart, image_url: imagePart }), 1))),
  }),
  assistant: object({
    role: anything,
    content: either(
      string(),
      list(variants("type", { text: textPart, thinking: object({ type: anything, thinking: required(string()) }) })),
    ),
    tool_calls: list(toolCall, 1),
    tool_plan: string(),
    citations: list(citation),
  }),
  tool: object({
    role: anything,
    tool_call_id: required(string({ min: 1 })),
    content: required(
      either(
        string(),
        list(
          variants("type", {
            text: object({ type: anything, text: required(string()) }),
            document: object({ type: anything, document: required(document) }),
          }),
        ),
      ),
    ),
  }),
});

export const chatShape = object({
  model: required(string({ min: 1 })),
  messages: required(list(messages, 1)),
  stream: flag,
  tools: list(
    object({
      type: required(word("function")),
      function: required(object({ name: required(toolName), description: string(), parameters: required(openObject) })),
    }),
  ),
  strict_tools: flag,
  documents: list(either(string(), document)),
  citation_options: object({ mode: word("ENABLED", "DISABLED", "FAST", "ACCURATE", "OFF") }),
  response_format: variants("type", { text: object({ type: anything }), json_object: object({ type: anything, json_schema: openObject }) }),
  safety_mode: word("CONTEXTUAL", "STRICT", "OFF"),
  max_tokens: integer(0),
  stop_sequences: list(string(), 0, 5),
  temperature: number(0),
  seed: integer(0),
  frequency_penalty: number(0, 1),
  presence_penalty: number(0, 1),
  k: number(0, 500),
  p: number(0.01, 0.99),
  logprobs: flag,
  tool_choice: word("REQUIRED", "NONE"),
  thinking: object({ type: required(word("enabled", "disabled")), token_budget: integer(1) }),
  priority: integer(0, 999),
});

export const embedShape = object({
  model: required(string({ min: 1 })),
  texts: list(string(), 0, 96),
  images: list(string({ pattern: /^data:image\// })),
  inputs: list(
    object({
      content: required(
        list(
          variants("type", {
            text: textPart,
            image_url: object({
              type: anything,
              image_url: required(object({ url: required(string({ min: 1 })), detail: word("auto", "low", "high") })),
            }),
          }),
          1,
        ),
      ),
    }),
    0,
    96,
  ),
  input_type: required(word("search_document", "search_query", "classification", "clustering", "image")),
  max_tokens: integer(1),
  output_dimension: integer(),
  embedding_types: list(word("float", "int8", "uint8", "binary", "ubinary", "base64")),
  truncate: word("NONE", "START", "END"),
  priority: integer(0, 999),
});
