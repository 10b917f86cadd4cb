/** Answers of the Gemini API for its own clients, record by record as they came (design.md 4, rule 10). */
import type { AnswerRelay, RelayCodec } from "../../core/dialect.ts";
import { CallState } from "./call-state.ts";
import { patchRequest } from "./patch-request.ts";
import type { GeminiQuirks } from "./quirks.ts";

export function createRelay(quirks: GeminiQuirks): RelayCodec {
  return {
    patchRequest: (request, wire, target, options) => patchRequest(request, wire, target, options, quirks),
    relayAnswer: ({ state }) => (state instanceof CallState && state.isNeeded ? undefined : wholeAnswer),
  };
}

const wholeAnswer: AnswerRelay = {
  /** Google's own client takes a record for empty where something stands before its data: a comment, an id. */
  writeRecord: ({ frame, source }) =>
    frame === undefined || source.startsWith("data:") ? source : `data: ${frame.data.replaceAll("\n", "\ndata: ")}\n\n`,
  end: () => "",
  keepsWhole: () => true,
};
