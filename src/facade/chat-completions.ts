/** POST /v1/chat/completions. */
import { openAiChatDialect } from "../codecs/openai-chat/index.ts";
import type { Call } from "../core/call.ts";
import type { AnswerFacts, Dialect, DialectRequest } from "../core/dialect.ts";
import { GatewayError } from "../core/error.ts";
import type { EventBatch } from "../core/event.ts";
import { ulid } from "../core/id.ts";
import { nameClientPaths, withCall } from "./call.ts";
import type { Exchange } from "./endpoint.ts";
import { sendJson } from "./exchange.ts";
import { Pump } from "./pump.ts";
import { readJsonBody } from "./read-body.ts";
import { servingHeaders } from "./reply-headers.ts";
import { inWordsOf } from "./send-error.ts";

const dialect: Dialect = openAiChatDialect;

export async function answerChatCompletion(exchange: Exchange): Promise<void> {
  const principal = await exchange.authenticate();
  const read = dialect.readRequest(await readJsonBody(exchange.request, exchange.options.body), {});
  const streams = read.stream ?? exchange.options.defaultStream;
  const { attribution, options } = read.generate;
  const operation = streams ? "generate" : "complete";
  const facts = { operation, dialect: dialect.name, principal, attribution, options, clientPath: dialect.clientPath } as const;
  await withCall(exchange, facts, (call) => (streams ? stream(exchange, read, call) : buffer(exchange, read, call)));
}

async function buffer({ response, options }: Exchange, read: DialectRequest, call: Call): Promise<void> {
  const answer = await options.operations.complete(read.generate, call);
  nameClientPaths(call, dialect.clientPath);
  sendJson(response, 200, servingHeaders(call, answer.started), dialect.writeResponse(answer, answerFacts(options.clock.wall()), read));
}

/** Status and headers wait for the first batch, which comes at the commit point; after it a failure is a record. */
async function stream({ response, options }: Exchange, read: DialectRequest, call: Call): Promise<void> {
  const pump = new Pump(response, call.signal);
  const writer = dialect.eventWriter(read, answerFacts(options.clock.wall()));
  try {
    for await (const batch of options.operations.generate(read.generate, call)) {
      if (!response.headersSent) {
        nameClientPaths(call, dialect.clientPath);
        response.writeHead(200, { ...servingHeaders(call, startedOf(batch)), ...streamHeaders });
      }
      const text = writer.write(batch);
      const blocked = text === "" ? undefined : pump.write(text);
      if (blocked !== undefined) await blocked;
    }
    pump.end(writer.end());
  } catch (thrown) {
    if (!response.headersSent) throw thrown;
    const error = GatewayError.from(thrown);
    if (error.reason === "internal") options.log.error("a call failed", { request_id: call.requestId, error });
    pump.end(writer.error(inWordsOf(error, dialect.clientPath)));
  }
}

const streamHeaders = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  "x-accel-buffering": "no",
};

function startedOf({ events }: EventBatch) {
  const first = events[0]?.event;
  return first?.case === "started" ? first.value : undefined;
}

function answerFacts(wall: number): AnswerFacts {
  return { generationId: ulid(wall), created: Math.floor(wall / 1_000) };
}
