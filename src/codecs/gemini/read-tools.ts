/** Tools and the choice among them. */
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
import { isJsonObject } from "../../core/json.ts";
import { readOpenApiSchema } from "./read-schema.ts";
import { formatName, hostedKinds } from "./wire.ts";

/** A tool, and where it stands in the client's request: `tools[0].functionDeclarations[1]`. */
export interface ReadTool {
  readonly tool: Tool;
  readonly path: string;
}

const maxNameLength = 256;

/** A tool of the API holds any number of functions, and tools that Google runs by their names. */
export function readTools(body: Fields): ReadTool[] {
  return (body.objects("tools") ?? []).flatMap((tool) => {
    const functions = (tool.array("functionDeclarations") ?? []).map((declaration) => ({
      tool: readDeclaration(declaration),
      path: declaration.path,
    }));
    const hosted = tool.unread().flatMap((type): ReadTool[] => {
      const config = tool.text(type);
      if (config === undefined) return [];
      const configJson = `{${JSON.stringify(type)}:${config}}`;
      const kind = hostedKinds[type] ?? HostedToolKind.UNSPECIFIED;
      const value = create(ToolSchema, { tool: { case: "hosted", value: { kind, format: formatName, type, configJson } } });
      return [{ tool: value, path: tool.pathOf(type) }];
    });
    return [...functions, ...hosted];
  });
}

function readDeclaration({ value, path }: Located): Tool {
  const fields = new Fields(value, path);
  const name = fields.requiredString("name");
  if (name === "") fields.fail("name", "must not be empty");
  if (name.length > maxNameLength) fields.fail("name", `must have at most ${maxNameLength} characters`);
  const tool = create(FunctionToolSchema, {
    name,
    description: fields.string("description") ?? "",
    parametersJson: readSchema(fields, "parametersJsonSchema", "parameters"),
    resultSchemaJson: readSchema(fields, "responseJsonSchema", "response"),
  });
  return create(ToolSchema, { tool: { case: "function", value: tool }, extrasJson: fields.extras(formatName) });
}

/** JSON text of the schema, whichever way it is said; empty where there is none. */
export function readSchema(fields: Fields, jsonSchema: string, openApi: string): string {
  if (fields.has(jsonSchema)) return fields.objectText(jsonSchema) ?? "";
  const value = fields.value(openApi);
  if (value === undefined) return "";
  return isJsonObject(value) ? readOpenApiSchema(value) : fields.fail(openApi, `must be an object, not ${describe(value)}`);
}

/** `toolConfig`; a mode that has no equal stays unread with all that belongs to it. */
export function readToolChoice(body: Fields): ToolChoice | undefined {
  const config = body.object("toolConfig");
  const value = config?.peek("functionCallingConfig");
  const mode = isJsonObject(value) ? value.mode : undefined;
  if (config === undefined || typeof mode !== "string" || !Object.hasOwn(modes, mode)) return undefined;
  const calling = config.object("functionCallingConfig");
  calling?.value("mode");
  const allowed = calling?.strings("allowedFunctionNames") ?? [];
  const [only] = allowed;
  if (mode === "ANY" && only !== undefined && allowed.length === 1) {
    return create(ToolChoiceSchema, { mode: ToolChoiceMode.TOOL, toolName: only });
  }
  return create(ToolChoiceSchema, { mode: modes[mode] ?? ToolChoiceMode.AUTO, allowedTools: allowed });
}

const modes: Readonly<Record<string, ToolChoiceMode>> = {
  AUTO: ToolChoiceMode.AUTO,
  ANY: ToolChoiceMode.REQUIRED,
  NONE: ToolChoiceMode.NONE,
};
