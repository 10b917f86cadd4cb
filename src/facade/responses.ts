/** OpenAI Responses: as any dialect, and beside it the state that clients expect to be kept (surfaces.md N8). */
import { create } from "@bufbuild/protobuf";
import { ServerStateSchema } from "../../gen/dragoman/v1/call_pb.ts";
import { keptUpstream, openAiInputTokensDialect, openAiResponsesDialect, writeInputItems } from "../codecs/openai-responses/index.ts";
import type { CountTokensDialect, Dialect } from "../core/dialect.ts";
import { continueResponse } from "./continue-response.ts";
import { runCount } from "./count-tokens.ts";
import type { Answer } from "./endpoint.ts";
import { newAnswerFacts, requestFacts, runGeneration } from "./generate.ts";
import { readJsonBody } from "./read-body.ts";
import { resolveReferences } from "./resolve-references.ts";
import { ResponseKeeper } from "./response-keeper.ts";
import type { RunningResponses } from "./running-responses.ts";

const dialect: Dialect = openAiResponsesDialect;
const countDialect: CountTokensDialect = openAiInputTokensDialect;

export function answerResponses(running: RunningResponses): Answer {
  return async (exchange) => {
    const { options, principal } = exchange;
    const sent = await readJsonBody(exchange.request, options.body);
    const body = await resolveReferences(exchange, sent);
    const read = dialect.readRequest(body, requestFacts(exchange));
    const answerFacts = newAnswerFacts(options.clock.wall());
    const generation = { dialect, read, streams: read.stream ?? false, answerFacts };
    const { request, conversation, state, unchanged, place } = await continueResponse(exchange, read.generate, body);
    if (state === "upstream" || request.serverState?.store === false) {
      const rendered = { ...generation, read: state === "upstream" ? keptUpstream(read) : read };
      // The upstream's bytes may pass only where the call is the client's own.
      await runGeneration(exchange, unchanged && body === sent ? { ...rendered, body } : { ...rendered, request, place });
      return;
    }
    const observer = new ResponseKeeper({
      dialect,
      read,
      answerFacts,
      tenant: principal.tenant,
      owner: principal.id,
      conversation,
      inputItemsJson: writeInputItems(body),
      store: options.responses,
      running,
      log: options.log,
    });
    // What the gateway keeps, nobody else has to.
    const serverState = create(ServerStateSchema, { store: false });
    await runGeneration(exchange, { ...generation, request: { ...request, serverState }, place, observer });
  };
}

export const answerInputTokens: Answer = async (exchange) => {
  const body = await resolveReferences(exchange, await readJsonBody(exchange.request, exchange.options.body));
  const read = countDialect.readRequest(body, requestFacts(exchange));
  const { request, place } = await continueResponse(exchange, read.generate, body);
  await runCount(exchange, countDialect, read, request, place);
};
