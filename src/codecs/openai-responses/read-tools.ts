/** Tools, flat as Responses has them, and the choice among them. */
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
import { isJsonObject, type JsonObject, type JsonValue, jsonText } from "../../core/json.ts";
import { format, hostedKinds, toolChoiceModes } from "./wire.ts";

const maxNameLength = 256;

export function readTools(body: Fields): Tool[] {
  return (body.array("tools") ?? []).map(readTool);
}

function readTool({ value, path }: Located): Tool {
  const fields = new Fields(value, path);
  const type = fields.requiredString("type");
  if (type === "function") return readFunction(fields);
  if (type === "custom") return readCustom(fields);
  const kind = hostedKinds[type] ?? HostedToolKind.UNSPECIFIED;
  return create(ToolSchema, { tool: { case: "hosted", value: { kind, format, type, configJson: jsonText(value) } } });
}

function readName(fields: Fields): string {
  const name = fields.requiredString("name");
  if (name === "") fields.fail("name", "must not be empty");
  return name.length > maxNameLength ? fields.fail("name", `must have at most ${maxNameLength} characters`) : name;
}

function readFunction(fields: Fields): Tool {
  const strict = fields.boolean("strict");
  const value = create(FunctionToolSchema, {
    name: readName(fields),
    description: fields.string("description") ?? "",
    parametersJson: fields.objectText("parameters") ?? "",
    resultSchemaJson: fields.objectText("output_schema") ?? "",
    ...(strict === undefined ? {} : { strict }),
  });
  // Absence means true here and false elsewhere: extras, empty or not, say that the tool came in this format.
  const extras = fields.rest() ?? (strict === undefined ? "{}" : undefined);
  return create(ToolSchema, { tool: { case: "function", value }, extrasJson: extras === undefined ? {} : { [format]: extras } });
}

function readCustom(fields: Fields): Tool {
  const name = readName(fields);
  const description = fields.string("description") ?? "";
  const value = { name, description, ...readGrammar(fields) };
  return create(ToolSchema, { tool: { case: "custom", value }, extrasJson: fields.extras(format) });
}

function readGrammar(fields: Fields) {
  const shape = fields.peek("format");
  if (!isJsonObject(shape) || (shape.type !== "grammar" && shape.type !== "text")) return {};
  const grammar = fields.object("format");
  grammar?.string("type");
  if (shape.type === "text") return {};
  return { grammar: { syntax: grammar?.string("syntax") ?? "", definition: grammar?.string("definition") ?? "" } };
}

/** `tool_choice` and `parallel_tool_calls`; undefined where neither says anything that is modelled. */
export function readToolChoice(body: Fields): ToolChoice | undefined {
  const choice = create(ToolChoiceSchema);
  const isGiven = readChoice(body, choice);
  const parallel = body.boolean("parallel_tool_calls");
  if (parallel !== undefined) choice.parallel = parallel;
  return isGiven || parallel !== undefined ? choice : undefined;
}

function readChoice(body: Fields, choice: ToolChoice): boolean {
  const value = body.peek("tool_choice");
  if (value === undefined) return false;
  if (typeof value === "string") {
    choice.mode = toolChoiceModes[body.word("tool_choice", Object.keys(toolChoiceModes)) ?? ""] ?? ToolChoiceMode.UNSPECIFIED;
    return true;
  }
  if (!isJsonObject(value)) return body.fail("tool_choice", `must be a string or an object, not ${describe(value)}`);
  if (value.type === "allowed_tools") return readAllowed(body, value, choice);
  // A tool that the provider runs stays as it is.
  if (value.type !== "function" && value.type !== "custom") return false;
  const fields = body.object("tool_choice") as Fields;
  fields.string("type");
  choice.mode = ToolChoiceMode.TOOL;
  choice.toolName = fields.requiredString("name");
  return true;
}

/** Where one of them is run by the provider, the whole list stays as it is. */
function readAllowed(body: Fields, value: JsonObject, choice: ToolChoice): boolean {
  if (!Array.isArray(value.tools) || !value.tools.every(isNamed)) return false;
  const fields = body.object("tool_choice") as Fields;
  fields.string("type");
  const mode = fields.word("mode", ["auto", "required"]) ?? fields.fail("mode", "is required");
  choice.mode = toolChoiceModes[mode] as ToolChoiceMode;
  choice.allowedTools = (fields.objects("tools") ?? []).map((tool) => tool.requiredString("name"));
  return true;
}

function isNamed(tool: JsonValue): boolean {
  return isJsonObject(tool) && (tool.type === "function" || tool.type === "custom");
}
