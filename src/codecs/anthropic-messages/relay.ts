/** Answers of the Messages API for its own clients, record by record as they came (design.md 4, rule 10). */
import { CallState } from "../../core/call-state.ts";
import type { AnswerRelay, RelayCodec } from "../../core/dialect.ts";
import { patchRequest } from "./patch-request.ts";
import type { AnthropicMessagesQuirks } from "./quirks.ts";

export function createRelay(quirks: AnthropicMessagesQuirks): RelayCodec {
  return {
    patchRequest: (request, wire, target, options) => patchRequest(request, wire, target, options, quirks),
    relayAnswer: ({ state }) => (isChanged(state) ? undefined : wholeAnswer),
  };
}

/** Whether the answer holds what the request's writer emulated. */
function isChanged(state: unknown): boolean {
  return state instanceof CallState && (state.schemaTool !== "" || state.originalNames.size > 0 || state.customTools.size > 0);
}

/** Pings included: they keep the client's connection alive. */
const wholeAnswer: AnswerRelay = {
  writeRecord: ({ source }) => source,
  end: () => "",
  keepsWhole: () => true,
};
