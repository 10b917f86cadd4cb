/** OpenAI Chat Completions: the dialect that clients speak, and the codec of upstreams that speak it. */
import type { Dialect, UpstreamCodec } from "../../core/dialect.ts";
import { clientPath } from "./client-path.ts";
import type { OpenAiChatQuirks } from "./quirks.ts";
import { readError } from "./read-error.ts";
import { createEventReader } from "./read-events.ts";
import { readRequest } from "./read-request.ts";
import { readResponse } from "./read-response.ts";
import { createRelay } from "./relay.ts";
import { format } from "./wire.ts";
import { takesUrl } from "./write-content.ts";
import { writeChatError } from "./write-error.ts";
import { createEventWriter } from "./write-events.ts";
import { writeRequest } from "./write-request.ts";
import { writeResponse } from "./write-response.ts";

export type { OpenAiChatQuirks } from "./quirks.ts";

export const openAiChatDialect = {
  name: format,
  readRequest,
  writeResponse,
  eventWriter: createEventWriter,
  writeError: writeChatError,
  clientPath,
} satisfies Dialect;

/** `quirks` say how the server differs from OpenAI; without them it is OpenAI itself. */
export function createOpenAiChatCodec(quirks: OpenAiChatQuirks = {}): UpstreamCodec {
  return {
    format,
    relay: createRelay(quirks),
    takesUrl: (url, kind, target) => takesUrl(url, kind, target, quirks),
    writeRequest: (request, target, options) => writeRequest(request, target, options, quirks),
    eventReader: (provider, state) => createEventReader(provider, quirks, state),
    readResponse: (body, provider, state) => readResponse(body, provider, quirks, state),
    readError,
  };
}
