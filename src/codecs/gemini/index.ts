/**
 * The Gemini API: the dialects that clients speak, and the codecs of upstreams that speak it. Upstream paths are below
 * `https://generativelanguage.googleapis.com/v1beta`.
 */
import type { CountTokensDialect, Dialect, EmbedCodec, EmbedDialect, UpstreamCodec } from "../../core/dialect.ts";
import { clientPath } from "./client-path.ts";
import { readCountRequest, readTokenCount, writeCountRequest, writeTokenCount } from "./count-tokens.ts";
import type { GeminiQuirks } from "./quirks.ts";
import { readEmbedResponse } from "./read-embed.ts";
import { embedClientPath, readBatchEmbedRequest, readEmbedRequest } from "./read-embed-request.ts";
import { readError } from "./read-error.ts";
import { GeminiEventReader } from "./read-events.ts";
import { readRequest } from "./read-request.ts";
import { readResponse } from "./read-response.ts";
import { createRelay } from "./relay.ts";
import { formatName, maxEmbedInputs } from "./wire.ts";
import { writeEmbedRequest } from "./write-embed.ts";
import { writeBatchEmbedResponse, writeEmbedResponse } from "./write-embed-response.ts";
import { writeError } from "./write-error.ts";
import { createEventWriter } from "./write-events.ts";
import { takesUrl } from "./write-media.ts";
import { writeRequest } from "./write-request.ts";
import { writeResponse } from "./write-response.ts";

export type { GeminiQuirks } from "./quirks.ts";

/** `generateContent` and `streamGenerateContent`; the path says the model and whether to stream. */
export const geminiDialect = {
  name: formatName,
  readRequest,
  writeResponse,
  eventWriter: createEventWriter,
  writeError,
  clientPath,
} satisfies Dialect;

/** `countTokens`. */
export const geminiCountTokensDialect = {
  name: formatName,
  readRequest: readCountRequest,
  writeResponse: writeTokenCount,
  writeError,
  clientPath,
} satisfies CountTokensDialect;

/** `embedContent`: one input. */
export const geminiEmbedDialect = {
  name: formatName,
  readRequest: readEmbedRequest,
  writeResponse: writeEmbedResponse,
  writeError,
  clientPath: embedClientPath("embedContent"),
} satisfies EmbedDialect<undefined>;

/** `batchEmbedContents`: any number of inputs, all with the same model and settings. */
export const geminiBatchEmbedDialect = {
  name: formatName,
  readRequest: readBatchEmbedRequest,
  writeResponse: writeBatchEmbedResponse,
  writeError,
  clientPath: embedClientPath("batchEmbedContents"),
} satisfies EmbedDialect<undefined>;

export function createGeminiCodec(quirks: GeminiQuirks = {}): UpstreamCodec {
  return {
    format: formatName,
    relay: createRelay(quirks),
    takesUrl,
    writeRequest: (request, target, options) => writeRequest(request, target, options, quirks),
    eventReader: (provider, state) => new GeminiEventReader(provider, state),
    readResponse,
    readError,
    counting: {
      writeRequest: (request, target) => writeCountRequest(request, target, quirks),
      readResponse: readTokenCount,
    },
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
