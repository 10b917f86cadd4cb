/** Calls of one turn that stand in several messages: clients that keep the chunks of a stream send their history so. */
import { type Message, Role } from "../../gen/dragoman/v1/generate_pb.ts";

/**
 * The index of the last message that belongs together with the one at `index`, for targets that want all results right behind
 * the message of their calls: where it makes calls, the assistant's messages that follow it.
 */
export function endOfCalls(messages: readonly Message[], index: number): number {
  const message = messages[index];
  if (message?.role !== Role.ASSISTANT || !message.parts.some(({ part }) => part.case === "toolCall")) return index;
  let end = index;
  while (messages[end + 1]?.role === Role.ASSISTANT) end++;
  return end;
}
