/**
 * The Gemini API's wire format, upstream half: generateContent, streamGenerateContent and embeddings. Paths are below
 * `https://generativelanguage.googleapis.com/v1beta`.
 */
import type { EmbedCodec, UpstreamCodec } from "../../core/dialect.ts";
import type { GeminiQuirks } from "./quirks.ts";
import { readEmbedResponse } from "./read-embed.ts";
import { readError } from "./read-error.ts";
import { GeminiEventReader } from "./read-events.ts";
import { readResponse } from "./read-response.ts";
import { createRelay } from "./relay.ts";
import { formatName, maxEmbedInputs } from "./wire.ts";
import { writeEmbedRequest } from "./write-embed.ts";
import { writeRequest } from "./write-request.ts";

export type { GeminiQuirks } from "./quirks.ts";

export function createGeminiCodec(quirks: GeminiQuirks = {}): UpstreamCodec {
  return {
    format: formatName,
    relay: createRelay(quirks),
    writeRequest: (request, target, options) => writeRequest(request, target, options, quirks),
    eventReader: (provider, state) => new GeminiEventReader(provider, state),
    readResponse,
    readError,
  };
}

export function createGeminiEmbedCodec(quirks: GeminiQuirks = {}): EmbedCodec {
  return {
    format: formatName,
    maxInputs: maxEmbedInputs,
    writeRequest: (request, target) => writeEmbedRequest(request, target, quirks),
    readResponse: readEmbedResponse,
    readError,
  };
}
