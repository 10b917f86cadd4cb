/** Checks a generateContent request as strictly as the vendor and reads it. */
import { behaviourOf } from "../../model-name.ts";
import { conversation, type Prompt, type Turn } from "../../prompt.ts";
import { checkShape, isObject, type JsonObject } from "../../shape.ts";
import { isOwnSignature } from "../../signature.ts";
import { isScripted } from "../issued.ts";
import { splitUnknown } from "../unknown.ts";
import type { Reading, RequestFacts } from "../wire.ts";
import { countTokensShape, generateShape } from "./shape.ts";
import { camelCase, refuse, refuseIssues, refuseModel } from "./vendor.ts";

interface Part extends JsonObject {
  readonly text?: string;
  readonly thought?: boolean;
  readonly thoughtSignature?: string;
  readonly functionCall?: { readonly id?: string; readonly name?: string; readonly args?: JsonObject };
  readonly functionResponse?: { readonly id?: string; readonly name?: string; readonly response?: JsonObject };
}

interface Content {
  readonly role?: string;
  readonly parts?: readonly Part[];
}

interface Declaration {
  readonly name: string;
  readonly parameters?: unknown;
  readonly parametersJsonSchema?: unknown;
}

/** Values that the vendor documents for calls that it did not make itself. */
const bypasses = ["context_engineering_is_the_way_to_go", "skip_thought_signature_validator"];
const dataNames = [
  "text",
  "inlineData",
  "fileData",
  "functionCall",
  "functionResponse",
  "executableCode",
  "codeExecutionResult",
  "toolCall",
  "toolResponse",
  "audioTranscription",
];

export function readGenerate(request: RequestFacts): Reading {
  const { rest, unknown } = splitUnknown(checkShape(request.body, generateShape, { rename: camelCase }), request.lenient);
  refuseIssues(rest);
  return readChecked(request, request.body, unknown);
}

/** Counting takes contents, or a whole request. */
export function readCountTokens(request: RequestFacts): Reading {
  const { rest, unknown } = splitUnknown(checkShape(request.body, countTokensShape, { rename: camelCase }), request.lenient);
  refuseIssues(rest);
  const inner = request.body.generateContentRequest;
  return readChecked(request, isObject(inner) ? inner : request.body, unknown);
}

function readChecked({ model, stream, sse }: RequestFacts, body: JsonObject, unknown: JsonObject): Reading {
  if (behaviourOf(model).kind === "missing") refuseModel(model, "generateContent");
  const contents = (body.contents ?? []) as readonly Content[];
  checkContents(contents);
  checkCalls(contents);
  checkSignatures(contents, model);
  const config = isObject(body.generationConfig) ? body.generationConfig : {};
  checkConfig(config);
  const declarations = ((body.tools ?? []) as { functionDeclarations?: Declaration[] }[]).flatMap(
    (tool) => tool.functionDeclarations ?? [],
  );
  checkTools(body, declarations);
  return { model, prompt: readPrompt(body, contents, config, declarations), stream, array: stream && !sse, unknown, body };
}

function checkContents(contents: readonly Content[]): void {
  if (contents.length === 0) refuse("* GenerateContentRequest.contents: contents is not specified\n");
  for (const [index, { role, parts }] of contents.entries()) {
    if (role !== undefined && !["user", "model", "function"].includes(role)) refuse("Please use a valid role: user, model.");
    if (parts === undefined || parts.length === 0)
      refuse(`* GenerateContentRequest.contents[${index}].parts: contents.parts must not be empty.\n`);
    for (const [at, part] of parts.entries()) {
      const data = dataNames.filter((name) => part[name] !== undefined && part[name] !== null);
      if (data.length === 0 && part.thoughtSignature === undefined) {
        refuse(
          `* GenerateContentRequest.contents[${index}].parts[${at}].data: required oneof field 'data' must have one initialized field\n`,
        );
      }
      if (data.length > 1)
        refuse(`Invalid value at 'contents[${index}].parts[${at}]' (oneof), oneof field 'data' is already set. Cannot set '${data[1]}'`);
      const file = (part.inlineData ?? part.fileData) as JsonObject | undefined;
      if (file !== undefined && part.inlineData !== undefined && !String(file.mimeType ?? "").includes("/")) {
        refuse(`Unable to process input: unsupported MIME type: ${String(file.mimeType ?? "")}`);
      }
    }
  }
}

