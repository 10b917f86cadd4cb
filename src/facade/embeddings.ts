/** POST /v1/embeddings. */
import { openAiEmbeddingsDialect as dialect } from "../codecs/openai-embeddings/index.ts";
import { nameClientPaths, withCall } from "./call.ts";
import type { Exchange } from "./endpoint.ts";
import { sendJson } from "./exchange.ts";
import { readJsonBody } from "./read-body.ts";
import { servingHeaders } from "./reply-headers.ts";

export async function answerEmbeddings(exchange: Exchange): Promise<void> {
  const principal = await exchange.authenticate();
  const { embed, encoding } = dialect.readRequest(await readJsonBody(exchange.request, exchange.options.body));
  const { attribution, options } = embed;
  const facts = { operation: "embed", dialect: dialect.name, principal, attribution, options, clientPath: dialect.clientPath } as const;
  await withCall(exchange, facts, async (call) => {
    const answer = await exchange.options.operations.embed(embed, call);
    nameClientPaths(call, dialect.clientPath);
    const served = { provider: answer.provider, usedFallback: answer.usedFallback, node: answer.target };
    sendJson(exchange.response, 200, servingHeaders(call, served), dialect.writeResponse(answer, encoding));
  });
}
