/** Endpoints that embed. */
import type { EmbedDialect } from "../core/dialect.ts";
import { isJsonObject } from "../core/json.ts";
import { nameClientPaths, withCall } from "./call.ts";
import type { Answer } from "./endpoint.ts";
import { sendJson } from "./exchange.ts";
import { requestFacts } from "./generate.ts";
import { readJsonBody } from "./read-body.ts";
import { costHeader, servingHeaders } from "./reply-headers.ts";

export function answerEmbeddings<Rendering>(dialect: EmbedDialect<Rendering>): Answer {
  return async (exchange) => {
    const { request, response, surface, options } = exchange;
    const body = await readJsonBody(request, options.body);
    const { embed, rendering } = dialect.readRequest(body, requestFacts(exchange));
    const { attribution, options: callOptions } = embed;
    const facts = { operation: "embed", dialect: dialect.name, attribution, options: callOptions } as const;
    const wire = isJsonObject(body) ? { format: dialect.name, body, includeUsage: false } : undefined;
    await withCall(exchange, { ...facts, wire, clientPath: dialect.clientPath }, async (call) => {
      const answer = await options.operations.embed(embed, call);
      nameClientPaths(call, dialect.clientPath);
      const served = { provider: answer.provider, usedFallback: answer.usedFallback, node: answer.target, replayed: answer.replayed };
      const headers = { ...servingHeaders(call, surface, served, options.clock.now()), ...costHeader(answer.settled) };
      sendJson(response, 200, headers, answer.raw ?? dialect.writeResponse(answer, rendering));
    });
  };
}
