/** OpenAI Responses: the dialect that clients speak, and the codec of upstreams that speak it. */
import type { CountTokensDialect, Dialect, UpstreamCodec } from "../../core/dialect.ts";
import { writeOpenAiError } from "../../core/openai-error.ts";
import { clientPath } from "./client-path.ts";
import { createTokenCountCodec, writeCountResponse } from "./count-tokens.ts";
import type { OpenAiResponsesQuirks } from "./quirks.ts";
import { readError } from "./read-error.ts";
import { createEventReader } from "./read-events.ts";
import { readRequest } from "./read-request.ts";
import { readResponse } from "./read-response.ts";
import { createRelay } from "./relay.ts";
import { format } from "./wire.ts";
import { createEventWriter } from "./write-events.ts";
import { writeRequest } from "./write-request.ts";
import { writeResponse } from "./write-response.ts";

export type { OpenAiResponsesQuirks } from "./quirks.ts";
export { keptUpstream } from "./rendering.ts";
export { itemReferences, resolveItemReferences, responseOfItem, writeInputItems } from "./stored-items.ts";

export const openAiResponsesDialect = {
  name: format,
  readRequest,
  writeResponse,
  eventWriter: createEventWriter,
  writeError: writeOpenAiError,
  clientPath,
} satisfies Dialect;

/** `POST /v1/responses/input_tokens`. */
export const openAiInputTokensDialect = {
  name: format,
  readRequest,
  writeResponse: writeCountResponse,
  writeError: writeOpenAiError,
  clientPath,
} satisfies CountTokensDialect;

/** `quirks` say how the server differs from OpenAI; without them it is OpenAI itself. */
export function createOpenAiResponsesCodec(quirks: OpenAiResponsesQuirks = {}): UpstreamCodec {
  return {
    format,
    relay: createRelay(quirks),
    ...(quirks.counting === false ? {} : { counting: createTokenCountCodec(quirks) }),
    takesUrl: (_url, kind) => kind === "image" || kind === "file",
    writeRequest: (request, target, options) => writeRequest(request, target, options, quirks),
    eventReader: createEventReader,
    readResponse,
    readError,
  };
}
