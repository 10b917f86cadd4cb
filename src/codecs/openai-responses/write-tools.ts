/** Tools and the choice among them. Schemas go out as the very text that came in: its order is part of prompt caches. */
import {
  type CustomTool,
  type FunctionTool,
  type GenerateRequest,
  type HostedTool,
  HostedToolKind,
  type Tool,
  type ToolChoice,
  ToolChoiceMode,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { writeExtras } from "../../core/extras.ts";
import type { Writable, WritableObject } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import { legalToolName } from "./legal-names.ts";
import { format } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

/** Writes `tools`, `tool_choice` and `parallel_tool_calls` into the body. */
export function writeTools(body: WritableObject, request: GenerateRequest, context: WriteContext): void {
  const tools = request.tools.map((tool, index) => writeTool(tool, `tools[${index}]`, context)).filter((written) => written !== undefined);
  if (tools.length > 0) body.tools = tools;
  if (request.toolChoice !== undefined) writeChoice(body, request.toolChoice, request.tools, tools.length > 0, context);
}

function writeTool(tool: Tool, path: string, context: WriteContext): Writable | undefined {
  const { case: kind, value } = tool.tool;
  if (kind === "hosted") return writeHosted(value, path, context);
  let written: WritableObject;
  if (kind === "function") written = writeFunction(value, path, tool.extrasJson[format] !== undefined, context);
  else if (kind === "custom") written = writeCustom(value, path, context);
  else return undefined;
  writeExtras(written, tool.extrasJson, format, path, context.report);
  // The API wants the member, null or not.
  if (kind === "function" && written.parameters === undefined) written.parameters = { type: "object", properties: {} };
  return written;
}

/** The name that is sent; what was changed is remembered for the answer. */
function sentName(name: string, path: string, { state, report }: WriteContext): string {
  const sent = legalToolName(name);
  if (sent !== name) {
    state.originalNames.set(sent, name);
    report.coerced(`${path}.name`, "a name of letters, digits, _ and - that the target takes; undone in the answer");
  }
  return sent;
}

/** `isOwn`: the tool came in this format, where absence of `strict` means true. */
function writeFunction(tool: FunctionTool, path: string, isOwn: boolean, context: WriteContext): WritableObject {
  const written: WritableObject = { type: "function", name: sentName(tool.name, `${path}.function`, context) };
  if (tool.description !== "") written.description = tool.description;
  if (tool.parametersJson !== "") written.parameters = rawJsonObject(tool.parametersJson, `${path}.function.parameters_json`);
  if (tool.strict !== undefined) written.strict = tool.strict;
  else if (!isOwn) written.strict = false;
  if (tool.resultSchemaJson !== "") written.output_schema = rawJsonObject(tool.resultSchemaJson, `${path}.function.result_schema_json`);
  return written;
}

function writeCustom(tool: CustomTool, path: string, context: WriteContext): WritableObject {
  const written: WritableObject = { type: "custom", name: sentName(tool.name, `${path}.custom`, context) };
  if (tool.description !== "") written.description = tool.description;
  if (tool.grammar !== undefined) {
    const { syntax, definition } = tool.grammar;
    written.format = { type: "grammar", syntax, definition };
  }
  return written;
}

/** What stands in for another vendor's tool of the same kind. */
const standIns: Readonly<Record<number, WritableObject>> = {
  [HostedToolKind.WEB_SEARCH]: { type: "web_search" },
  [HostedToolKind.CODE_EXECUTION]: { type: "code_interpreter", container: { type: "auto" } },
  [HostedToolKind.IMAGE_GENERATION]: { type: "image_generation" },
};

function writeHosted(tool: HostedTool, path: string, { report }: WriteContext): Writable | undefined {
  if (tool.format === format)
    return tool.configJson === "" ? { type: tool.type } : rawJsonObject(tool.configJson, `${path}.hosted.config_json`);
  const standIn = standIns[tool.kind];
  if (standIn === undefined) {
    report.dropped(path, `a provider-run tool of ${tool.format || "another format"} has no equal`);
    return undefined;
  }
  report.emulated(path, `the target's own ${String(standIn.type)}, as it is by default`);
  return { ...standIn };
}

const modeWords: Readonly<Record<number, string>> = {
  [ToolChoiceMode.AUTO]: "auto",
  [ToolChoiceMode.NONE]: "none",
  [ToolChoiceMode.REQUIRED]: "required",
};

function writeChoice(body: WritableObject, choice: ToolChoice, tools: readonly Tool[], hasTools: boolean, { report }: WriteContext): void {
  if (!hasTools) {
    // NONE and the default say nothing then.
    const isSaid = choice.mode === ToolChoiceMode.REQUIRED || choice.mode === ToolChoiceMode.TOOL || choice.allowedTools.length > 0;
    if (isSaid) report.dropped("tool_choice", "there are no tools to choose from");
    return;
  }
  const mode = modeWords[choice.mode];
  if (choice.mode === ToolChoiceMode.TOOL) body.tool_choice = named(choice.toolName, tools);
  else if (choice.allowedTools.length > 0 && choice.mode !== ToolChoiceMode.NONE) {
    body.tool_choice = { type: "allowed_tools", mode: mode ?? "auto", tools: choice.allowedTools.map((name) => named(name, tools)) };
  } else if (mode !== undefined) body.tool_choice = mode;
  // True is what the service does unasked.
  if (choice.parallel === false) body.parallel_tool_calls = false;
}

function named(name: string, tools: readonly Tool[]): WritableObject {
  const isCustom = tools.some(({ tool }) => tool.case === "custom" && tool.value.name === name);
  return { type: isCustom ? "custom" : "function", name: legalToolName(name) };
}
