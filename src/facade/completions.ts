/** POST /v1/completions: OpenAI's older API, and chat requests that clients send here too (surfaces.md C3). */

import type { CompleteResponse, Started } from "../../gen/dragoman/v1/generate_pb.ts";
import { openAiChatDialect } from "../codecs/openai-chat/index.ts";
import {
  type CompletionRequests,
  isChatBody,
  joinCompletions,
  openAiCompletionsDialect,
  readCompletionRequests,
} from "../codecs/openai-completions/index.ts";
import type { Call } from "../core/call.ts";
import type { Dialect, DialectRequest } from "../core/dialect.ts";
import { GatewayError } from "../core/error.ts";
import type { RunningCall } from "../core/incoming.ts";
import { beginCall, failCall, nameClientPaths } from "./call.ts";
import type { Answer, Exchange } from "./endpoint.ts";
import { sendJson } from "./exchange.ts";
import { answerBody, newAnswerFacts } from "./generate.ts";
import { readJsonBody } from "./read-body.ts";
import { costHeader, servingHeaders } from "./reply-headers.ts";

const dialect: Dialect = openAiCompletionsDialect;

/** Prompts of one request that are answered at the same time. */
const promptsAtOnce = 8;

export const answerCompletions: Answer = async (exchange) => {
  const body = await readJsonBody(exchange.request, exchange.options.body);
  if (isChatBody(body)) return answerBody(exchange, openAiChatDialect, body, { usesDefaultStream: true });
  const requests = readCompletionRequests(body);
  return requests.each.length === 1 ? answerBody(exchange, dialect, body) : answerPrompts(exchange, requests);
};

interface PromptCall extends RunningCall {
  readonly read: DialectRequest;
}

/** A call for each prompt. They succeed together: the first that fails stops the others. */
async function answerPrompts(exchange: Exchange, requests: CompletionRequests): Promise<void> {
  const { answer, each } = requests;
  const { response, surface, options } = exchange;
  const stop = new AbortController();
  const calls: PromptCall[] = [];
  try {
    for (const [part, read] of each.entries()) calls.push({ read, ...beginPrompt(exchange, read, part, stop.signal) });
    const [first] = calls;
    if (first === undefined) throw new Error("there is no prompt");
    try {
      const answers = await completeAll(exchange, calls, stop);
      for (const { call, read } of calls) nameClientPaths(call, (path) => clientPathOf(read, path));
      const headers = servingHeaders(
        { ...first.call, translation: calls.flatMap(({ call }) => call.translation) },
        surface,
        answers[0]?.started,
        options.clock.now(),
      );
      const joined = joinCompletions(answers, requests);
      sendJson(
        response,
        200,
        { ...headers, ...costHeader(...answers.map(({ settled }) => settled)) },
        dialect.writeResponse(joined, { ...newAnswerFacts(options.clock.wall()), ...repeatableId(first.call, joined.started) }, answer),
      );
    } catch (thrown) {
      failCall(exchange, first.call, thrown, (path) => clientPathOf(answer, path));
    }
  } finally {
    for (const { end } of calls) end();
  }
}

function beginPrompt(exchange: Exchange, read: DialectRequest, part: number, stop: AbortSignal): RunningCall {
  const { attribution, options } = read.generate;
  const clientPath = (path: string) => clientPathOf(read, path);
  return beginCall(exchange, { operation: "complete", dialect: dialect.name, attribution, options, part, stop, clientPath });
}

/** As of a single prompt: an answer that can be repeated has the id of its first generation. */
function repeatableId({ options }: Call, started: Started | undefined): { generationId?: string } {
  return started === undefined || (options?.idempotencyKey ?? "") === "" ? {} : { generationId: started.generationId };
}

function clientPathOf(read: DialectRequest, path: string): string {
  return read.clientPath?.(path) ?? dialect.clientPath(path);
}

/** In the order of the calls. Throws the first failure, when every call has ended. */
async function completeAll(exchange: Exchange, calls: readonly PromptCall[], stop: AbortController): Promise<CompleteResponse[]> {
  const { operations } = exchange.options;
  const answers: CompleteResponse[] = [];
  let failure: unknown;
  let next = 0;
  const work = async (): Promise<void> => {
    for (let at = next++; at < calls.length && !stop.signal.aborted; at = next++) {
      const { call, read } = calls[at] as PromptCall;
      try {
        answers[at] = (await operations.complete(read.generate, call)).response;
      } catch (thrown) {
        failure ??= thrown;
        stop.abort(new GatewayError("cancelled", "another prompt of the request failed"));
      }
    }
  };
  await Promise.all(Array.from({ length: promptsAtOnce }, work));
  if (failure !== undefined) throw failure;
  return answers;
}
