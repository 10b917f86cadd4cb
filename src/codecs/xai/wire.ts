/** Names and words of xAI's gRPC API that both directions share. https://github.com/xai-org/xai-proto */
import { FinishReason as CoreFinish, HostedToolKind, MediaDetail, Role, ToolChoiceMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import { MessageRole, ReasoningEffort, ToolCallType, ToolMode } from "../../../gen/xai/api/v1/chat_pb.ts";
import { ImageDetail } from "../../../gen/xai/api/v1/image_pb.ts";
import { FinishReason } from "../../../gen/xai/api/v1/sample_pb.ts";
import type { EffortLevel } from "../../core/effort.ts";

/** The wire format's name in extras_json, opaque parts and reports. */
export const formatName = "xai";

/** Family of encrypted reasoning. */
export const signatureFamily = "xai";

export const maxStopSequences = 8;
export const maxTopLogprobs = 8;

/** Most inputs of one embedding request. */
export const maxEmbedInputs = 128;

export const roles: Readonly<Partial<Record<Role, MessageRole>>> = {
  [Role.SYSTEM]: MessageRole.ROLE_SYSTEM,
  [Role.DEVELOPER]: MessageRole.ROLE_DEVELOPER,
  [Role.USER]: MessageRole.ROLE_USER,
  [Role.ASSISTANT]: MessageRole.ROLE_ASSISTANT,
  [Role.TOOL]: MessageRole.ROLE_TOOL,
};

export const efforts: Readonly<Partial<Record<EffortLevel, ReasoningEffort>>> = {
  low: ReasoningEffort.EFFORT_LOW,
  medium: ReasoningEffort.EFFORT_MEDIUM,
  high: ReasoningEffort.EFFORT_HIGH,
};
export const effortsTaken: readonly EffortLevel[] = ["low", "medium", "high"];

export const imageDetails: Readonly<Partial<Record<MediaDetail, ImageDetail>>> = {
  [MediaDetail.AUTO]: ImageDetail.DETAIL_AUTO,
  [MediaDetail.LOW]: ImageDetail.DETAIL_LOW,
  [MediaDetail.HIGH]: ImageDetail.DETAIL_HIGH,
};

export const toolModes: Readonly<Partial<Record<ToolChoiceMode, ToolMode>>> = {
  [ToolChoiceMode.AUTO]: ToolMode.AUTO,
  [ToolChoiceMode.NONE]: ToolMode.NONE,
  [ToolChoiceMode.REQUIRED]: ToolMode.REQUIRED,
};

/** Tools that xAI runs and that work without configuration. */
export const hostedTools: Readonly<Partial<Record<HostedToolKind, string>>> = {
  [HostedToolKind.WEB_SEARCH]: "webSearch",
  [HostedToolKind.CODE_EXECUTION]: "codeExecution",
};

/** A reason that is not here is UNSPECIFIED. */
export const finishReasons: Readonly<Partial<Record<FinishReason, CoreFinish>>> = {
  [FinishReason.REASON_MAX_LEN]: CoreFinish.LENGTH,
  [FinishReason.REASON_MAX_CONTEXT]: CoreFinish.CONTEXT_EXCEEDED,
  [FinishReason.REASON_STOP]: CoreFinish.STOP,
  [FinishReason.REASON_TOOL_CALLS]: CoreFinish.TOOL_CALLS,
  [FinishReason.REASON_TIME_LIMIT]: CoreFinish.TIME_LIMIT,
};

/** Calls that the client answers; xAI runs all others itself. */
export function isClientCall(type: ToolCallType): boolean {
  return type === ToolCallType.CLIENT_SIDE_TOOL || type === ToolCallType.INVALID;
}

/** `REASON_STOP`; the number where this version has no name for it. */
export function enumName(
  schema: { readonly values: readonly { readonly number: number; readonly name: string }[] },
  value: number,
): string {
  return schema.values.find(({ number }) => number === value)?.name ?? String(value);
}
