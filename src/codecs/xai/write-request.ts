/** A request as GetCompletion and GetCompletionChunk take it (contract.md 3, column xAI). */
import { create } from "@bufbuild/protobuf";
import { type GenerateRequest, type Message, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type GetCompletionsRequest, GetCompletionsRequestSchema } from "../../../gen/xai/api/v1/chat_pb.ts";
import type { MessageRequest } from "../../core/message-codec.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import { CallState } from "./call-state.ts";
import { mergeMessageExtras } from "./json-message.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { writeMessages } from "./write-messages.ts";
import { writeSettings } from "./write-settings.ts";
import { writeTools } from "./write-tools.ts";

/** What is lost stands in the report, which the caller settles. Throws invalid_request for JSON text that is none. */
export function writeRequest(request: GenerateRequest, target: Target): MessageRequest<GetCompletionsRequest> {
  const report = new TranslationReport(formatName);
  const state = new CallState();
  const context: WriteContext = { target, report, state };
  refuseUnpaired(request.messages, report);
  if (target.traits.prefill !== true && request.messages.at(-1)?.role === Role.ASSISTANT) {
    report.refused(`messages[${request.messages.length - 1}]`, "must not be of the assistant at the end: the target does not continue it");
  }
  const message = create(GetCompletionsRequestSchema, { model: target.model, messages: writeMessages(request.messages, context) });
  writeTools(message, request, context);
  writeSettings(message, request, context);
  mergeMessageExtras(GetCompletionsRequestSchema, message, request.extrasJson, "", report);
  return { message, report, state };
}

/** Calls and results must pair: a history in which one stands without the other makes no sense to any model. */
function refuseUnpaired(messages: readonly Message[], report: TranslationReport): void {
  const called = new Set<string>();
  /** Calls that wait for their results, by id. */
  const waiting = new Map<string, string>();
  for (const [index, { parts }] of messages.entries()) {
    for (const [at, { part }] of parts.entries()) {
      const path = `messages[${index}].parts[${at}]`;
      if (part.case === "toolCall") {
        called.add(part.value.id);
        waiting.set(part.value.id, path);
      } else if (part.case === "toolResult") {
        const { toolCallId } = part.value;
        if (!called.has(toolCallId)) report.refused(`${path}.tool_result.tool_call_id`, "answers a call that no earlier message makes");
        waiting.delete(toolCallId);
      }
    }
  }
  for (const path of waiting.values()) report.refused(`${path}.tool_call`, "is a call without a result: the target wants one for each");
}
