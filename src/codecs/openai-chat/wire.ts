/** The words of OpenAI's Chat Completions wire format (openai 7.55, resources/chat/completions) and what they are in the core. */
import { FinishReason, HostedToolKind, Modality, Role, ToolChoiceMode } from "../../../gen/dragoman/v1/generate_pb.ts";

export const format = "openai-chat";
export const path = "/chat/completions";

/** The top-level field that stands for the hosted web search tool. */
export const webSearchField = "web_search_options";

export const roles: Readonly<Record<string, Role>> = {
  system: Role.SYSTEM,
  developer: Role.DEVELOPER,
  user: Role.USER,
  assistant: Role.ASSISTANT,
  tool: Role.TOOL,
  function: Role.TOOL,
};

export const modalities: Readonly<Record<string, Modality>> = {
  text: Modality.TEXT,
  audio: Modality.AUDIO,
  image: Modality.IMAGE,
};

/** `any` is Mistral's word for required. */
export const toolChoiceModes: Readonly<Record<string, ToolChoiceMode>> = {
  none: ToolChoiceMode.NONE,
  auto: ToolChoiceMode.AUTO,
  required: ToolChoiceMode.REQUIRED,
  any: ToolChoiceMode.REQUIRED,
};

export const finishReasons: Readonly<Record<string, FinishReason>> = {
  stop: FinishReason.STOP,
  length: FinishReason.LENGTH,
  tool_calls: FinishReason.TOOL_CALLS,
  function_call: FinishReason.TOOL_CALLS,
  content_filter: FinishReason.CONTENT_FILTER,
};

/** Reasons without a word of their own here get the nearest one (contract.md 5); `stop` is the neutral one. */
const finishWords: Readonly<Record<number, string>> = {
  [FinishReason.LENGTH]: "length",
  [FinishReason.CONTEXT_EXCEEDED]: "length",
  [FinishReason.TIME_LIMIT]: "length",
  [FinishReason.TOOL_CALLS]: "tool_calls",
  [FinishReason.CONTENT_FILTER]: "content_filter",
  [FinishReason.REFUSAL]: "content_filter",
  [FinishReason.RECITATION]: "content_filter",
  [FinishReason.GUARDRAIL]: "content_filter",
};

/** A refusal in words is no filter: the client reads the words. */
export function finishWord(reason: FinishReason, refusedInWords: boolean): string {
  if (reason === FinishReason.REFUSAL && refusedInWords) return "stop";
  return finishWords[reason] ?? "stop";
}

export const hostedKinds: Readonly<Record<string, HostedToolKind>> = {
  web_search: HostedToolKind.WEB_SEARCH,
  web_search_preview: HostedToolKind.WEB_SEARCH,
  file_search: HostedToolKind.FILE_SEARCH,
  code_interpreter: HostedToolKind.CODE_EXECUTION,
  mcp: HostedToolKind.MCP,
};

/** Lifetimes of cache markers in seconds, by the word of the field that carries them. */
export const cacheTtls = {
  prompt_cache_breakpoint: { "30m": 1800, "12h": 43_200 },
  cache_control: { "5m": 300, "1h": 3600 },
} as const satisfies Record<string, Readonly<Record<string, number>>>;
export type CacheField = keyof typeof cacheTtls;
