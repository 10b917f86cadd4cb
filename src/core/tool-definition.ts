/** What writers of tool definitions share. */
import type { Tool } from "../../gen/dragoman/v1/generate_pb.ts";
import { jsonText, RawJson, type WritableObject } from "./json.ts";
import { readJsonObject } from "./json-field.ts";

/** The name that a choice among tools names it by: a hosted tool has its type. */
export function toolName({ tool }: Tool): string {
  return tool.case === "hosted" ? tool.value.type : (tool.value?.name ?? "");
}

/**
 * `parameters_json` where `type: object` is required: the client's own text, so that prompt caches see the same bytes.
 * Throws invalid_request, with `path` as the field, where it is no JSON object.
 */
export function objectParameters(parametersJson: string, path: string): RawJson | WritableObject {
  if (parametersJson.trim() === "") return { type: "object", properties: {} };
  const schema = readJsonObject(parametersJson, path);
  if (schema.type !== undefined) return new RawJson(parametersJson);
  const members = jsonText(schema).trim().slice(1);
  return new RawJson(`{"type":"object"${/^\s*\}$/.test(members) ? ',"properties":{}' : ","}${members}`);
}
