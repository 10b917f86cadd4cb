/** Cohere's v2 API, chat and embeddings: the half towards providers. */
import type { EmbedCodec, UpstreamCodec } from "../../core/dialect.ts";
import { type CohereQuirks, defaultQuirks } from "./quirks.ts";
import { readEmbedResponse } from "./read-embed.ts";
import { readError } from "./read-error.ts";
import { createEventReader } from "./read-events.ts";
import { readResponse } from "./read-response.ts";
import { formatName } from "./wire.ts";
import { maxEmbedInputs, writeEmbedRequest } from "./write-embed.ts";
import { writeRequest } from "./write-request.ts";

export type { CohereQuirks } from "./quirks.ts";

export function createCohereChatCodec(quirks: Partial<CohereQuirks> = {}): UpstreamCodec {
  const all = { ...defaultQuirks, ...quirks };
  return {
    format: formatName,
    // Images are fetched by the service; documents are text in the request.
    takesUrl: (url, kind) => kind === "image" && /^https?:\/\//i.test(url),
    writeRequest: (request, target, options) => writeRequest(request, target, options, all),
    eventReader: (provider, state) => createEventReader(provider, state),
    readResponse: (body, provider, state) => readResponse(body, provider, state),
    readError,
  };
}

export function createCohereEmbedCodec(): EmbedCodec {
  return {
    format: formatName,
    maxInputs: maxEmbedInputs,
    writeRequest: writeEmbedRequest,
    readResponse: readEmbedResponse,
    readError,
  };
}
