/** The words of OpenAI's Responses wire format (openai 7.55, resources/responses) and what they are in the core. */
import { HostedToolKind, ReasoningDisplay, Role, ToolChoiceMode } from "../../../gen/dragoman/v1/generate_pb.ts";

export const format = "openai-responses";
export const path = "/responses";

/** Family of `encrypted_content`. */
export const signatureFamily = "openai";

/** Members of `include` that are modelled. */
export const includeEncrypted = "reasoning.encrypted_content";
export const includeLogprobs = "message.output_text.logprobs";

/** Key under which a part's extras hold the unknown fields of the whole message item it came in, such as `phase`. */
export const itemExtras = "item";

export const roles: Readonly<Record<string, Role>> = {
  system: Role.SYSTEM,
  developer: Role.DEVELOPER,
  user: Role.USER,
  assistant: Role.ASSISTANT,
};

export const displays: Readonly<Record<string, ReasoningDisplay>> = {
  auto: ReasoningDisplay.SUMMARY,
  concise: ReasoningDisplay.CONCISE,
  detailed: ReasoningDisplay.DETAILED,
};

export const toolChoiceModes: Readonly<Record<string, ToolChoiceMode>> = {
  none: ToolChoiceMode.NONE,
  auto: ToolChoiceMode.AUTO,
  required: ToolChoiceMode.REQUIRED,
};

export const hostedKinds: Readonly<Record<string, HostedToolKind>> = {
  web_search: HostedToolKind.WEB_SEARCH,
  web_search_2025_08_26: HostedToolKind.WEB_SEARCH,
  web_search_preview: HostedToolKind.WEB_SEARCH,
  web_search_preview_2025_03_11: HostedToolKind.WEB_SEARCH,
  file_search: HostedToolKind.FILE_SEARCH,
  code_interpreter: HostedToolKind.CODE_EXECUTION,
  computer: HostedToolKind.COMPUTER,
  computer_use_preview: HostedToolKind.COMPUTER,
  image_generation: HostedToolKind.IMAGE_GENERATION,
  mcp: HostedToolKind.MCP,
  shell: HostedToolKind.SHELL,
  local_shell: HostedToolKind.SHELL,
  apply_patch: HostedToolKind.SHELL,
  tool_search: HostedToolKind.TOOL_SEARCH,
};

/** Lifetimes of cached prompts in seconds. */
export const cacheTtls: Readonly<Record<string, number>> = { "30m": 1800, "12h": 43_200 };

/** How the id of an item begins, by the item's type. The API refuses calls whose id begins otherwise. */
const idPrefixes: Readonly<Record<string, string>> = {
  message: "msg_",
  reasoning: "rs_",
  function_call: "fc_",
  function_call_output: "fco_",
  custom_tool_call: "ctc_",
  custom_tool_call_output: "ctco_",
  image_generation_call: "ig_",
  web_search_call: "ws_",
  file_search_call: "fs_",
  code_interpreter_call: "ci_",
  mcp_call: "mcp_",
};

export function idPrefix(itemType: string): string {
  return idPrefixes[itemType] ?? "item_";
}

/** The id where it is one of that type's, else empty: other vendors' ids mean nothing here. */
export function idOfType(itemType: string, id: string): string {
  // The service itself checks no more than the letters.
  return id.startsWith(idPrefix(itemType).slice(0, -1)) ? id : "";
}
