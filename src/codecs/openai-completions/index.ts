/**
 * OpenAI's legacy Completions: the dialect of older clients. Models that chat answer it: the prompt is what a user says.
 *
 * Several prompts in one request are read by readCompletionRequests: run each of `each` buffered, join the answers with
 * joinCompletions, and write that with `answer`. A body for which isChatBody holds belongs to the chat dialect.
 */
import type { Dialect } from "../../core/dialect.ts";
import { writeOpenAiError } from "../../core/openai-error.ts";
import { clientPath } from "./client-path.ts";
import { readRequest } from "./read-request.ts";
import { format } from "./wire.ts";
import { createEventWriter } from "./write-events.ts";
import { writeResponse } from "./write-response.ts";

export { joinCompletions } from "./join-completions.ts";
export { type CompletionRequests, isChatBody, readCompletionRequests } from "./read-request.ts";

export const openAiCompletionsDialect = {
  name: format,
  readRequest,
  writeResponse,
  eventWriter: createEventWriter,
  writeError: writeOpenAiError,
  clientPath: (path) => clientPath(path),
} satisfies Dialect;
