/** Tools and the choice among them. */
import { create } from "@bufbuild/protobuf";
import {
  type ToolChoice as CoreChoice,
  type Tool as CoreTool,
  type CustomTool,
  type FunctionTool,
  type GenerateRequest,
  type HostedTool,
  ToolChoiceMode,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import {
  FunctionSchema,
  type GetCompletionsRequest,
  type Tool,
  type ToolChoice,
  ToolChoiceSchema,
  ToolSchema,
} from "../../../gen/xai/api/v1/chat_pb.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { reportForeignExtras } from "../../core/extras.ts";
import { upstreamJsonLimits, writeJson } from "../../core/json.ts";
import { readJsonObject } from "../../core/json-field.ts";
import { readMessage } from "./json-message.ts";
import { formatName, hostedTools, toolModes } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

/** Writes `tools`, `tool_choice` and `parallel_tool_calls`. */
export function writeTools(message: GetCompletionsRequest, request: GenerateRequest, context: WriteContext): void {
  const { report } = context;
  const choice = request.toolChoice;
  const allowed = new Set(choice?.allowedTools);
  for (const [index, tool] of request.tools.entries()) {
    if (allowed.size > 0 && !allowed.has(nameOf(tool))) continue;
    const written = writeTool(tool, `tools[${index}]`, context);
    if (written !== undefined) message.tools.push(written);
  }
  if (choice === undefined) return;
  if (allowed.size > 0) report.emulated("tool_choice.allowed_tools", "the other tools are left out");
  const written = writeChoice(choice, message.tools.length > 0, context);
  if (written !== undefined) message.toolChoice = written;
  // True is what the service does unasked.
  if (choice.parallel === false && message.tools.length > 0) message.parallelToolCalls = false;
}

function nameOf({ tool }: CoreTool): string {
  return tool.case === "function" || tool.case === "custom" ? tool.value.name : "";
}

function writeTool({ tool, cache, extrasJson }: CoreTool, path: string, context: WriteContext): Tool | undefined {
  const { report } = context;
  if (cache !== undefined) report.dropped(`${path}.cache`, "prefixes are cached without markers");
  reportForeignExtras(extrasJson, formatName, path, report);
  switch (tool.case) {
    case "function":
      return writeFunction(tool.value, path, context);
    case "custom":
      return writeCustom(tool.value, path, context);
    case "hosted":
      return writeHosted(tool.value, path, context);
    default:
      return undefined;
  }
}

function writeFunction(
  { name, description, parametersJson, strict, resultSchemaJson }: FunctionTool,
  path: string,
  { report }: WriteContext,
): Tool {
  if (resultSchemaJson !== "") report.dropped(`${path}.function.result_schema_json`, "the target takes no schema of results");
  // It goes out as the very text that came in.
  if (parametersJson !== "") readJsonObject(parametersJson, `${path}.function.parameters_json`, upstreamJsonLimits);
  const parameters = parametersJson || '{"type":"object","properties":{}}';
  const value = create(FunctionSchema, { name, description, parameters, strict: strict ?? false });
  return create(ToolSchema, { tool: { case: "function", value } });
}

function writeCustom({ name, description, grammar }: CustomTool, path: string, { report, state }: WriteContext): Tool {
  state.customTools.add(name);
  report.emulated(`${path}.custom`, "a function with one text argument: the target knows no free-text tools; undone in the answer");
  const rule = grammar === undefined ? "" : ` It must follow this ${grammar.syntax} grammar: ${grammar.definition}`;
  const parameters = writeJson({
    type: "object",
    properties: { [customToolArgument]: { type: "string", description: `The tool's input.${rule}` } },
    required: [customToolArgument],
    additionalProperties: false,
  });
  return create(ToolSchema, { tool: { case: "function", value: create(FunctionSchema, { name, description, parameters }) } });
}

function writeHosted({ kind, format, configJson }: HostedTool, path: string, { report }: WriteContext): Tool | undefined {
  if (format === formatName && configJson !== "") return readMessage(ToolSchema, configJson, `${path}.hosted.config_json`);
  const own = hostedTools[kind];
  if (own === undefined) {
    report.dropped(path, `a provider-run tool of ${format || "another format"} has no equal`);
    return undefined;
  }
  if (format !== "" && format !== formatName) report.emulated(path, `${own} in its default configuration`);
  return readMessage(ToolSchema, `{"${own}":{}}`, path);
}

function writeChoice(choice: CoreChoice, hasTools: boolean, { report }: WriteContext): ToolChoice | undefined {
  const { mode, toolName, allowedTools } = choice;
  if (!hasTools) {
    // NONE and the default say nothing where there are no tools.
    const isSaid = mode === ToolChoiceMode.REQUIRED || mode === ToolChoiceMode.TOOL || allowedTools.length > 0;
    if (isSaid) report.dropped("tool_choice", "there are no tools to choose from");
    return undefined;
  }
  if (mode === ToolChoiceMode.TOOL) return create(ToolChoiceSchema, { toolChoice: { case: "functionName", value: toolName } });
  const value = toolModes[mode];
  return value === undefined ? undefined : create(ToolChoiceSchema, { toolChoice: { case: "mode", value } });
}
