/** Tool definitions and the choice among them. */
import {
  type CustomTool,
  type FunctionTool,
  type HostedTool,
  HostedToolKind,
  type Tool,
  type ToolChoice,
  ToolChoiceMode,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument, customToolDescription, customToolParameters } from "../../core/custom-tool.ts";
import { invalidField } from "../../core/error.ts";
import { writeExtras } from "../../core/extras.ts";
import type { WritableObject } from "../../core/json.ts";
import { readJsonObject } from "../../core/json-field.ts";
import { objectParameters, toolName } from "../../core/tool-definition.ts";
import { legalToolName } from "./legal-names.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

/** The API's tools that stand in for another format's of the same kind, without configuration. */
const standIns: Readonly<Partial<Record<HostedToolKind, WritableObject>>> = {
  [HostedToolKind.WEB_SEARCH]: { type: "web_search_20250305", name: "web_search" },
  [HostedToolKind.WEB_FETCH]: { type: "web_fetch_20250910", name: "web_fetch" },
  [HostedToolKind.CODE_EXECUTION]: { type: "code_execution_20250825", name: "code_execution" },
};

/** Without those that the choice leaves out or the API does not have. Fills the call's state with names to undo. */
export function writeTools(tools: readonly Tool[], choice: ToolChoice | undefined, context: WriteContext): WritableObject[] {
  const allowed = choice === undefined || choice.allowedTools.length === 0 ? undefined : new Set(choice.allowedTools);
  if (allowed !== undefined) context.report.emulated("tool_choice.allowed_tools", "the other tools are left out");
  return tools.flatMap((tool, index) => {
    const path = `tools[${index}]`;
    if (allowed !== undefined && !allowed.has(toolName(tool))) return [];
    const written = writeTool(tool, path, context);
    if (written === undefined) {
      if (tool.cache !== undefined) context.report.dropped(`${path}.cache`, "its tool is left out");
      return [];
    }
    writeExtras(written, tool.extrasJson, formatName, path, context.report);
    context.markers.mark(written, tool.cache, `${path}.cache`);
    return [written];
  });
}

function writeTool({ tool }: Tool, path: string, context: WriteContext): WritableObject | undefined {
  switch (tool.case) {
    case "function":
      return writeFunction(tool.value, `${path}.function`, context);
    case "custom":
      return writeCustom(tool.value, `${path}.custom`, context);
    case "hosted":
      return writeHosted(tool.value, `${path}.hosted`, context);
    default:
      throw invalidField(path, "names no tool");
  }
}

function writeFunction(tool: FunctionTool, path: string, context: WriteContext): WritableObject {
  const { report, target } = context;
  if (tool.resultSchemaJson !== "") report.dropped(`${path}.result_schema_json`, "results have no schema");
  const canBeStrict = target.traits.structuredOutput !== false;
  if (tool.strict === true && !canBeStrict) report.coerced(`${path}.strict`, "false, as the model cannot be held to a schema");
  return {
    name: sentName(tool.name, path, context),
    description: tool.description || undefined,
    input_schema: objectParameters(tool.parametersJson, `${path}.parameters_json`),
    strict: canBeStrict ? tool.strict : undefined,
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
    input_schema: customToolParameters(),
  };
}

function writeHosted({ format, type, kind, configJson }: HostedTool, path: string, { report }: WriteContext): WritableObject | undefined {
  if (format === formatName) {
    const config: WritableObject = configJson === "" ? {} : { ...(readJsonObject(configJson, `${path}.config_json`) as WritableObject) };
    config.type ??= type;
    // Hosted tools are called by the type without its date.
    config.name ??= String(config.type).replace(/_\d{8}$/, "");
    return config;
  }
  const standIn = standIns[kind];
  if (standIn === undefined) {
    report.dropped(path, `a tool of ${format || "another format"} that has no equal`);
    return undefined;
  }
  report.emulated(path, `${standIn.type} with its default configuration`);
  return { ...standIn };
}

function sentName(name: string, path: string, { report, state }: WriteContext): string {
  const sent = legalToolName(name);
  if (sent === name) return name;
  state.originalNames.set(sent, name);
  report.coerced(`${path}.name`, "letters, digits, _ and -, at most 128; the answer has the original");
  return sent;
}

/** Undefined where the API's default says the same. */
export function writeToolChoice(
  choice: ToolChoice | undefined,
  tools: readonly WritableObject[],
  { report }: WriteContext,
): WritableObject | undefined {
  if (choice === undefined) return undefined;
  const { mode, toolName: name, parallel } = choice;
  if (tools.length === 0) {
    if (mode !== ToolChoiceMode.UNSPECIFIED) report.dropped("tool_choice.mode", "there are no tools to choose from");
    return undefined;
  }
  const single = parallel === false ? true : undefined;
  switch (mode) {
    case ToolChoiceMode.NONE:
      return { type: "none" };
    case ToolChoiceMode.REQUIRED:
      return { type: "any", disable_parallel_tool_use: single };
    case ToolChoiceMode.TOOL:
      return { type: "tool", name: legalToolName(name), disable_parallel_tool_use: single };
    case ToolChoiceMode.AUTO:
      return { type: "auto", disable_parallel_tool_use: single };
    default:
      return single === undefined ? undefined : { type: "auto", disable_parallel_tool_use: single };
  }
}

/** Whether a choice makes the model call a tool. */
export function forcesCall(choice: WritableObject | undefined): boolean {
  return choice?.type === "any" || choice?.type === "tool";
}
