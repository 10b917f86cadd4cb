/** Fields of POST /v1/responses, after the types of the openai package 7.55. */
import { anything, either, flag, integer, list, type Members, number, object, required, string, variants, word } from "../../shape.ts";
import { breakpoint, effort, metadata, openObject, toolName, verbosity } from "./chat-shape.ts";

const status = word("in_progress", "completed", "incomplete");
const opaque = object({}, { open: true });
const inputText = object({ type: anything, text: required(string()), prompt_cache_breakpoint: breakpoint });
const inputImage = object({
  type: anything,
  detail: word("auto", "low", "high", "original"),
  file_id: string(),
  image_url: string(),
  prompt_cache_breakpoint: breakpoint,
});
const inputFile = object({
  type: anything,
  detail: word("auto", "low", "high"),
  file_data: string(),
  file_id: string(),
  file_url: string(),
  filename: string(),
  prompt_cache_breakpoint: breakpoint,
});
const outputText = object({ type: anything, text: required(string()), annotations: list(anything), logprobs: list(anything) });
const refusal = object({ type: anything, refusal: required(string()) });
const content = variants("type", {
  input_text: inputText,
  input_image: inputImage,
  input_file: inputFile,
  output_text: outputText,
  refusal,
});
const message = object({
  type: anything,
  id: string(),
  role: required(word("user", "assistant", "system", "developer")),
  content: required(either(string(), list(content))),
  status,
  phase: word("commentary", "final_answer"),
});
const callId = required(string({ min: 1, max: 64 }));
const reasoningText = object({ type: anything, text: required(string()) });

/** Items of tools that the service runs come back as they were sent. */
const hostedItems = [
  "file_search_call",
  "computer_call",
  "computer_call_output",
  "web_search_call",
  "tool_search_call",
  "tool_search_output",
  "image_generation_call",
  "code_interpreter_call",
  "local_shell_call",
  "local_shell_call_output",
  "shell_call",
  "shell_call_output",
  "apply_patch_call",
  "apply_patch_call_output",
  "mcp_list_tools",
  "mcp_approval_request",
  "mcp_approval_response",
  "mcp_call",
  "compaction",
  "item_reference",
];
const items: Record<string, typeof message> = {
  message,
  function_call: object({
    type: anything,
    id: string(),
    call_id: callId,
    name: required(toolName),
    arguments: required(string()),
    status,
    namespace: string(),
    caller: openObject,
    async: flag,
  }),
  function_call_output: object({
    type: anything,
    id: string(),
    call_id: callId,
    name: string(),
    output: required(either(string(), list(variants("type", { input_text: inputText, input_image: inputImage, input_file: inputFile })))),
    status,
    namespace: string(),
    caller: openObject,
  }),
  custom_tool_call: object({
    type: anything,
    id: string(),
    call_id: callId,
    name: required(toolName),
    input: required(string()),
    namespace: string(),
  }),
  custom_tool_call_output: object({ type: anything, id: string(), call_id: callId, output: required(either(string(), list(anything))) }),
  reasoning: object({
    type: anything,
    id: required(string()),
    summary: required(list(variants("type", { summary_text: reasoningText }))),
    content: list(variants("type", { reasoning_text: reasoningText })),
    encrypted_content: string(),
    status,
  }),
  ...Object.fromEntries(hostedItems.map((type) => [type, opaque])),
};

const hostedTools = [
  "file_search",
  "web_search",
  "web_search_2025_08_26",
  "web_search_preview",
  "web_search_preview_2025_03_11",
  "computer",
  "computer_use_preview",
  "mcp",
  "code_interpreter",
  "image_generation",
  "local_shell",
  "shell",
  "apply_patch",
  "tool_search",
  "namespace",
];
const tools = variants("type", {
  function: object({
    type: anything,
    name: required(toolName),
    parameters: openObject,
    strict: flag,
    description: string(),
    defer_loading: flag,
    async: flag,
    allowed_callers: list(string()),
    output_schema: openObject,
  }),
  custom: object({ type: anything, name: required(toolName), description: string(), format: openObject, defer_loading: flag }),
  ...Object.fromEntries(hostedTools.map((type) => [type, opaque])),
});
const choices: Record<string, typeof message> = {
  function: object({ type: anything, name: required(string()) }),
  custom: object({ type: anything, name: required(string()) }),
  allowed_tools: object({ type: anything, mode: required(word("auto", "required")), tools: required(list(openObject)) }),
  mcp: object({ type: anything, server_label: required(string()), name: string() }),
  ...Object.fromEntries(hostedTools.filter((type) => type !== "mcp").map((type) => [type, object({ type: anything })])),
};
const summary = word("auto", "concise", "detailed");

const members: Members = {
  model: required(string({ min: 1 })),
  input: either(string(), list(variants("type", items, "message"))),
  access_programs: openObject,
  background: flag,
  context_management: list(openObject),
  conversation: either(string(), object({ id: required(string()) })),
  image: openObject,
  include: list(
    word(
      "file_search_call.results",
      "web_search_call.results",
      "web_search_call.action.sources",
      "message.input_image.image_url",
      "computer_call_output.output.image_url",
      "code_interpreter_call.outputs",
      "reasoning.encrypted_content",
      "message.output_text.logprobs",
    ),
  ),
  instructions: string(),
  max_output_tokens: integer(16),
  max_tool_calls: integer(1),
  metadata,
  moderation: openObject,
  parallel_tool_calls: flag,
  previous_response_id: string(),
  prompt: object({ id: required(string()), variables: openObject, version: string() }),
  prompt_cache_key: string(),
  prompt_cache_options: object({ mode: word("implicit", "explicit"), ttl: word("30m", "12h"), prewarm: flag }),
  prompt_cache_retention: word("in_memory", "24h"),
  reasoning: object({ effort, summary, generate_summary: summary, context: word("auto", "current_turn", "all_turns"), mode: string() }),
  safety_identifier: string({ max: 128 }),
  service_tier: word("auto", "default", "flex", "scale", "priority", "fast"),
  store: flag,
  stream: flag,
  stream_options: object({ include_obfuscation: flag }),
  temperature: number(0, 2),
  text: object({
    format: variants("type", {
      text: object({ type: anything }),
      json_object: object({ type: anything }),
      json_schema: object({ type: anything, name: required(toolName), schema: required(openObject), description: string(), strict: flag }),
    }),
    verbosity,
  }),
  tool_choice: either(word("none", "auto", "required"), variants("type", choices)),
  tools: list(tools, 0, 128),
  top_logprobs: integer(0, 20),
  top_p: number(0, 1),
  truncation: word("auto", "disabled"),
  user: string(),
};
export const responsesShape = object(members);

/** POST /v1/responses/input_tokens takes what counts, and nothing else. */
const counted = ["conversation", "input", "instructions", "model", "parallel_tool_calls", "previous_response_id", "reasoning"];
const countedToo = ["text", "tool_choice", "tools", "truncation"];
export const inputTokensShape = object({
  ...Object.fromEntries([...counted, ...countedToo].map((name) => [name, members[name] ?? anything])),
  personality: string(),
});
