/** A family of paths with its own envelope of errors and names of headers (surfaces.md 2.1 and 2.7). */
import { anthropicMessagesDialect } from "../codecs/anthropic-messages/index.ts";
import { geminiDialect } from "../codecs/gemini/index.ts";
import type { Dialect } from "../core/dialect.ts";
import { writeOpenAiError } from "../core/openai-error.ts";
import { headerOf, type NodeRequest } from "./exchange.ts";

export interface Surface extends Pick<Dialect, "writeError"> {
  /** As the call's record names it. */
  readonly name: "v1" | "gemini";
  /** Where the vendor's clients look for the request id, beside x-request-id. */
  readonly requestIdHeader?: string;
}

const openAiSurface: Surface = { name: "v1", writeError: writeOpenAiError };

export const anthropicSurface: Surface = {
  name: "v1",
  writeError: anthropicMessagesDialect.writeError,
  requestIdHeader: "request-id",
};

export const googleSurface: Surface = { name: "gemini", writeError: geminiDialect.writeError };

/** A model's id may hold colons too: what follows the last one is a verb only if it is one of these. */
export const googleVerbs: ReadonlySet<string> = new Set([
  "generateContent",
  "streamGenerateContent",
  "countTokens",
  "embedContent",
  "batchEmbedContents",
]);

/** Any path belongs to one, also where there is nothing at it. */
export function surfaceOf(request: NodeRequest, path: string): Surface {
  if (/^\/v1\/messages(?:\/|$)/.test(path)) return anthropicSurface;
  if (/^\/v1beta1?\//.test(path)) return googleSurface;
  // OpenAI's, Anthropic's and Google's clients share the path of models: Google's have a verb, and only they post there;
  // beside that, Anthropic's always send their version, and Google's what they are.
  const verb = /^\/v1\/models\/.+:([^/]*)$/.exec(path)?.[1];
  if (verb !== undefined && (googleVerbs.has(verb) || request.method === "POST")) return googleSurface;
  if (/^\/v1\/models(?:\/|$)/.test(path)) {
    if (headerOf(request, "anthropic-version") !== undefined) return anthropicSurface;
    if (headerOf(request, "x-goog-api-client") !== undefined) return googleSurface;
  }
  return openAiSurface;
}
