/** Anthropic's Messages API: the dialect that clients speak, and the codec of upstreams that speak it. */
import type { Dialect, UpstreamCodec } from "../../core/dialect.ts";
import { clientPath } from "./client-path.ts";
import { createTokenCountCodec } from "./count-tokens.ts";
import { type AnthropicMessagesQuirks, defaultQuirks } from "./quirks.ts";
import { readError } from "./read-error.ts";
import { createEventReader } from "./read-events.ts";
import { readRequest } from "./read-request.ts";
import { readResponse } from "./read-response.ts";
import { createRelay } from "./relay.ts";
import { formatName } from "./wire.ts";
import { writeError } from "./write-error.ts";
import { createEventWriter } from "./write-events.ts";
import { takesUrl } from "./write-media.ts";
import { writeRequest } from "./write-request.ts";
import { writeResponse } from "./write-response.ts";

export { anthropicCountTokensDialect } from "./count-tokens.ts";
export type { AnthropicMessagesQuirks } from "./quirks.ts";

export const anthropicMessagesDialect = {
  name: formatName,
  readRequest,
  writeResponse,
  eventWriter: createEventWriter,
  writeError,
  clientPath,
} satisfies Dialect;

export function createAnthropicMessagesCodec(quirks: Partial<AnthropicMessagesQuirks> = {}): UpstreamCodec {
  const all = { ...defaultQuirks, ...quirks };
  return {
    format: formatName,
    relay: createRelay(all),
    counting: createTokenCountCodec(all),
    takesUrl,
    writeRequest: (request, target, options) => writeRequest(request, target, options, all),
    eventReader: (provider, state) => createEventReader(provider, state),
    readResponse: (body, provider, state) => readResponse(body, provider, state),
    readError,
  };
}
