/** Free-text tools where a format has none: a function with one text argument, which the reader of the answer undoes. */
import type { CustomTool } from "../../gen/dragoman/v1/generate_pb.ts";
import { isJsonObject, tryParseJson, upstreamJsonLimits, type WritableObject } from "./json.ts";

/** The one argument. */
export const customToolArgument = "input";

/** The tool's own description, and its grammar in words. */
export function customToolDescription({ description, grammar }: CustomTool): string | undefined {
  const rule = grammar === undefined ? "" : `The ${customToolArgument} must follow this ${grammar.syntax} grammar:\n${grammar.definition}`;
  return [description, rule].filter((text) => text !== "").join("\n\n") || undefined;
}

/** JSON Schema of the arguments. */
export function customToolParameters(): WritableObject {
  return { type: "object", properties: { [customToolArgument]: { type: "string" } }, required: [customToolArgument] };
}

/** The text in the JSON text of such arguments; what is no such object is the text itself. */
export function unwrapInput(argumentsJson: string): string {
  const value = tryParseJson(argumentsJson, upstreamJsonLimits);
  const input = isJsonObject(value) ? value[customToolArgument] : undefined;
  return typeof input === "string" ? input : argumentsJson;
}
