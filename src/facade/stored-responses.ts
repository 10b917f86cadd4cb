/** Answers of OpenAI Responses that are kept: retrieve, delete, cancel, list what was asked. */
import { GatewayError, invalidField } from "../core/error.ts";
import { RawJson, writeJson } from "../core/json.ts";
import type { Answer, Exchange } from "./endpoint.ts";
import { sendJson } from "./exchange.ts";
import { readPageSize } from "./page.ts";
import { callHeaders, newIds } from "./reply-headers.ts";
import type { FoundResponse, ResponseName, RunningResponses } from "./running-responses.ts";

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
    const { id, tenant, owner } = nameOf(exchange);
    const { responses } = exchange.options;
    // One that runs is not stored yet: who has none asks the other workers, and looks again at what ended meanwhile.
    const wasThere =
      (await responses.delete(tenant, owner, id)) ||
      (await running.discard({ id, tenant, owner })) ||
      (await responses.delete(tenant, owner, id));
    if (!wasThere) throw notFound(id);
    send(exchange, writeJson({ id, object: "response", deleted: true }));
  };
}

export function answerCancel(running: RunningResponses): Answer {
  return async (exchange) => {
    await running.cancel(nameOf(exchange));
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

/** Throws with status 404 for what is not there, and for what is another's alike. */
async function find(exchange: Exchange, running: RunningResponses): Promise<FoundResponse> {
  const name = nameOf(exchange);
  const found = running.here(name) ?? (await stored(exchange, name)) ?? (await running.elsewhere(name)) ?? (await stored(exchange, name));
  if (found === undefined) throw notFound(name.id);
  return found;
}

async function stored({ options }: Exchange, { tenant, owner, id }: ResponseName): Promise<FoundResponse | undefined> {
  const response = await options.responses.get(tenant, owner, id);
  return response && { json: response.responseJson, inputItemsJson: response.inputItemsJson };
}

function notFound(id: string): GatewayError {
  return new GatewayError("invalid_request", `there is no response with the id "${id.slice(0, 256)}"`, { status: 404 });
}

function nameOf({ params, principal }: Exchange): ResponseName {
  return { tenant: principal.tenant, owner: principal.id, id: params.id ?? "" };
}

function send({ request, response, surface, options }: Exchange, json: string): void {
  sendJson(response, 200, callHeaders(newIds(request, options.clock.wall()), surface), json);
}
