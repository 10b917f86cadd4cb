/** Tool definitions and the choice among them. */
import { create } from "@bufbuild/protobuf";
import {
  FunctionToolSchema,
  HostedToolSchema,
  type Tool,
  type ToolChoice,
  ToolChoiceMode,
  ToolChoiceSchema,
  ToolSchema,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { Fields, type Located } from "../../core/fields.ts";
import { isJsonObject, type JsonObject, jsonText, type Writable, writeJson } from "../../core/json.ts";
import { readCacheControl } from "./read-cache-control.ts";
import { formatName, hostedKind, toolChoiceModes } from "./wire.ts";

const maxNameLength = 256;

export function readTools(body: Fields): Tool[] {
  return (body.array("tools") ?? []).map(readTool);
}

function readTool(located: Located): Tool {
  const fields = new Fields(located.value, located.path);
  const type = fields.string("type") ?? "custom";
  return type === "custom" ? readFunction(fields) : readHosted(type, fields, located.value as JsonObject);
}

/** What the API calls custom is a function with a schema. */
function readFunction(fields: Fields): Tool {
  const strict = fields.boolean("strict");
  const value = create(FunctionToolSchema, {
    name: readName(fields),
    description: fields.string("description") ?? "",
    parametersJson: fields.objectText("input_schema") ?? "",
    ...(strict === undefined ? {} : { strict }),
  });
  const cache = readCacheControl(fields);
  return create(ToolSchema, {
    tool: { case: "function", value },
    ...(cache === undefined ? {} : { cache }),
    extrasJson: fields.extras(formatName),
  });
}

function readName(fields: Fields): string {
  const name = fields.requiredString("name");
  if (name === "") fields.fail("name", "must not be empty");
  return name.length > maxNameLength ? fields.fail("name", `must have at most ${maxNameLength} characters`) : name;
}

/** Kept whole but for the cache marker, which counts among those of the request. */
function readHosted(type: string, fields: Fields, tool: JsonObject): Tool {
  const cache = readCacheControl(fields);
  const { cache_control: _marker, ...config } = tool;
  const value = create(HostedToolSchema, {
    kind: hostedKind(type),
    format: formatName,
    type,
    configJson: cache === undefined ? jsonText(tool) : writeJson(config as Writable),
  });
  return create(ToolSchema, { tool: { case: "hosted", value }, ...(cache === undefined ? {} : { cache }) });
}

/** Undefined where none is given, or one of a type that is not known here: it stays unread, so that it survives in extras. */
export function readToolChoice(body: Fields): ToolChoice | undefined {
  const value = body.peek("tool_choice");
  if (isJsonObject(value) && typeof value.type === "string" && !Object.hasOwn(toolChoiceModes, value.type)) return undefined;
  const fields = body.object("tool_choice");
  if (fields === undefined) return undefined;
  const mode = toolChoiceModes[fields.requiredString("type")] ?? ToolChoiceMode.UNSPECIFIED;
  const choice = create(ToolChoiceSchema, { mode });
  if (mode === ToolChoiceMode.TOOL) choice.toolName = fields.requiredString("name");
  const single = fields.boolean("disable_parallel_tool_use");
  if (single !== undefined) choice.parallel = !single;
  return choice;
}
