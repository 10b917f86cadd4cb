/** Answers of Responses servers for clients of Responses, record by record as they came (design.md 4, rule 10). */
import type { AnswerRelay, RelayCodec } from "../../core/dialect.ts";
import { CallState } from "./call-state.ts";
import { patchRequest } from "./patch-request.ts";
import type { OpenAiResponsesQuirks } from "./quirks.ts";

export function createRelay(quirks: OpenAiResponsesQuirks): RelayCodec {
  return {
    patchRequest: (request, wire, target, options) => patchRequest(request, wire, target, options, quirks),
    relayAnswer: ({ state }) => (isChanged(state) ? undefined : wholeAnswer),
  };
}

/** Whether the answer holds what the request's writer changed, or is cut. */
function isChanged(state: unknown): boolean {
  return state instanceof CallState && (state.originalNames.size > 0 || state.stops.length > 0 || state.schemaTool !== "");
}

const wholeAnswer: AnswerRelay = {
  writeRecord: ({ source }) => source,
  end: () => "",
  keepsWhole: () => true,
};
