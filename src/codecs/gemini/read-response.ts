/** Reads the reply of `generateContent`: one chunk, or the array of chunks that a stream without `alt=sse` is. */
import type { GenerateEvent } from "../../core/event.ts";
import { AnswerReader } from "./answer-reader.ts";
import { isErrorRecord } from "./read-error.ts";
import { parseBody } from "./read-events.ts";

/** Throws GatewayError for an error that claims success and for a body that is no answer. */
export function readResponse(body: string, provider: string, state?: unknown): GenerateEvent[] {
  const reply = parseBody(body, provider);
  const answer = new AnswerReader(provider, state, false);
  const chunks = Array.isArray(reply) && !isErrorRecord(reply) ? reply : [reply];
  for (const chunk of chunks) answer.read(chunk);
  answer.end();
  return answer.take();
}
