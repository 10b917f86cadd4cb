/** A `functionResponse`: what a tool answered, always an object. */
import { create } from "@bufbuild/protobuf";
import { type Part, PartSchema, type ToolResult, ToolResultSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Fields } from "../../core/fields.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText, tryParseJson } from "../../core/json.ts";
import { readFileData, readInlineData } from "./read-media.ts";
import { formatName } from "./wire.ts";

/** `toolCallId` is that of the call it answers. Members of `response` that are not modelled stay unread. */
export function readToolResult(response: Fields, toolCallId: string, name: string): ToolResult {
  const value = response.value("response") ?? {};
  if (!isJsonObject(value)) response.fail("response", "must be an object");
  const result = create(ToolResultSchema, { toolCallId, name });
  readResponse(value as JsonObject, result);
  for (const part of response.objects("parts") ?? []) result.content.push(readMediaPart(part));
  return result;
}

/**
 * `{output}` and `{error}` alone are how plain results are said; they are unwrapped where writing wraps them again in the
 * same way, so that other formats get the result itself.
 */
function readResponse(response: JsonObject, result: ToolResult): void {
  const [name, ...others] = Object.keys(response);
  const inner = name === undefined ? undefined : (response[name] as JsonValue);
  result.isError = name === "error" && others.length === 0;
  const isWrapped = others.length === 0 && (name === "output" || name === "error") && inner !== undefined;
  if (!isWrapped || isJsonObject(inner)) result.resultJson = jsonText(response);
  else if (typeof inner !== "string") result.resultJson = jsonText(inner);
  else if (isJsonObject(tryParseJson(inner))) result.resultJson = jsonText(response);
  else result.content.push(create(PartSchema, { part: { case: "text", value: inner } }));
}

function readMediaPart(fields: Fields): Part {
  const { kind, media } = fields.has("fileData") ? readFileData(fields) : readInlineData(fields);
  return create(PartSchema, { part: { case: kind, value: media }, extrasJson: fields.extras(formatName) });
}
