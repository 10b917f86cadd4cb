/**
 * What came before a call of OpenAI Responses. The gateway keeps answers itself, whichever provider gave them; ids that it
 * does not know are an upstream's, and whether the caller may name those is for the pipeline to say.
 */
import type { GenerateRequest, Message } from "../../gen/dragoman/v1/generate_pb.ts";
import { invalidField } from "../core/error.ts";
import { isJsonObject, type JsonValue } from "../core/json.ts";
import type { StoredResponse } from "../core/response-store.ts";
import type { Exchange } from "./endpoint.ts";

export interface Continuation {
  /** What to run: with the earlier messages where the gateway keeps them. */
  readonly request: GenerateRequest;
  /** Everything said until now, without this call's instructions. */
  readonly conversation: readonly Message[];
  /** Where the state of the conversation is. `upstream`: the provider continues what it keeps itself. */
  readonly state: "gateway" | "upstream";
  /** Whether `request` is what the client sent. */
  readonly unchanged: boolean;
  /** A place in `request` as a place in what the client sent; `server_state.previous_id` for what came before. */
  place(path: string): string;
}

/** Throws invalid_request for an answer that is not there or cannot be continued. */
export async function continueResponse(exchange: Exchange, generate: GenerateRequest, body: JsonValue): Promise<Continuation> {
  const { instructions, input } = splitInstructions(generate, body);
  const previousId = generate.serverState?.previousId ?? "";
  if (previousId === "") {
    const state = (generate.serverState?.conversationId ?? "") === "" ? "gateway" : "upstream";
    return { request: generate, conversation: input, state, unchanged: true, place: samePlace };
  }
  const { options, principal } = exchange;
  const previous = await options.responses.get(principal.tenant, principal.id, previousId);
  if (previous === undefined) {
    if (isOwnId(previousId)) throw invalidField("previous_response_id", "there is no such response; it was deleted or is too old");
    return { request: generate, conversation: input, state: "upstream", unchanged: true, place: samePlace };
  }
  requireContinuable(previous);
  const conversation = [...previous.messages, ...input];
  const { serverState } = generate;
  return {
    request: {
      ...generate,
      messages: [...instructions, ...conversation],
      ...(serverState === undefined ? {} : { serverState: { ...serverState, previousId: "" } }),
    },
    conversation,
    state: "gateway",
    unchanged: false,
    place: (path) => placeBehind(path, instructions.length, previous.messages.length),
  };
}

function samePlace(path: string): string {
  return path;
}

function placeBehind(path: string, instructions: number, earlier: number): string {
  const [start = "", digits] = /^messages\[(\d+)\]/.exec(path) ?? [];
  const index = Number(digits ?? -1);
  if (index < instructions) return path;
  if (index < instructions + earlier) return "server_state.previous_id";
  return `messages[${index - earlier}]${path.slice(start.length)}`;
}

/** Instructions hold for one answer: the next one has its own. The reader puts them first. */
function splitInstructions({ messages }: GenerateRequest, body: JsonValue): { instructions: Message[]; input: Message[] } {
  const has = isJsonObject(body) && typeof body.instructions === "string";
  return { instructions: messages.slice(0, has ? 1 : 0), input: messages.slice(has ? 1 : 0) };
}

function requireContinuable({ responseJson }: StoredResponse): void {
  const { status } = JSON.parse(responseJson) as { status?: unknown };
  if (status === "completed" || status === "incomplete") return;
  throw invalidField("previous_response_id", `the response is ${String(status)}; only a completed one can be continued`);
}

/** Ids that the gateway makes hold a ULID; OpenAI's and others' are longer or not in capitals. */
function isOwnId(id: string): boolean {
  return /^resp_[0-9A-HJKMNP-TV-Z]{26}$/.test(id);
}
