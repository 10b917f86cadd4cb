/** Amazon Bedrock's Converse API: the half towards providers. */
import type { UpstreamCodec } from "../../core/dialect.ts";
import { createTokenCounting } from "./count-tokens.ts";
import { EventStreamReader } from "./frame-reader.ts";
import { type BedrockConverseQuirks, defaultQuirks } from "./quirks.ts";
import { readError } from "./read-error.ts";
import { createEventReader } from "./read-events.ts";
import { readResponse } from "./read-response.ts";
import { eventStreamType, formatName } from "./wire.ts";
import { isStored } from "./write-media.ts";
import { writeRequest } from "./write-request.ts";

export { type BedrockConverseQuirks, type BedrockModelQuirks, claudeQuirks } from "./quirks.ts";

export function createBedrockConverseCodec(quirks: Partial<BedrockConverseQuirks> = {}): UpstreamCodec {
  const all = { ...defaultQuirks, ...quirks };
  return {
    format: formatName,
    streamType: eventStreamType,
    frameReader: () => new EventStreamReader(),
    counting: createTokenCounting(all),
    takesUrl: isStored,
    writeRequest: (request, target, options) => writeRequest(request, target, options, all),
    eventReader: (provider, state) => createEventReader(provider, state),
    readResponse: (body, provider, state) => readResponse(body, provider, state),
    readError,
  };
}
