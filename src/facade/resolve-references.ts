/** Items of earlier answers that a Responses call names instead of repeating them. */
import { itemReferences, resolveItemReferences, responseOfItem } from "../codecs/openai-responses/index.ts";
import { isJsonObject, type JsonObject, type JsonValue, parseJson, upstreamJsonLimits } from "../core/json.ts";
import type { Exchange } from "./endpoint.ts";

/** The body with the items themselves where the caller's kept answers have them; others are the upstream's to know. */
export async function resolveReferences({ options, principal }: Exchange, body: JsonValue): Promise<JsonValue> {
  const named = itemReferences(body);
  if (named.length === 0 || !isJsonObject(body)) return body;
  const items = new Map<string, JsonObject>();
  for (const responseId of new Set(named.map(responseOfItem))) {
    const kept = responseId === undefined ? undefined : await options.responses.get(principal.tenant, principal.id, responseId);
    if (kept === undefined) continue;
    const response = parseJson(kept.responseJson, upstreamJsonLimits);
    const output = isJsonObject(response) && Array.isArray(response.output) ? response.output : [];
    for (const item of output) if (isJsonObject(item) && typeof item.id === "string") items.set(item.id, item);
  }
  return resolveItemReferences(body, (id) => items.get(id));
}
