/** What the keeper of answers must know of Responses: input items with ids, and references to items of earlier answers. */
import { isJsonObject, type JsonObject, type JsonValue, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { shortHash } from "../../core/legal-name.ts";
import { inputItems } from "./read-items.ts";
import { idPrefix } from "./wire.ts";

/**
 * JSON text of each input item of a request's body, as `GET /v1/responses/{id}/input_items` lists them: in order, ids and
 * states filled in, text as content parts.
 */
export function writeInputItems(body: JsonValue): string[] {
  return inputItems(isJsonObject(body) ? body.input : undefined).map((item, index) => {
    const type = typeOf(item);
    const { id, ...rest } = item;
    const made = `${idPrefix(type)}${shortHash(`${index} ${writeJson(item as Writable)}`, 32)}`;
    const written: WritableObject = { ...(rest as WritableObject), type, id: typeof id === "string" && id !== "" ? id : made };
    if (type === "message") {
      const textType = item.role === "assistant" ? "output_text" : "input_text";
      if (typeof item.content === "string") written.content = [textPart(textType, item.content)];
      written.status ??= "completed";
    }
    return writeJson(written);
  });
}

function textPart(type: string, text: string): WritableObject {
  return type === "output_text" ? { type, text, annotations: [] } : { type, text };
}

function typeOf({ type, role, id }: JsonObject): string {
  if (typeof type === "string") return type;
  return role === undefined && id !== undefined ? "item_reference" : "message";
}

/** Ids of earlier items that a request's body names instead of repeating them (`item_reference`). */
export function itemReferences(body: JsonValue): string[] {
  return inputItems(isJsonObject(body) ? body.input : undefined).flatMap((item) =>
    typeOf(item) === "item_reference" && typeof item.id === "string" ? [item.id] : [],
  );
}

/** The id of the kept answer that an output item belongs to, by the item's id alone; undefined for ids of others. */
export function responseOfItem(itemId: string): string | undefined {
  const made = /^[a-z]+_(.+)_\d+r?$/.exec(itemId);
  return made === null ? undefined : `resp_${made[1]}`;
}

/**
 * The body with items in place of the references to them. `find` gives the JSON text of the item with this id, as a kept
 * answer's `output` has it; references that it does not know stay.
 */
export function resolveItemReferences(body: JsonObject, find: (itemId: string) => JsonObject | undefined): JsonObject {
  if (!Array.isArray(body.input)) return body;
  const input = body.input.map((item) => {
    if (!isJsonObject(item) || typeOf(item) !== "item_reference" || typeof item.id !== "string") return item;
    return find(item.id) ?? item;
  });
  return { ...body, input };
}
