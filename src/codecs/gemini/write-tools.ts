/** Tool definitions and the choice among them. */
import {
  type CustomTool,
  type FunctionTool,
  type HostedTool,
  type Tool,
  type ToolChoice,
  ToolChoiceMode,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument, customToolDescription } from "../../core/custom-tool.ts";
import { invalidField } from "../../core/error.ts";
import { reportForeignExtras, writeExtras } from "../../core/extras.ts";
import { isJsonObject, RawJson, type Writable, type WritableObject } from "../../core/json.ts";
import { readJsonObject } from "../../core/json-field.ts";
import { toolName } from "../../core/tool-definition.ts";
import { formatName, hostedTools } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { writeOpenApiSchema } from "./write-schema.ts";

export interface WrittenTools {
  readonly tools: WritableObject[];
  /** Names of the functions, as they are sent. */
  readonly functions: readonly string[];
}

/** All functions in one tool, then those that Google runs. Fills the call's state with names to undo. */
export function writeTools(tools: readonly Tool[], choice: ToolChoice | undefined, context: WriteContext): WrittenTools {
  const { report, target } = context;
  if (tools.length > 0 && target.traits.tools === false) report.refused("tools", "the model takes no tools");
  const allowed = leftIn(choice);
  if (allowed !== undefined) report.emulated("tool_choice.allowed_tools", "the other tools are left out");
  const declarations: WritableObject[] = [];
  const hosted: WritableObject[] = [];
  tools.forEach((tool, index) => {
    const path = `tools[${index}]`;
    if (allowed !== undefined && !allowed.has(toolName(tool))) return;
    if (tool.cache !== undefined) report.dropped(`${path}.cache`, "prefixes are cached without markers");
    const written = writeTool(tool, path, context);
    if (written === undefined) {
      reportForeignExtras(tool.extrasJson, formatName, path, report);
      return;
    }
    writeExtras(written, tool.extrasJson, formatName, path, report);
    (tool.tool.case === "hosted" ? hosted : declarations).push(written);
  });
  const functions = declarations.length === 0 ? [] : [{ functionDeclarations: declarations }];
  return { tools: [...functions, ...hosted], functions: declarations.map(({ name }) => String(name)) };
}

/** Names of the only tools to send. The API has such a list only where a call is forced. */
function leftIn(choice: ToolChoice | undefined): ReadonlySet<string> | undefined {
  if (choice === undefined || choice.allowedTools.length === 0 || choice.mode === ToolChoiceMode.REQUIRED) return undefined;
  return new Set(choice.allowedTools);
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
  const { report, quirks } = context;
  if (tool.strict === true) report.coerced(`${path}.strict`, "best effort, as arguments cannot be held to a schema");
  const isOpenApi = quirks.schemas === "openapi";
  const name = sentName(tool.name, path, context);
  const declaration: WritableObject = { name, description: tool.description || undefined };
  const parameters = writeParameters(tool.parametersJson, `${path}.parameters_json`, context);
  declaration[isOpenApi ? "parameters" : "parametersJsonSchema"] = parameters;
  if (tool.resultSchemaJson !== "") {
    const result = writeSchema(tool.resultSchemaJson, `${path}.result_schema_json`, context);
    declaration[isOpenApi ? "response" : "responseJsonSchema"] = result;
  }
  return declaration;
}

/** Undefined where there are none: an object schema without properties is refused by older services. */
function writeParameters(text: string, path: string, context: WriteContext): Writable {
  if (text.trim() === "") return undefined;
  const written = writeSchema(text, path, context);
  if (context.quirks.schemas !== "openapi" || written instanceof RawJson) return written;
  const { properties } = written;
  return isJsonObject(properties) && Object.keys(properties).length > 0 ? written : undefined;
}

/** A schema as the service takes it: the client's own text where it can be, so that the prompt cache sees the same bytes. */
export function writeSchema(text: string, path: string, { quirks, report }: WriteContext): RawJson | WritableObject {
  const schema = readJsonObject(text, path);
  return quirks.schemas === "openapi" ? writeOpenApiSchema(schema, path, report) : new RawJson(text);
}

/** A free-text tool as a function with one argument; the reader undoes it. */
function writeCustom(tool: CustomTool, path: string, context: WriteContext): WritableObject {
  context.report.emulated(path, `a function with the argument ${customToolArgument}`);
  const sent = sentName(tool.name, path, context);
  context.state.customTools.add(sent);
  const isOpenApi = context.quirks.schemas === "openapi";
  return {
    name: sent,
    description: customToolDescription(tool),
    [isOpenApi ? "parameters" : "parametersJsonSchema"]: {
      type: isOpenApi ? "OBJECT" : "object",
      properties: { [customToolArgument]: { type: isOpenApi ? "STRING" : "string" } },
      required: [customToolArgument],
    },
  };
}

function writeHosted({ format, kind, type, configJson }: HostedTool, path: string, { report }: WriteContext): WritableObject | undefined {
  if (format === formatName && configJson !== "") return { ...(readJsonObject(configJson, `${path}.config_json`) as WritableObject) };
  if (format === formatName && type !== "") return { [type]: {} };
  const standIn = hostedTools[kind];
  if (standIn === undefined) {
    report.dropped(path, `a tool of ${format || "another format"} that has no equal`);
    return undefined;
  }
  if (format !== formatName && configJson !== "") report.emulated(path, `${standIn} with its default configuration`);
  return { [standIn]: {} };
}

function sentName(name: string, path: string, { report, state }: WriteContext): string {
  const sent = state.legalName(name);
  if (sent !== name) report.coerced(`${path}.name`, "letters, digits and _ . : -, at most 128; the answer has the original");
  return sent;
}

/** `toolConfig`; undefined where the API's default says the same. */
export function writeToolChoice(
  choice: ToolChoice | undefined,
  functions: readonly string[],
  { report, state }: WriteContext,
): WritableObject | undefined {
  if (choice === undefined) return undefined;
  const { mode, toolName: name, allowedTools, parallel } = choice;
  if (parallel === false) report.dropped("tool_choice.parallel", "several calls at once cannot be ruled out");
  if (mode === ToolChoiceMode.UNSPECIFIED) return undefined;
  if (functions.length === 0) {
    report.dropped("tool_choice.mode", "there are no functions to choose from");
    return undefined;
  }
  switch (mode) {
    case ToolChoiceMode.NONE:
      return { functionCallingConfig: { mode: "NONE" } };
    case ToolChoiceMode.REQUIRED: {
      const allowed = allowedTools.map((allowedName) => state.legalName(allowedName));
      return { functionCallingConfig: { mode: "ANY", allowedFunctionNames: allowed.length === 0 ? undefined : allowed } };
    }
    case ToolChoiceMode.TOOL:
      return { functionCallingConfig: { mode: "ANY", allowedFunctionNames: [state.legalName(name)] } };
    default:
      return { functionCallingConfig: { mode: "AUTO" } };
  }
}
