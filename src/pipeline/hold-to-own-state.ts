/**
 * State that providers keep between calls belongs to the account that the gateway calls with, which all tenants share: whoever
 * knows the id of another's answer could go on with it (reliability.md 2.4). What the gateway keeps itself is in the request by
 * now; whatever it still names is a provider's.
 */
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { GatewayError } from "../core/error.ts";
import type { Stage } from "./stage.ts";

/** `OpaquePart.type` of an item that the provider is to look up (OpenAI Responses). */
const keptItem = "item_reference";

/** Throws invalid_request, as for ids that nobody knows. Without authentication all callers are one, and may. */
export function holdToOwnState<Reply>(): Stage<GenerateRequest, Reply> {
  return (next) => (request, call) => {
    if (call.principal.kind !== "anonymous") requireOwnState(request);
    return next(request, call);
  };
}

function requireOwnState({ serverState, messages }: GenerateRequest): void {
  // OpenAI answers 400 to an unknown answer, and 404 to what else it does not know.
  if ((serverState?.previousId ?? "") !== "") refuse("server_state.previous_id", "there is no such previous response", 400);
  if ((serverState?.conversationId ?? "") !== "") refuse("server_state.conversation_id", "there is no such conversation", 404);
  for (const [index, { parts }] of messages.entries()) {
    const at = parts.findIndex(({ part }) => part.case === "opaque" && part.value.type === keptItem);
    if (at !== -1) refuse(`messages[${index}].parts[${at}]`, "there is no such item", 404);
  }
}

function refuse(field: string, what: string, status: number): never {
  const description = `${what}; the gateway keeps none under this id for this caller, so send the messages instead`;
  throw new GatewayError("invalid_request", `${field}: ${description}`, { status, contractPaths: true, fields: [{ field, description }] });
}
