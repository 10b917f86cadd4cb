/**
 * Names and words of Anthropic's Messages API that both directions share.
 * https://platform.claude.com/docs/en/api/messages
 */
import { FinishReason, HostedToolKind, ReasoningEffort, ReasoningMode, ToolChoiceMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Extras } from "../../core/event.ts";
import type { JsonObject } from "../../core/json.ts";
import { unknownMembers as unknownMembersOf } from "../../core/members.ts";

/** The wire format's name in extras_json, opaque parts and reports. */
export const formatName = "anthropic-messages";

/** Family of thinking signatures; Bedrock and Vertex accept the same. */
export const signatureFamily = "anthropic";

/** `stop_reason` to core; a word that is not here is UNSPECIFIED. */
export const finishReasons: Readonly<Record<string, FinishReason>> = {
  end_turn: FinishReason.STOP,
  stop_sequence: FinishReason.STOP_SEQUENCE,
  max_tokens: FinishReason.LENGTH,
  tool_use: FinishReason.TOOL_CALLS,
  pause_turn: FinishReason.PAUSE,
  refusal: FinishReason.REFUSAL,
  model_context_window_exceeded: FinishReason.CONTEXT_EXCEEDED,
};

/** `stop_reason` for a core reason (contract.md 5); undefined for one that is not known here. */
const finishWords: Readonly<Record<number, string>> = {
  [FinishReason.STOP]: "end_turn",
  [FinishReason.STOP_SEQUENCE]: "stop_sequence",
  [FinishReason.LENGTH]: "max_tokens",
  [FinishReason.TIME_LIMIT]: "max_tokens",
  [FinishReason.TOOL_CALLS]: "tool_use",
  [FinishReason.PAUSE]: "pause_turn",
  [FinishReason.CONTENT_FILTER]: "refusal",
  [FinishReason.REFUSAL]: "refusal",
  [FinishReason.RECITATION]: "refusal",
  [FinishReason.GUARDRAIL]: "refusal",
  [FinishReason.CONTEXT_EXCEEDED]: "model_context_window_exceeded",
  [FinishReason.MALFORMED]: "end_turn",
  [FinishReason.OTHER]: "end_turn",
};

export function finishWord(reason: FinishReason): string | undefined {
  return finishWords[reason];
}

/** `output_config.effort`. */
export const efforts: Readonly<Record<string, ReasoningEffort>> = {
  low: ReasoningEffort.LOW,
  medium: ReasoningEffort.MEDIUM,
  high: ReasoningEffort.HIGH,
  xhigh: ReasoningEffort.XHIGH,
  max: ReasoningEffort.MAX,
};

/** `thinking.type`. */
export const thinkingModes: Readonly<Record<string, ReasoningMode>> = {
  enabled: ReasoningMode.ENABLED,
  disabled: ReasoningMode.DISABLED,
  adaptive: ReasoningMode.ADAPTIVE,
  between_tools: ReasoningMode.BETWEEN_TOOLS,
};

/** `tool_choice.type`. */
export const toolChoiceModes: Readonly<Record<string, ToolChoiceMode>> = {
  auto: ToolChoiceMode.AUTO,
  any: ToolChoiceMode.REQUIRED,
  tool: ToolChoiceMode.TOOL,
  none: ToolChoiceMode.NONE,
};

/** What the API's own tools do, by the beginning of their type; a date follows. */
const hostedKinds: readonly (readonly [string, HostedToolKind])[] = [
  ["web_search", HostedToolKind.WEB_SEARCH],
  ["web_fetch", HostedToolKind.WEB_FETCH],
  ["code_execution", HostedToolKind.CODE_EXECUTION],
  ["computer", HostedToolKind.COMPUTER],
  ["browser", HostedToolKind.COMPUTER],
  ["bash", HostedToolKind.SHELL],
  ["text_editor", HostedToolKind.SHELL],
  ["tool_search_tool", HostedToolKind.TOOL_SEARCH],
  ["mcp_toolset", HostedToolKind.MCP],
];

/** UNSPECIFIED for a tool that nothing else can stand in for. */
export function hostedKind(type: string): HostedToolKind {
  const known = hostedKinds.find(([name]) => type === name || type.startsWith(`${name}_`));
  return known?.[1] ?? HostedToolKind.UNSPECIFIED;
}

/**
 * Name, in a request's extras_json, of the list of beta features: the values of the header `anthropic-beta`. The API's own
 * SDKs take it as a parameter of this name.
 */
export const betasMember = "betas";
export const betasHeader = "anthropic-beta";

/** Lifetimes of cache entries in seconds, shortest first; the first is the default. */
export const cacheLifetimes = [
  { ttl: "5m", seconds: 300 },
  { ttl: "1h", seconds: 3600 },
] as const;

/** Most `cache_control` markers of one request, the automatic one included. */
export const maxCacheMarkers = 4;

/** Image types that the API takes. */
export const imageTypes: ReadonlySet<string> = new Set(["image/jpeg", "image/png", "image/gif", "image/webp"]);

/** Least `thinking.budget_tokens`. */
export const minThinkingBudget = 1024;

/** Block types that hold reasoning. */
export const thinkingTypes: ReadonlySet<string> = new Set(["thinking", "redacted_thinking"]);

/** The members that are not known, as extras_json holds them; nulls are kept. */
export function unknownMembers(object: JsonObject, known: ReadonlySet<string>): Extras {
  return unknownMembersOf(object, known, formatName);
}
