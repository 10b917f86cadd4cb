/** Tool definitions and the choice among them. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolConfiguration.html */
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
import { isWritableObject, type WritableObject } from "../../core/json.ts";
import { readJsonObject } from "../../core/json-field.ts";
import { objectParameters, toolName } from "../../core/tool-definition.ts";
import { legalName } from "./legal-names.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";

export interface ToolPlan {
  readonly tools: WritableObject[];
  readonly choice: WritableObject | undefined;
  /** What the model is told where the API has no word for the choice. */
  readonly instruction: string | undefined;
  /** Members of `additionalModelRequestFields`. */
  readonly additional: WritableObject;
}

/**
 * `calledNames`: the sent names of the tools that the history calls. Where it calls any, tools must be defined. Fills the
 * call's state with names to undo.
 */
export function planTools(
  tools: readonly Tool[],
  choice: ToolChoice | undefined,
  calledNames: readonly string[],
  context: WriteContext,
): ToolPlan {
  const { report } = context;
  const isNone = choice?.mode === ToolChoiceMode.NONE;
  if (isNone && tools.length > 0 && calledNames.length === 0) {
    report.emulated("tool_choice.mode", "the tools are left out");
    return { tools: [], choice: undefined, instruction: undefined, additional: {} };
  }
  const written = writeTools(tools, choice, context);
  const isEmpty = written.length === 0;
  if (isEmpty && calledNames.length > 0) {
    report.emulated("tools", "the tools that the history calls, with open schemas");
    written.push(...calledNames.map(openTool));
  }
  if (choice === undefined || isEmpty) {
    if (choice !== undefined && choice.mode !== ToolChoiceMode.UNSPECIFIED && !isNone)
      report.dropped("tool_choice.mode", "there are no tools to choose from");
    const mustNotCall = isNone && written.length > 0;
    if (mustNotCall) report.emulated("tool_choice.mode", noneByInstruction);
    return { tools: written, choice: undefined, instruction: mustNotCall ? noCalls : undefined, additional: {} };
  }
  if (isNone) {
    report.emulated("tool_choice.mode", noneByInstruction);
    return { tools: written, choice: undefined, instruction: noCalls, additional: {} };
  }
  return { tools: written, instruction: undefined, ...writeChoice(choice, context) };
}

const noneByInstruction = "an instruction, as tools must be defined where the history calls them";
const noCalls = "Do not call any tool. Answer in text.";

function openTool(name: string): WritableObject {
  return { toolSpec: { name, inputSchema: { json: { type: "object", properties: {} } } } };
}

/** Without those that the choice leaves out or the API does not have. */
function writeTools(tools: readonly Tool[], choice: ToolChoice | undefined, context: WriteContext): WritableObject[] {
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
    const [member] = Object.values(written);
    writeExtras(isWritableObject(member) ? member : written, tool.extrasJson, formatName, path, context.report);
    context.points.mark(written, tool.cache, `${path}.cache`);
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
  const toolSpec: WritableObject = {
    name: sentName(tool.name, path, context),
    description: tool.description || undefined,
    inputSchema: { json: objectParameters(tool.parametersJson, `${path}.parameters_json`) },
    strict: canBeStrict ? tool.strict : undefined,
  };
  return { toolSpec };
}

/** A free-text tool as a function with one argument; the reader undoes it. */
function writeCustom(tool: CustomTool, path: string, context: WriteContext): WritableObject {
  context.report.emulated(path, `a function with the argument ${customToolArgument}`);
  const sent = sentName(tool.name, path, context);
  context.state.customTools.add(sent);
  return { toolSpec: { name: sent, description: customToolDescription(tool), inputSchema: { json: customToolParameters() } } };
}

/** Which of the service's own tools a model has is not known: another format's tool has no stand-in. */
function writeHosted({ format, type, configJson }: HostedTool, path: string, { report }: WriteContext): WritableObject | undefined {
  if (format === formatName) return configJson === "" ? { systemTool: { name: type } } : readTool(configJson, `${path}.config_json`);
  report.dropped(path, `a tool of ${format || "another format"} that has no equal`);
  return undefined;
}

function readTool(text: string, path: string): WritableObject {
  return { ...(readJsonObject(text, path) as WritableObject) };
}

function sentName(name: string, path: string, { report, state }: WriteContext): string {
  const sent = legalName(name);
  if (sent === name) return name;
  state.originalNames.set(sent, name);
  report.coerced(`${path}.name`, "letters, digits, _ and -, at most 64; the answer has the original");
  return sent;
}

/** The choice is absent where the API's default says the same. */
function writeChoice(choice: ToolChoice, context: WriteContext): Pick<ToolPlan, "choice" | "additional"> {
  const { quirks, report } = context;
  const written = writeMode(choice, context);
  if (choice.parallel !== false) return { choice: written, additional: {} };
  if (!quirks.singleCalls) {
    report.dropped("tool_choice.parallel", "the model cannot be told");
    return { choice: written, additional: {} };
  }
  const [type = "auto"] = Object.keys(written ?? {});
  const name = type === "tool" ? legalName(choice.toolName) : undefined;
  return { choice: written, additional: { tool_choice: { type, name, disable_parallel_tool_use: true } } };
}

function writeMode({ mode, toolName: name }: ToolChoice, { quirks: { forcedChoices }, report }: WriteContext): WritableObject | undefined {
  switch (mode) {
    case ToolChoiceMode.REQUIRED:
      if (forcedChoices.includes("any")) return { any: {} };
      report.coerced("tool_choice.mode", "auto, as the model cannot be forced to call");
      return undefined;
    case ToolChoiceMode.TOOL:
      if (forcedChoices.includes("tool")) return { tool: { name: legalName(name) } };
      report.coerced("tool_choice.mode", `${forcedChoices.includes("any") ? "any tool" : "auto"}, as the model takes no named choice`);
      return forcedChoices.includes("any") ? { any: {} } : undefined;
    case ToolChoiceMode.AUTO:
      return { auto: {} };
    default:
      return undefined;
  }
}

/** Whether a choice makes the model call a tool. */
export function forcesCall(choice: WritableObject | undefined): boolean {
  return choice?.any !== undefined || choice?.tool !== undefined;
}