/** Answers of calls stand in the next content, as many as there were calls. */
function checkCalls(contents: readonly Content[]): void {
  for (const [index, { role, parts = [] }] of contents.entries()) {
    const calls = parts.filter(({ functionCall }) => functionCall !== undefined).length;
    const answers = parts.filter(({ functionResponse }) => functionResponse !== undefined);
    const before = contents[index - 1];
    const callsBefore = before?.role === "model" ? (before.parts ?? []).filter(({ functionCall }) => functionCall !== undefined).length : 0;
    if (calls > 0 && role !== "model")
      refuse("Please ensure that function call turn comes immediately after a user turn or after a function response turn.");
    if (calls > 0 && (index === 0 || before?.role === "model")) {
      refuse("Please ensure that function call turn comes immediately after a user turn or after a function response turn.");
    }
    if (answers.length > 0 && callsBefore === 0) {
      refuse("Please ensure that function response turn comes immediately after a function call turn.");
    }
    if (answers.length !== callsBefore) {
      refuse(
        "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.",
      );
    }
    const unnamed = parts.findIndex(({ functionResponse }) => functionResponse !== undefined && !functionResponse.name);
    if (unnamed !== -1)
      refuse(`* GenerateContentRequest.contents[${index}].parts[${unnamed}].function_response.name: Name cannot be empty.\n`);
  }
  const last = contents.at(-1);
  if (last?.role === "model" && last.parts?.some(({ functionCall }) => functionCall !== undefined)) {
    refuse("Please ensure that function response turn comes immediately after a function call turn.");
  }
}

function checkSignatures(contents: readonly Content[], model: string): void {
  const lastUser = contents.findLastIndex(({ role, parts }) => role !== "model" && parts?.some(({ text }) => text !== undefined));
  for (const [index, { parts = [] }] of contents.entries()) {
    for (const [at, { thoughtSignature: signature }] of parts.entries()) {
      if (signature === undefined || bypasses.includes(signature)) continue;
      if (!/^[A-Za-z0-9+/_-]*={0,2}$/.test(signature)) {
        refuse(
          `Invalid value at 'contents[${index}].parts[${at}].thought_signature' (TYPE_BYTES), Base64 decoding failed for "${signature}"`,
        );
      }
      if (!isScripted("gemini", signature) && !isOwnSignature("gemini", signature)) refuse("Corrupted thought signature.");
    }
    // The newest models want the signature of a turn's first call back, as long as the turn is not over.
    const call = parts.find(({ functionCall }) => functionCall !== undefined);
    if (/^gemini-[3-9]/.test(model) && index > lastUser && call !== undefined && call.thoughtSignature === undefined) {
      refuse(
        `Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and missing thought_signature may lead to degraded model performance. Additional data, function call \`default_api:${call.functionCall?.name}\` , position ${index + 1}. Please refer to https://ai.google.dev/gemini-api/docs/thought-signatures for more details.`,
      );
    }
  }
}

function checkConfig(config: JsonObject): void {
  const thinking = isObject(config.thinkingConfig) ? config.thinkingConfig : {};
  if (thinking.thinkingBudget !== undefined && thinking.thinkingLevel !== undefined)
    refuse("You can only set only one of thinking budget and thinking level.");
  const hasSchema = config.responseSchema !== undefined || config.responseJsonSchema !== undefined;
  if (config.responseSchema !== undefined && config.responseJsonSchema !== undefined) {
    refuse("* GenerateContentRequest.generation_config: only one of response_schema and response_json_schema can be set\n");
  }
  if (hasSchema && config.responseMimeType !== "application/json" && config.responseMimeType !== "text/x.enum") {
    refuse(
      "* GenerateContentRequest.generation_config.response_mime_type: response_schema requires response_mime_type to be application/json\n",
    );
  }
  const mimeTypes = [undefined, "text/plain", "application/json", "text/x.enum"];
  if (!mimeTypes.includes(config.responseMimeType as string | undefined)) {
    refuse(
      "* GenerateContentRequest.generation_config.response_mime_type: allowed mimetypes are `text/plain`, `application/json`, `application/xml`, `application/yaml` and `text/x.enum`.\n",
    );
  }
  if (config.logprobs !== undefined && config.responseLogprobs !== true)
    refuse("Logprobs is not enabled. Please set response_logprobs to true.");
}

