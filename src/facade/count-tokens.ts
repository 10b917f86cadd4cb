/** Endpoints that count the tokens of a call without running it. */
import { create } from "@bufbuild/protobuf";
import type { GenerateRequest } from "../../gen/dragoman/v1/generate_pb.ts";
import { CountTokensRequestSchema } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import type { CountTokensDialect } from "../core/dialect.ts";
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

export function answerCountTokens(dialect: CountTokensDialect): Answer {
  return async (exchange) => {
    const body = await readJsonBody(exchange.request, exchange.options.body);
    await runCount(exchange, dialect, dialect.readRequest(body, requestFacts(exchange)));
  };
}

/** `generate` is what is counted where it is not what the client sent; `place` says what its places are in that. */
export async function runCount(
  exchange: Exchange,
  dialect: CountTokensDialect,
  read: ReturnType<CountTokensDialect["readRequest"]>,
  generate: GenerateRequest = read.generate,
  place: (path: string) => string = (path) => path,
): Promise<void> {
  const { response, surface, options } = exchange;
  const clientPath = (path: string) => (read.clientPath ?? dialect.clientPath)(place(path));
  const facts = { operation: "count_tokens", dialect: dialect.name, attribution: generate.attribution, clientPath } as const;
  await withCall(exchange, { ...facts, options: generate.options }, async (call) => {
    const count = await options.operations.countTokens(create(CountTokensRequestSchema, { generate }), call);
    // Where no attempt was made, only the answer holds the notes.
    if (call.translation.length === 0) call.translation.push(...count.translation);
    nameClientPaths(call, clientPath);
    const served = { provider: count.provider, usedFallback: false, node: count.provider };
    const headers = servingHeaders(call, surface, served, options.clock.now());
    headers["x-dragoman-usage-basis"] = basisWords[count.basis] ?? "unknown";
    sendJson(response, 200, headers, dialect.writeResponse(count));
  });
}
