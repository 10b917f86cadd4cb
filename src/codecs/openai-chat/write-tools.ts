/** Tools and the choice among them. Schemas go out as the very text that came in: its order is part of prompt caches. */
import {
  type CustomTool,
  type FunctionTool,
  type GenerateRequest,
  type HostedTool,
  type Tool,
  type ToolChoice,
  ToolChoiceMode,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { CallState } from "../../core/call-state.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { writeExtras } from "../../core/extras.ts";
import { RawJson, type Writable, type WritableObject } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import { legalToolName } from "./legal-names.ts";
import { format, webSearchField } from "./wire.ts";
import { type WriteContext, writeCacheMarker } from "./write-content.ts";

export interface ToolFacts extends WriteContext {
  readonly marked: ReadonlySet<object>;
  readonly state: CallState;
}

/** Writes `tools`, `tool_choice`, `parallel_tool_calls` and `web_search_options` into the body. */
export function writeTools(body: WritableObject, request: GenerateRequest, facts: ToolFacts): void {
  const { report, quirks } = facts;
  const choice = request.toolChoice;
  const allowed = choice !== undefined && quirks.allowedTools === false ? new Set(choice.allowedTools) : new Set<string>();
  const tools: Writable[] = [];
  request.tools.forEach((tool, index) => {
    if (allowed.size > 0 && !allowed.has(toolName(tool))) return;
    const written = writeTool(tool, `tools[${index}]`, body, facts);
    if (written !== undefined) tools.push(written);
  });
  if (tools.length > 0) body.tools = tools;
  if (choice === undefined) return;
  if (allowed.size > 0) report.emulated("tool_choice.allowed_tools", "the other tools are left out");
  writeChoice(body, choice, request.tools, tools.length > 0, facts);
}

function toolName({ tool }: Tool): string {
  return tool.case === "function" || tool.case === "custom" ? tool.value.name : "";
}

function writeTool(tool: Tool, path: string, body: WritableObject, facts: ToolFacts): Writable | undefined {
  const { report, marked, quirks } = facts;
  const { case: kind, value } = tool.tool;
  let written: WritableObject;
  if (kind === "function") written = writeFunction(value, path, facts);
  else if (kind === "custom")
    written = quirks.customTools === false ? writeCustomAsFunction(value, path, facts) : writeCustom(value, facts);
  else {
    if (kind === "hosted") return writeHosted(value, path, body, facts);
    return undefined;
  }
  if (tool.cache !== undefined && marked.has(tool)) writeCacheMarker(written, tool.cache, `${path}.cache`, facts);
  writeExtras(written, tool.extrasJson, format, path, report);
  return written;
}

/** The name that is sent; what was changed is remembered for the answer. */
function sentName(name: string, path: string, { state, report }: ToolFacts): string {
  const sent = legalToolName(name);
  if (sent !== name) {
    state.originalNames.set(sent, name);
    report.coerced(`${path}.name`, "a name of letters, digits, _ and - that the target takes; undone in the answer");
  }
  return sent;
}

function writeFunction(tool: FunctionTool, path: string, facts: ToolFacts): WritableObject {
  const { report, quirks } = facts;
  const written: WritableObject = { name: sentName(tool.name, `${path}.function`, facts) };
  if (tool.description !== "") written.description = tool.description;
  if (tool.parametersJson !== "") written.parameters = rawJsonObject(tool.parametersJson, `${path}.function.parameters_json`);
  if (tool.strict !== undefined && quirks.strictTools !== false) written.strict = tool.strict;
  else if (tool.strict) report.coerced(`${path}.function.strict`, "best effort: the target does not hold arguments to their schema");
  if (tool.resultSchemaJson !== "") report.dropped(`${path}.function.result_schema_json`, "the target takes no schema of results");
  return { type: "function", function: written };
}

function writeCustom(tool: CustomTool, facts: ToolFacts): WritableObject {
  const written: WritableObject = { name: sentName(tool.name, "tools", facts) };
  if (tool.description !== "") written.description = tool.description;
  if (tool.grammar !== undefined) {
    const { syntax, definition } = tool.grammar;
    written.format = { type: "grammar", grammar: { definition, syntax } };
  }
  return { type: "custom", custom: written };
}

function writeCustomAsFunction(tool: CustomTool, path: string, facts: ToolFacts): WritableObject {
  const { report, state } = facts;
  const name = sentName(tool.name, `${path}.custom`, facts);
  state.customTools.add(name);
  report.emulated(`${path}.custom`, "a function with one text argument: the target knows no free-text tools; undone in the answer");
  const grammar = tool.grammar === undefined ? "" : ` It must follow this ${tool.grammar.syntax} grammar: ${tool.grammar.definition}`;
  const parameters = {
    type: "object",
    properties: { [customToolArgument]: { type: "string", description: `The tool's input.${grammar}` } },
    required: [customToolArgument],
    additionalProperties: false,
  };
  const described = tool.description === "" ? {} : { description: tool.description };
  return { type: "function", function: { name, ...described, parameters } };
}

/** A provider-run tool of this format goes back as it came; another vendor's has no stand-in here. */
function writeHosted(tool: HostedTool, path: string, body: WritableObject, { report }: ToolFacts): Writable | undefined {
  if (tool.format !== format) {
    report.dropped(path, `a provider-run tool of ${tool.format || "another format"} has no equal`);
    return undefined;
  }
  const config = tool.configJson === "" ? new RawJson("{}") : rawJsonObject(tool.configJson, `${path}.hosted.config_json`);
  if (tool.type !== webSearchField) return tool.configJson === "" ? { type: tool.type } : config;
  body[webSearchField] = config;
  return undefined;
}

function writeChoice(body: WritableObject, choice: ToolChoice, tools: readonly Tool[], hasTools: boolean, facts: ToolFacts): void {
  const { report, quirks } = facts;
  if (!hasTools) {
    // The service refuses a choice without tools; NONE and the default say nothing then.
    const isSaid = choice.mode === ToolChoiceMode.REQUIRED || choice.mode === ToolChoiceMode.TOOL || choice.allowedTools.length > 0;
    if (isSaid) report.dropped("tool_choice", "there are no tools to choose from");
    return;
  }
  const written = choiceWord(choice, tools, facts);
  if (written !== undefined) {
    if (quirks.refusedParameters?.includes("tool_choice")) report.dropped("tool_choice", "the target has no choice among tools");
    else body.tool_choice = written;
  }
  if (choice.parallel === false) {
    if (quirks.refusedParameters?.includes("parallel_tool_calls")) {
      report.dropped("tool_choice.parallel", "the target cannot be held to one call at a time");
    } else body.parallel_tool_calls = false;
  }
}

const modeWords: Readonly<Record<number, string>> = {
  [ToolChoiceMode.AUTO]: "auto",
  [ToolChoiceMode.NONE]: "none",
  [ToolChoiceMode.REQUIRED]: "required",
};

function choiceWord(choice: ToolChoice, tools: readonly Tool[], { quirks }: ToolFacts): Writable | undefined {
  if (choice.mode === ToolChoiceMode.TOOL) return named(choice.toolName, tools, quirks.customTools !== false);
  const mode = modeWords[choice.mode];
  if (choice.allowedTools.length > 0 && quirks.allowedTools !== false && choice.mode !== ToolChoiceMode.NONE) {
    const list = choice.allowedTools.map((name) => named(name, tools, quirks.customTools !== false));
    return { type: "allowed_tools", allowed_tools: { mode: mode ?? "auto", tools: list } };
  }
  return mode;
}

function named(name: string, tools: readonly Tool[], hasCustom: boolean): WritableObject {
  const isCustom = hasCustom && tools.some((tool) => tool.tool.case === "custom" && tool.tool.value.name === name);
  const sent = legalToolName(name);
  return isCustom ? { type: "custom", custom: { name: sent } } : { type: "function", function: { name: sent } };
}
