/** OpenAI Embeddings: the dialect that clients speak, and the codec of upstreams that speak it. */
import type { EmbedCodec, EmbedDialect } from "../../core/dialect.ts";
import { writeOpenAiError } from "../../core/openai-error.ts";
import { clientPath } from "./client-path.ts";
import type { OpenAiEmbeddingsQuirks } from "./quirks.ts";
import { readError } from "./read-error.ts";
import { readRequest } from "./read-request.ts";
import { readResponse } from "./read-response.ts";
import { createRelay } from "./relay.ts";
import { type Encoding, format, maxInputs } from "./wire.ts";
import { writeRequest } from "./write-request.ts";
import { writeResponse } from "./write-response.ts";

export type { OpenAiEmbeddingsQuirks } from "./quirks.ts";

export const openAiEmbeddingsDialect = {
  name: format,
  readRequest,
  writeResponse,
  writeError: writeOpenAiError,
  clientPath,
} satisfies EmbedDialect<Encoding>;

/** `quirks` say how the server differs from OpenAI; without them it is OpenAI itself. */
export function createOpenAiEmbeddingsCodec(quirks: OpenAiEmbeddingsQuirks = {}): EmbedCodec {
  return {
    format,
    maxInputs: quirks.maxInputs ?? maxInputs,
    writeRequest: (request, target) => writeRequest(request, target, quirks),
    readResponse,
    readError,
    relay: createRelay(quirks),
  };
}
