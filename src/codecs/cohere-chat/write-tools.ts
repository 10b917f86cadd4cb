/** Tool definitions and the choice among them. Schemas go out as the very text that came in. */
import {
  type CustomTool,
  type FunctionTool,
  type HostedTool,
  type Tool,
  type ToolChoice,
  ToolChoiceMode,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument, customToolDescription, customToolParameters } from "../../core/custom-tool.ts";
import { invalidField } from "../../core/error.ts";
import { writeExtras } from "../../core/extras.ts";
import type { RawJson, WritableObject } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import { legalToolName } from "./legal-names.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

const openSchema: WritableObject = { type: "object", properties: {} };

/** Members of the request: `tools`, `strict_tools`, `tool_choice`. */
export function writeTools(tools: readonly Tool[], choice: ToolChoice | undefined, context: WriteContext): WritableObject {
  const named = namedTools(choice, context);
  const written = tools.flatMap((tool, index) => {
    const path = `tools[${index}]`;
    if (tool.cache !== undefined) context.report.dropped(`${path}.cache`, "prefixes are cached without marks");
    if (named !== undefined && !named.has(toolName(tool))) return [];
    return writeTool(tool, path, context) ?? [];
  });
  const mode = writeMode(choice, written.length > 0, context);
  if (written.length === 0) return {};
  return { tools: written, strict_tools: writeStrict(tools, context), tool_choice: mode };
}

/** The tools that a choice leaves; undefined where it leaves all. The API has no such list. */
function namedTools(choice: ToolChoice | undefined, { report }: WriteContext): ReadonlySet<string> | undefined {
  if (choice === undefined) return undefined;
  if (choice.mode === ToolChoiceMode.TOOL) {
    report.emulated("tool_choice.tool_name", "a call of any tool is required, and the other tools are left out");
    return new Set([choice.toolName]);
  }
  if (choice.allowedTools.length === 0) return undefined;
  report.emulated("tool_choice.allowed_tools", "the other tools are left out");
  return new Set(choice.allowedTools);
}

/** The API lets the model choose by itself where nothing is said. */
function writeMode(choice: ToolChoice | undefined, hasTools: boolean, { report }: WriteContext): string | undefined {
  if (choice === undefined) return undefined;
  const { mode, parallel } = choice;
  const isForced = mode === ToolChoiceMode.REQUIRED || mode === ToolChoiceMode.TOOL;
  if (!hasTools) {
    if (isForced) report.dropped("tool_choice.mode", "there are no tools to choose from");
    return undefined;
  }
  if (parallel === false && mode !== ToolChoiceMode.NONE) report.dropped("tool_choice.parallel", "the number of calls cannot be limited");
  if (mode === ToolChoiceMode.NONE) return "NONE";
  return isForced ? "REQUIRED" : undefined;
}

/** One switch holds all tools to their schemas. */
function writeStrict(tools: readonly Tool[], { report }: WriteContext): boolean | undefined {
  const strict = tools.map(({ tool }) => tool.case === "function" && tool.value.strict === true);
  if (strict.length > 0 && strict.every((isStrict) => isStrict)) return true;
  strict.forEach((isStrict, index) => {
    if (isStrict) report.coerced(`tools[${index}].function.strict`, "best effort: the API holds all tools to their schemas, or none");
  });
  return undefined;
}

function toolName({ tool }: Tool): string {
  return tool.case === "function" || tool.case === "custom" ? tool.value.name : "";
}

function writeTool(tool: Tool, path: string, context: WriteContext): WritableObject | RawJson | undefined {
  const { tool: content, extrasJson } = tool;
  let written: WritableObject;
  switch (content.case) {
    case "function":
      written = { type: "function", function: writeFunction(content.value, `${path}.function`, context) };
      break;
    case "custom":
      written = { type: "function", function: writeCustom(content.value, `${path}.custom`, context) };
      break;
    case "hosted":
      return writeHosted(content.value, `${path}.hosted`, context);
    default:
      throw invalidField(path, "names no tool");
  }
  writeExtras(written, extrasJson, formatName, path, context.report);
  return written;
}

function writeFunction(tool: FunctionTool, path: string, context: WriteContext): WritableObject {
  if (tool.resultSchemaJson !== "") context.report.dropped(`${path}.result_schema_json`, "results have no schema");
  return {
    name: sentName(tool.name, path, context),
    description: tool.description || undefined,
    parameters: tool.parametersJson.trim() === "" ? openSchema : rawJsonObject(tool.parametersJson, `${path}.parameters_json`),
  };
}

/** A free-text tool as a function with one argument; the reader undoes it. */
function writeCustom(tool: CustomTool, path: string, context: WriteContext): WritableObject {
  context.report.emulated(path, `a function with the argument ${customToolArgument}`);
  const sent = sentName(tool.name, path, context);
  context.state.customTools.add(sent);
  return {
    name: sent,
    description: customToolDescription(tool),
    parameters: customToolParameters(),
  };
}

function writeHosted(
  { format, type, configJson }: HostedTool,
  path: string,
  { report }: WriteContext,
): WritableObject | RawJson | undefined {
  if (format !== formatName) {
    report.dropped(path, `a tool of ${format || "another format"} that has no equal`);
    return undefined;
  }
  return configJson === "" ? { type } : rawJsonObject(configJson, `${path}.config_json`);
}

function sentName(name: string, path: string, { report, state }: WriteContext): string {
  const sent = legalToolName(name);
  if (sent === name) return name;
  state.originalNames.set(sent, name);
  report.coerced(`${path}.name`, "letters, digits and _, at most 64; the answer has the original");
  return sent;
}
