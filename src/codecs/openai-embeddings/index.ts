/** OpenAI Embeddings: the dialect that clients speak, and the codec of upstreams that speak it. */
import type { EmbedRequest, EmbedResponse } from "../../../gen/dragoman/v1/embed_pb.ts";
import type { EmbedCodec } from "../../core/dialect.ts";
import type { JsonValue } from "../../core/json.ts";
import { clientPath } from "./client-path.ts";
import type { OpenAiEmbeddingsQuirks } from "./quirks.ts";
import { readError } from "./read-error.ts";
import { readRequest } from "./read-request.ts";
import { readResponse } from "./read-response.ts";
import { type Encoding, format, maxInputs } from "./wire.ts";
import { writeRequest } from "./write-request.ts";
import { writeResponse } from "./write-response.ts";

export type { OpenAiEmbeddingsQuirks } from "./quirks.ts";

export interface EmbeddingsDialect {
  /** The wire format's name in extras_json and reports. */
  readonly name: string;
  /** Throws GatewayError naming the field's path. */
  readRequest(body: JsonValue): { embed: EmbedRequest; encoding: Encoding };
  /** JSON text. */
  writeResponse(response: EmbedResponse, encoding: Encoding): string;
  /** A path in the core request in this dialect's own words. */
  clientPath(path: string): string;
}

export const openAiEmbeddingsDialect: EmbeddingsDialect = { name: format, readRequest, writeResponse, clientPath };

/** `quirks` say how the server differs from OpenAI; without them it is OpenAI itself. */
export function createOpenAiEmbeddingsCodec(quirks: OpenAiEmbeddingsQuirks = {}): EmbedCodec {
  return {
    format,
    maxInputs: quirks.maxInputs ?? maxInputs,
    writeRequest: (request, target) => writeRequest(request, target, quirks),
    readResponse,
    readError,
  };
}
