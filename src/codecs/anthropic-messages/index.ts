/** Anthropic's Messages API: the half towards providers. */
import type { UpstreamCodec } from "../../core/dialect.ts";
import { type AnthropicMessagesQuirks, defaultQuirks } from "./quirks.ts";
import { readError } from "./read-error.ts";
import { createEventReader } from "./read-events.ts";
import { readResponse } from "./read-response.ts";
import { formatName } from "./wire.ts";
import { writeRequest } from "./write-request.ts";

export type { AnthropicMessagesQuirks } from "./quirks.ts";

export function createAnthropicMessagesCodec(quirks: Partial<AnthropicMessagesQuirks> = {}): UpstreamCodec {
  const all = { ...defaultQuirks, ...quirks };
  return {
    format: formatName,
    writeRequest: (request, target, options) => writeRequest(request, target, options, all),
    eventReader: (provider, state) => createEventReader(provider, state),
    readResponse: (body, provider, state) => readResponse(body, provider, state),
    readError,
  };
}
