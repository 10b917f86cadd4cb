/** Calls and results must pair: OpenAI's services refuse a history in which one stands without the other. */
import type { Message } from "../../gen/dragoman/v1/generate_pb.ts";
import type { TranslationReport } from "./translation.ts";

/** `continues`: earlier messages are at the service, so results may answer calls that are there. */
export function refuseUnpaired(messages: readonly Message[], continues: boolean, report: TranslationReport): void {
  if (!messages.some(hasTools)) return;
  /** Calls that wait for their results, by id. */
  const waiting = new Map<string, string>();
  const called = new Set<string>();
  messages.forEach(({ parts }, index) => {
    parts.forEach(({ part }, at) => {
      if (part.case !== "toolCall" && part.case !== "toolResult") return;
      const path = `messages[${index}].parts[${at}]`;
      if (part.case === "toolCall") {
        called.add(part.value.id);
        waiting.set(part.value.id, path);
      } else {
        const { toolCallId } = part.value;
        if (!called.has(toolCallId) && !continues) {
          report.refused(`${path}.tool_result.tool_call_id`, "answers a call that no earlier message makes");
        }
        waiting.delete(toolCallId);
      }
    });
  });
  for (const path of waiting.values()) report.refused(`${path}.tool_call`, "is a call without a result: the target wants one for each");
}

function hasTools({ parts }: Message): boolean {
  return parts.some(({ part }) => part.case === "toolCall" || part.case === "toolResult");
}