function checkTools(body: JsonObject, declarations: readonly Declaration[]): void {
  const names = declarations.map(({ name }) => name);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) refuse(`Duplicate function declaration found: ${repeated}`);
  for (const [index, { parameters, parametersJsonSchema }] of declarations.entries()) {
    const at = `* GenerateContentRequest.tools[0].function_declarations[${index}]`;
    if (parameters !== undefined && parametersJsonSchema !== undefined)
      refuse(`${at}: only one of parameters and parameters_json_schema can be set\n`);
    const problem = schemaProblem(parameters, "parameters");
    if (problem !== undefined) refuse(`${at}.${problem}\n`);
  }
  const calling = isObject(body.toolConfig) && isObject(body.toolConfig.functionCallingConfig) ? body.toolConfig.functionCallingConfig : {};
  const allowed = (calling.allowedFunctionNames ?? []) as string[];
  if (allowed.length > 0 && calling.mode !== "ANY" && calling.mode !== "VALIDATED") {
    refuse("Allowed function names should only be set when the function calling config mode is `ANY` or `VALIDATED`.");
  }
  const unknown = allowed.find((name) => !names.includes(name));
  if (unknown !== undefined) refuse(`Allowed function name \`${unknown}\` is not in the function declarations.`);
  if (calling.mode === "ANY" && names.length === 0) refuse("Function calling config is set without function_declarations.");
}

function schemaProblem(schema: unknown, at: string): string | undefined {
  if (!isObject(schema)) return undefined;
  const type = String(schema.type ?? "").toUpperCase();
  if (schema.enum !== undefined && type !== "STRING") return `${at}.enum: only allowed for STRING type`;
  if (type === "ARRAY" && schema.items === undefined) return `${at}.items: missing field.`;
  for (const [name, child] of Object.entries(isObject(schema.properties) ? schema.properties : {})) {
    const problem = schemaProblem(child, `${at}.properties[${name}]`);
    if (problem !== undefined) return problem;
  }
  const properties = isObject(schema.properties) ? schema.properties : {};
  for (const [index, name] of (Array.isArray(schema.required) ? schema.required : []).entries()) {
    if (!Object.hasOwn(properties, String(name))) return `${at}.required[${index}]: property is not defined`;
  }
  return schemaProblem(schema.items, `${at}.items`);
}

function readPrompt(body: JsonObject, contents: readonly Content[], config: JsonObject, declarations: readonly Declaration[]): Prompt {
  const turns = contents.map(readTurn);
  if (isObject(body.systemInstruction)) turns.unshift({ ...readTurn(body.systemInstruction as Content), speaker: "system" });
  return {
    ...conversation(turns),
    maxOutputTokens: config.maxOutputTokens as number | undefined,
    stop: (config.stopSequences ?? []) as string[],
    candidates: Number(config.candidateCount ?? 1),
    output: readOutput(config),
    forcedTool: readForcedTool(body, declarations),
    reasoning: readReasoning(config.thinkingConfig),
  };
}

function readTurn({ role, parts = [] }: Content): Turn {
  const texts: string[] = [];
  const toolResults: string[] = [];
  const other: string[] = [];
  for (const { text, thought, functionCall, functionResponse } of parts) {
    if (typeof text === "string") (thought === true ? other : texts).push(text);
    if (functionCall !== undefined) other.push(String(functionCall.name), JSON.stringify(functionCall.args ?? {}));
    if (functionResponse !== undefined) toolResults.push(resultText(functionResponse.response));
  }
  return { speaker: role === "model" ? "model" : "user", texts, toolResults, other };
}

function resultText(response: JsonObject = {}): string {
  const output = response.output ?? response.result ?? response.error;
  return typeof output === "string" ? output : JSON.stringify(response);
}

function readOutput(config: JsonObject): Prompt["output"] {
  if (config.responseMimeType !== "application/json") return undefined;
  const schema = config.responseJsonSchema ?? config.responseSchema;
  return schema === undefined ? { kind: "object" } : { kind: "schema", schema };
}

function readForcedTool(body: JsonObject, declarations: readonly Declaration[]): Prompt["forcedTool"] {
  const calling = isObject(body.toolConfig) && isObject(body.toolConfig.functionCallingConfig) ? body.toolConfig.functionCallingConfig : {};
  if (calling.mode !== "ANY") return undefined;
  const allowed = (calling.allowedFunctionNames ?? []) as string[];
  const tool = declarations.find(({ name }) => allowed.length === 0 || allowed.includes(name));
  return tool === undefined ? undefined : { name: tool.name, parameters: tool.parametersJsonSchema ?? tool.parameters ?? {} };
}

function readReasoning(thinking: unknown): Prompt["reasoning"] {
  if (!isObject(thinking)) return "default";
  if (thinking.thinkingBudget === 0) return "off";
  if (thinking.includeThoughts === false) return "hidden";
  return thinking.includeThoughts === true ? "asked" : "default";
}
