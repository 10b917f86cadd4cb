/** Tools and the choice among them, the old `functions` included. */
import { create } from "@bufbuild/protobuf";
import {
  FunctionToolSchema,
  HostedToolKind,
  type Tool,
  type ToolChoice,
  ToolChoiceMode,
  ToolChoiceSchema,
  ToolSchema,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { describe, Fields, type Located } from "../../core/fields.ts";
import { isJsonObject, jsonText } from "../../core/json.ts";
import { readCacheMarker } from "./read-content.ts";
import { format, hostedKinds, toolChoiceModes, webSearchField } from "./wire.ts";

const maxNameLength = 256;

export function readTools(body: Fields): Tool[] {
  const tools = (body.array("tools") ?? []).map(readTool);
  for (const old of body.objects("functions") ?? []) {
    const tool = create(ToolSchema, { tool: { case: "function", value: readFunction(old) } });
    const rest = old.rest();
    if (rest !== undefined) tool.extrasJson[format] = `{"function":${rest}}`;
    tools.push(tool);
  }
  const webSearch = body.objectText(webSearchField);
  if (webSearch !== undefined) tools.push(hosted(HostedToolKind.WEB_SEARCH, webSearchField, webSearch));
  return tools;
}

function readTool({ value, path }: Located): Tool {
  const fields = new Fields(value, path);
  const type = fields.string("type") ?? "function";
  if (type !== "function" && type !== "custom") return hosted(hostedKinds[type] ?? HostedToolKind.UNSPECIFIED, type, jsonText(value));
  const definition = fields.object(type) ?? fields.fail(type, "is required");
  const tool =
    type === "function"
      ? create(ToolSchema, { tool: { case: "function", value: readFunction(definition) } })
      : create(ToolSchema, { tool: { case: "custom", value: readCustom(definition) } });
  const cache = readCacheMarker(fields) ?? readCacheMarker(definition);
  if (cache !== undefined) tool.cache = cache;
  tool.extrasJson = fields.extras(format);
  return tool;
}

function hosted(kind: HostedToolKind, type: string, configJson: string): Tool {
  return create(ToolSchema, { tool: { case: "hosted", value: { kind, format, type, configJson } } });
}

function readName(definition: Fields): string {
  const name = definition.string("name") ?? definition.fail("name", "is required");
  if (name === "") definition.fail("name", "must not be empty");
  return name.length > maxNameLength ? definition.fail("name", `must have at most ${maxNameLength} characters`) : name;
}

function readFunction(definition: Fields) {
  const strict = definition.boolean("strict");
  return create(FunctionToolSchema, {
    name: readName(definition),
    description: definition.string("description") ?? "",
    parametersJson: definition.objectText("parameters") ?? "",
    ...(strict === undefined ? {} : { strict }),
  });
}

function readCustom(definition: Fields) {
  const name = readName(definition);
  const description = definition.string("description") ?? "";
  const shape = definition.peek("format");
  if (!isJsonObject(shape) || (shape.type !== "grammar" && shape.type !== "text")) return { name, description };
  const fields = definition.object("format");
  fields?.string("type");
  if (shape.type === "text") return { name, description };
  const grammar = fields?.object("grammar");
  return { name, description, grammar: { syntax: grammar?.string("syntax") ?? "", definition: grammar?.string("definition") ?? "" } };
}

/** `tool_choice`, `parallel_tool_calls` and the old `function_call`; undefined where none is given. */
export function readToolChoice(body: Fields): ToolChoice | undefined {
  const choice = create(ToolChoiceSchema);
  const isGiven = readChoice(body, "tool_choice", choice) || (!body.has("tool_choice") && readChoice(body, "function_call", choice));
  const parallel = body.boolean("parallel_tool_calls");
  if (parallel !== undefined) choice.parallel = parallel;
  return isGiven || parallel !== undefined ? choice : undefined;
}

function readChoice(body: Fields, name: "tool_choice" | "function_call", choice: ToolChoice): boolean {
  const value = body.peek(name);
  if (value === undefined) return false;
  if (typeof value === "string") {
    const mode = toolChoiceModes[body.word(name, Object.keys(toolChoiceModes)) ?? ""];
    choice.mode = mode ?? ToolChoiceMode.UNSPECIFIED;
    return true;
  }
  if (!isJsonObject(value)) return body.fail(name, `must be a string or an object, not ${describe(value)}`);
  const type = name === "function_call" ? "old" : (value.type ?? "function");
  if (type === "allowed_tools") return readAllowed(body, name, choice);
  if (type !== "function" && type !== "custom" && type !== "old") return false;
  const fields = body.object(name) as Fields;
  fields.string("type");
  const named = type === "old" ? fields : (fields.object(type) ?? fields.fail(type, "is required"));
  choice.mode = ToolChoiceMode.TOOL;
  choice.toolName = named.requiredString("name");
  return true;
}

function readAllowed(body: Fields, name: string, choice: ToolChoice): boolean {
  const fields = body.object(name) as Fields;
  fields.string("type");
  const allowed = fields.object("allowed_tools") ?? fields.fail("allowed_tools", "is required");
  const mode = allowed.word("mode", ["auto", "required"]) ?? allowed.fail("mode", "is required");
  choice.mode = toolChoiceModes[mode] as ToolChoiceMode;
  choice.allowedTools = (allowed.objects("tools") ?? []).map((tool) => {
    const type = tool.string("type") ?? "function";
    const named = tool.object(type) ?? tool;
    return named.string("name") ?? tool.fail(type, "with a name is required: only named tools can be allowed");
  });
  return true;
}
