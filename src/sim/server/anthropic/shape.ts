/** Fields of POST /v1/messages, after the types of @anthropic-ai/sdk 1.11. */
import {
  anything,
  either,
  flag,
  integer,
  list,
  type Members,
  number,
  object,
  required,
  type Shape,
  string,
  variants,
  word,
} from "../../shape.ts";

const openObject = object({}, { open: true });
const cacheControl = object({ type: required(word("ephemeral")), ttl: word("5m", "1h") });
const id = required(string({ min: 1, pattern: /^[a-zA-Z0-9_-]+$/ }));
const citationsConfig = object({ enabled: flag });

const text = object({ type: anything, text: required(string()), cache_control: cacheControl, citations: list(openObject) });
const imageSource = variants("type", {
  base64: object({
    type: anything,
    data: required(string({ min: 1, pattern: /^[A-Za-z0-9+/]+={0,2}$/ })),
    media_type: required(word("image/jpeg", "image/png", "image/gif", "image/webp")),
  }),
  url: object({ type: anything, url: required(string({ min: 1 })) }),
  file: object({ type: anything, file_id: required(string()) }),
});
const image = object({ type: anything, source: required(imageSource), cache_control: cacheControl, transformations: openObject });
const documentSource = variants("type", {
  base64: object({ type: anything, data: required(string({ min: 1 })), media_type: required(word("application/pdf")) }),
  text: object({ type: anything, data: required(string()), media_type: required(word("text/plain")) }),
  content: object({ type: anything, content: required(either(string(), list(variants("type", { text, image })))) }),
  url: object({ type: anything, url: required(string({ min: 1 })) }),
  file: object({ type: anything, file_id: required(string()) }),
});
const document = object({
  type: anything,
  source: required(documentSource),
  cache_control: cacheControl,
  citations: citationsConfig,
  context: string(),
  title: string(),
});
const searchResult = object({
  type: anything,
  content: required(list(variants("type", { text }), 1)),
  source: required(string()),
  title: required(string()),
  cache_control: cacheControl,
  citations: citationsConfig,
});
/** Blocks of tools that the vendor runs come back as they were sent. */
const opaque = object({}, { open: true });

const blocks = variants("type", {
  text,
  image,
  document,
  search_result: searchResult,
  thinking: object({ type: anything, thinking: required(string()), signature: required(string()) }),
  redacted_thinking: object({ type: anything, data: required(string()) }),
  tool_use: object({
    type: anything,
    id,
    name: required(string({ min: 1, max: 200, pattern: /^[a-zA-Z0-9_-]{1,200}$/ })),
    input: required(openObject),
    cache_control: cacheControl,
    caller: openObject,
    toolset_name: string(),
  }),
  tool_result: object({
    type: anything,
    tool_use_id: id,
    content: either(
      string(),
      list(variants("type", { text, image, document, search_result: searchResult, tool_reference: opaque, browser_state: opaque })),
    ),
    is_error: flag,
    cache_control: cacheControl,
    toolset_name: string(),
  }),
  server_tool_use: opaque,
  web_search_tool_result: opaque,
  web_fetch_tool_result: opaque,
  code_execution_tool_result: opaque,
  bash_code_execution_tool_result: opaque,
  text_editor_code_execution_tool_result: opaque,
  tool_search_tool_result: opaque,
  container_upload: opaque,
});
const message = object({ role: required(word("user", "assistant")), content: required(either(string(), list(blocks))) });
const midSystemMessage = object({ role: required(word("user", "assistant", "system")), content: required(either(string(), list(blocks))) });

const customTool = object({
  type: string(),
  name: required(string({ min: 1, max: 128, pattern: /^[a-zA-Z0-9_-]{1,128}$/ })),
  description: string(),
  input_schema: required(object({ type: required(word("object")) }, { open: true })),
  cache_control: cacheControl,
  strict: flag,
  allowed_callers: list(string()),
  defer_loading: flag,
  eager_input_streaming: flag,
  input_examples: list(openObject),
});
const hostedTools = [
  "bash_20250124",
  "browser_toolset_20260801",
  "code_execution_20250522",
  "code_execution_20250825",
  "code_execution_20260120",
  "code_execution_20260521",
  "computer_toolset_20260801",
  "memory_20250818",
  "text_editor_20250124",
  "text_editor_20250429",
  "text_editor_20250728",
  "tool_search_tool_bm25_20251119",
  "tool_search_tool_regex_20251119",
  "web_fetch_20250910",
  "web_fetch_20260209",
  "web_fetch_20260309",
  "web_fetch_20260318",
  "web_search_20250305",
  "web_search_20260209",
  "web_search_20260318",
];
const tools = variants("type", { custom: customTool, ...Object.fromEntries(hostedTools.map((type) => [type, opaque])) }, "custom");

const parallel = { disable_parallel_tool_use: flag };
const display = word("summarized", "omitted");

/** What counting takes, too. */
const counted: Members = {
  model: required(string({ min: 1, max: 256 })),
  cache_control: cacheControl,
  output_config: object({
    effort: word("low", "medium", "high", "xhigh", "max"),
    format: variants("type", { json_schema: object({ type: anything, schema: required(openObject) }) }),
  }),
  speed: word("standard", "fast"),
  system: either(string(), list(variants("type", { text }))),
  thinking: variants("type", {
    enabled: object({ type: anything, budget_tokens: required(integer(1024)), display }),
    disabled: object({ type: anything }),
    adaptive: object({ type: anything, display }),
    between_tools: object({ type: anything }),
  }),
  tool_choice: variants("type", {
    auto: object({ type: anything, ...parallel }),
    any: object({ type: anything, ...parallel }),
    tool: object({ type: anything, name: required(string()), ...parallel }),
    none: object({ type: anything }),
  }),
  tools: list(tools),
  user_profile_id: string(),
  workspace_id: string(),
};

const rest: Members = {
  max_tokens: required(integer(0)),
  container: either(string(), openObject),
  diagnostics: openObject,
  inference_geo: string(),
  metadata: object({ user_id: string({ max: 256 }) }),
  service_tier: word("auto", "standard_only"),
  stop_sequences: list(string()),
  stream: flag,
  // No longer in the SDK's types; older models still take them.
  temperature: number(0, 1),
  top_p: number(0, 1),
  top_k: integer(0),
};

const messagesOf = (one: Shape) => required(list(one));
export const messagesShape = object({ ...counted, messages: messagesOf(message), ...rest });
export const midSystemShape = object({ ...counted, messages: messagesOf(midSystemMessage), ...rest });
export const countTokensShape = object({ ...counted, messages: messagesOf(message) });
