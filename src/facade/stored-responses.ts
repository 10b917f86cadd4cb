/** Answers of OpenAI Responses that are kept: retrieve, delete, cancel, list what was asked. */
import { GatewayError, invalidField } from "../core/error.ts";
import { RawJson, writeJson } from "../core/json.ts";
import type { Answer, Exchange } from "./endpoint.ts";
import { sendJson } from "./exchange.ts";
import { readPageSize } from "./page.ts";
import { callHeaders, newIds } from "./reply-headers.ts";
import type { RunningResponses } from "./running-responses.ts";

export function answerRetrieve(running: RunningResponses): Answer {
  return async (exchange) => {
    if (exchange.query.get("stream") === "true") {
      throw invalidField("stream", "only answers made in the background can be streamed again, and there are none here; leave it out");
    }
    send(exchange, (await find(exchange, running)).json);
  };
}

export function answerDelete(running: RunningResponses): Answer {
  return async (exchange) => {
    const { options, principal } = exchange;
    const id = idOf(exchange);
    const now = running.get(principal.tenant, principal.id, id);
    now?.discard();
    const wasStored = await options.responses.delete(principal.tenant, principal.id, id);
    if (now === undefined && !wasStored) throw notFound(id);
    send(exchange, writeJson({ id, object: "response", deleted: true }));
  };
}

export function answerCancel(running: RunningResponses): Answer {
  return async (exchange) => {
    const { principal } = exchange;
    await running.get(principal.tenant, principal.id, idOf(exchange))?.cancel();
    const { json } = await find(exchange, running);
    const { status } = JSON.parse(json) as { status?: unknown };
    if (status !== "cancelled") throw new GatewayError("invalid_request", `a response that is ${String(status)} cannot be cancelled`);
    send(exchange, json);
  };
}

const standardItems = 20;
const maxItems = 100;

export function answerInputItems(running: RunningResponses): Answer {
  return async (exchange) => {
    const { query } = exchange;
    const limit = readPageSize(query, "limit", { standard: standardItems, max: maxItems });
    const order = query.get("order") ?? "desc";
    if (order !== "asc" && order !== "desc") throw invalidField("order", 'must be "asc" or "desc"');
    const { inputItemsJson } = await find(exchange, running);
    const items = inputItemsJson.map((json) => ({ json, id: (JSON.parse(json) as { id?: string }).id ?? "" }));
    if (order === "desc") items.reverse();
    const start = startOf(items, query.get("after"));
    const page = items.slice(start, start + limit);
    const list = {
      object: "list",
      data: page.map(({ json }) => new RawJson(json)),
      first_id: page[0]?.id ?? null,
      last_id: page.at(-1)?.id ?? null,
      has_more: start + limit < items.length,
    };
    send(exchange, writeJson(list));
  };
}

function startOf(items: readonly { readonly id: string }[], after: string | null): number {
  if (after === null) return 0;
  const at = items.findIndex(({ id }) => id === after);
  if (at === -1) throw invalidField("after", "there is no such item; start again without it");
  return at + 1;
}

interface FoundResponse {
  readonly json: string;
  readonly inputItemsJson: readonly string[];
}

/** Throws with status 404 for what is not there, and for what is another's alike. */
async function find(exchange: Exchange, running: RunningResponses): Promise<FoundResponse> {
  const { options, principal } = exchange;
  const id = idOf(exchange);
  const now = running.get(principal.tenant, principal.id, id);
  if (now !== undefined) return { json: now.json(), inputItemsJson: now.inputItemsJson };
  const stored = await options.responses.get(principal.tenant, principal.id, id);
  if (stored === undefined) throw notFound(id);
  return { json: stored.responseJson, inputItemsJson: stored.inputItemsJson };
}

function notFound(id: string): GatewayError {
  return new GatewayError("invalid_request", `there is no response with the id "${id.slice(0, 256)}"`, { status: 404 });
}

function idOf({ params }: Exchange): string {
  return params.id ?? "";
}

function send({ request, response, surface, options }: Exchange, json: string): void {
  sendJson(response, 200, callHeaders(newIds(request, options.clock.wall()), surface), json);
}
