/** Endpoints that count the tokens of a call without running it. */
import { create } from "@bufbuild/protobuf";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { CountTokensRequestSchema } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import type { CountTokensDialect } from "../core/dialect.ts";
import type { JsonValue } from "../core/json.ts";
import { nameClientPaths, withCall } from "./call.ts";
import type { Answer, Exchange } from "./endpoint.ts";
import { sendJson } from "./exchange.ts";
import { requestFacts } from "./generate.ts";
import { readJsonBody } from "./read-body.ts";
import { servingHeaders } from "./reply-headers.ts";

/** Who counted. Vendors' answers have no place for it. */
const basisWords: Readonly<Partial<Record<UsageBasis, string>>> = {
  [UsageBasis.PROVIDER]: "provider",
  [UsageBasis.COUNTED]: "counted",
  [UsageBasis.ESTIMATED]: "estimated",
};

/** Completes a request before it is counted, for example by what came before it. */
export type CompleteRequest = (exchange: Exchange, request: GenerateRequest, body: JsonValue) => Promise<GenerateRequest>;

export function answerCountTokens(dialect: CountTokensDialect, complete?: CompleteRequest): Answer {
  return async (exchange) => {
    const { request, response, surface, options } = exchange;
    const body = await readJsonBody(request, options.body);
    const read = dialect.readRequest(body, requestFacts(exchange));
    const generate = complete === undefined ? read : await complete(exchange, read, body);
    const { attribution, options: callOptions } = generate;
    const facts = { operation: "count_tokens", dialect: dialect.name, attribution, options: callOptions } as const;
    await withCall(exchange, { ...facts, clientPath: dialect.clientPath }, async (call) => {
      const count = await options.operations.countTokens(create(CountTokensRequestSchema, { generate }), call);
      // Where no attempt was made, only the answer holds the notes.
      if (call.translation.length === 0) call.translation.push(...count.translation);
      nameClientPaths(call, dialect.clientPath);
      const served = { provider: count.provider, usedFallback: false, node: count.provider };
      const headers = servingHeaders(call, surface, served);
      headers["x-dragoman-usage-basis"] = basisWords[count.basis] ?? "unknown";
      sendJson(response, 200, headers, dialect.writeResponse(count));
    });
  };
}
