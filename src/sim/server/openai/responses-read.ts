/** Checks a Responses request as strictly as the vendor and reads it. */
import { behaviourOf } from "../../model-name.ts";
import { conversation, type Prompt, type Turn } from "../../prompt.ts";
import { checkShape, isObject, type JsonObject } from "../../shape.ts";
import { isOwnSignature } from "../../signature.ts";
import { isScripted } from "../issued.ts";
import { splitUnknown } from "../unknown.ts";
import type { Reading, RequestFacts } from "../wire.ts";
import { storedItem, storedItems } from "./response-store.ts";
import { inputTokensShape, responsesShape } from "./responses-shape.ts";
import { strictSchemaProblem } from "./strict-schema.ts";
import { isReasoningModel, refuse, refuseIssues, refuseModel } from "./vendor.ts";

interface FunctionTool {
  readonly type: string;
  readonly name?: string;
  readonly parameters?: unknown;
  readonly strict?: boolean | null;
}

export function readResponses(request: RequestFacts): Reading {
  return read(request, "generate");
}

/** POST /v1/responses/input_tokens. */
export function countInputTokens(request: RequestFacts): JsonObject {
  return { object: "response.input_tokens", input_tokens: read(request, "count").prompt.inputTokens };
}

function read({ body, lenient }: RequestFacts, purpose: "generate" | "count"): Reading {
  const shape = purpose === "count" ? inputTokensShape : responsesShape;
  const { rest, unknown } = splitUnknown(checkShape(body, shape), lenient);
  refuseIssues(rest, { namesArguments: false });
  const model = String(body.model);
  if (behaviourOf(model).kind === "missing") refuseModel(model);
  const listed = typeof body.input === "string" ? [{ role: "user", content: body.input }] : ((body.input ?? []) as JsonObject[]);
  const given = listed.map((item) => resolveReference(item, body.store !== false));
  if (given.length === 0 && !isObject(body.prompt) && typeof body.previous_response_id !== "string" && !body.conversation) {
    refuse(
      "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation' must be provided.",
      "input",
      "missing_required_parameter",
    );
  }
  const before = readEarlier(body);
  checkItems(given, before, body.store !== false);
  checkParameters(body, model);
  const tools = (body.tools ?? []) as FunctionTool[];
  checkFormats(body, given, tools);
  return { model, prompt: readPrompt(body, [...before, ...given], tools), stream: body.stream === true, array: false, unknown, body };
}

/** The items of an answer that this one continues. */
export function readEarlier(body: JsonObject): readonly JsonObject[] {
  const id = body.previous_response_id;
  if (typeof id !== "string") return [];
  const items = storedItems(id);
  if (items !== undefined) return items;
  return refuse(`Previous response with id '${id}' not found.`, "previous_response_id", "previous_response_not_found");
}

/** Items that are kept may be named by their ids instead of being repeated. */
function resolveReference(item: JsonObject, stored: boolean): JsonObject {
  if (item.type !== "item_reference") return item;
  const found = stored ? storedItem(String(item.id)) : undefined;
  if (found !== undefined) return found;
  const hint = stored
    ? ""
    : " Items are not persisted when `store` is set to false. Try again with `store` set to true, or remove this item from your input.";
  return refuse(`Item with id '${String(item.id)}' not found.${hint}`, "input");
}

const callTypes: Readonly<Record<string, string>> = { function_call: "fc", custom_tool_call: "ctc", message: "msg", reasoning: "rs" };

function checkItem(item: JsonObject, index: number): void {
  const type = String(item.type ?? "message");
  const prefix = callTypes[type];
  if (prefix !== undefined && typeof item.id === "string" && item.id !== "" && !item.id.startsWith(prefix)) {
    refuse(
      `Invalid 'input[${index}].id': '${item.id}'. Expected an ID that begins with '${prefix}'.`,
      `input[${index}].id`,
      "invalid_value",
    );
  }
  if (type !== "message" || !Array.isArray(item.content)) return;
  // What the model said is output; everybody else gives input.
  const isModels = item.role === "assistant";
  for (const [at, part] of (item.content as JsonObject[]).entries()) {
    const isOutput = part.type === "output_text" || part.type === "refusal";
    if (isOutput === isModels) continue;
    const supported = isModels ? "'output_text' and 'refusal'" : "'input_text', 'input_image', and 'input_file'";
    refuse(
      `Invalid value: '${String(part.type)}'. Supported values are: ${supported}.`,
      `input[${index}].content[${at}].type`,
      "invalid_value",
    );
  }
}

/** Calls have outputs and outputs have calls; reasoning stands before what it led to. */
function checkItems(items: readonly JsonObject[], before: readonly JsonObject[], stored: boolean): void {
  const all = [...before, ...items];
  for (const kind of ["function_call", "custom_tool_call"]) {
    const calls = new Set(all.filter(({ type }) => type === kind).map(({ call_id }) => call_id));
    const outputs = new Set(all.filter(({ type }) => type === `${kind}_output`).map(({ call_id }) => call_id));
    const words = kind === "function_call" ? "function call" : "custom tool call";
    for (const output of outputs) {
      if (!calls.has(output)) refuse(`No tool call found for ${words} output with call_id ${String(output)}.`, "input");
    }
    for (const call of calls) if (!outputs.has(call)) refuse(`No tool output found for ${words} ${String(call)}.`, "input");
  }
  for (const [index, item] of items.entries()) {
    checkItem(item, index);
    if (item.type === "reasoning") checkReasoning(item, items[index + 1], stored);
  }
}

function checkReasoning(item: JsonObject, next: JsonObject | undefined, stored: boolean): void {
  const encrypted = item.encrypted_content;
  if (typeof encrypted === "string") {
    if (!isScripted("openai", encrypted) && !isOwnSignature("openai", encrypted)) {
      refuse(`The encrypted content for item ${String(item.id)} could not be verified.`, null, "invalid_encrypted_content");
    }
  } else if (!stored) {
    refuse(
      `Item with id '${String(item.id)}' not found. Items are not persisted when \`store\` is set to false. Try again with \`store\` set to true, or remove this item from your input.`,
      "input",
    );
  }
  const led = next?.type ?? (next?.role === "assistant" ? "message" : undefined);
  if (led === undefined || String(led).endsWith("_output") || (led === "message" && next?.role !== "assistant")) {
    refuse(`Item '${String(item.id)}' of type 'reasoning' was provided without its required following item.`, "input");
  }
}

function checkParameters(body: JsonObject, model: string): void {
  const given = (name: string) => body[name] !== undefined && body[name] !== null;
  if (given("stream_options") && body.stream !== true)
    refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options");
  if (given("previous_response_id") && given("conversation")) {
    refuse(
      "Mutually exclusive parameters. Ensure you are only providing one of: 'previous_response_id' or 'conversation'.",
      null,
      "mutually_exclusive_parameters",
    );
  }
  if (!isReasoningModel(model) || !given("temperature") || body.temperature === 1) return;
  refuse("Unsupported parameter: 'temperature' is not supported with this model.", "temperature", "unsupported_parameter");
}

function checkFormats(body: JsonObject, items: readonly JsonObject[], tools: readonly FunctionTool[]): void {
  const format = isObject(body.text) && isObject(body.text.format) ? body.text.format : undefined;
  if (format?.type === "json_object" && !/json/i.test(JSON.stringify(items))) {
    refuse("Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.", "input");
  }
  if (format?.type === "json_schema" && format.strict === true) {
    const problem = strictSchemaProblem(format.schema);
    if (problem !== undefined)
      refuse(`Invalid schema for response_format '${String(format.name)}': ${problem}`, "text.format.schema", "invalid_json_schema");
  }
  for (const [index, { type, name, parameters, strict }] of tools.entries()) {
    if (type !== "function" || strict !== true) continue;
    const problem = strictSchemaProblem(parameters ?? {});
    if (problem !== undefined)
      refuse(`Invalid schema for function '${name}': ${problem}`, `tools[${index}].parameters`, "invalid_function_parameters");
  }
  const choice = isObject(body.tool_choice) && body.tool_choice.type === "function" ? body.tool_choice.name : undefined;
  if ((choice !== undefined && !tools.some(({ name }) => name === choice)) || (body.tool_choice === "required" && tools.length === 0)) {
    refuse("Tool choice 'function' not found in 'tools' parameter.", "tool_choice");
  }
}

function readPrompt(body: JsonObject, items: readonly JsonObject[], tools: readonly FunctionTool[]): Prompt {
  const turns = items.map(readTurn);
  if (typeof body.instructions === "string") turns.unshift({ speaker: "system", texts: [body.instructions], toolResults: [] });
  const format = isObject(body.text) && isObject(body.text.format) ? body.text.format : undefined;
  const output: Prompt["output"] =
    format?.type === "json_schema"
      ? { kind: "schema", schema: format.schema }
      : format?.type === "json_object"
        ? { kind: "object" }
        : undefined;
  return {
    ...conversation(turns),
    maxOutputTokens: (body.max_output_tokens ?? undefined) as number | undefined,
    stop: [],
    candidates: 1,
    output,
    forcedTool: readForcedTool(body.tool_choice, tools),
    reasoning: readReasoning(body.reasoning),
  };
}

function readTurn(item: JsonObject): Turn {
  switch (item.type) {
    case "function_call":
      return { speaker: "model", texts: [], toolResults: [], other: [String(item.name), String(item.arguments)] };
    case "custom_tool_call":
      return { speaker: "model", texts: [], toolResults: [], other: [String(item.name), String(item.input)] };
    case "function_call_output":
    case "custom_tool_call_output":
      return { speaker: "tool", texts: [], toolResults: [textsOf(item.output).join("")] };
    case "reasoning":
      return { speaker: "model", texts: [], toolResults: [], other: textsOf(item.summary) };
    default: {
      const speaker = item.role === "assistant" ? "model" : item.role === "user" ? "user" : "system";
      return { speaker, texts: textsOf(item.content), toolResults: [] };
    }
  }
}

function textsOf(content: unknown): string[] {
  if (typeof content === "string") return [content];
  return Array.isArray(content) ? content.flatMap((part: JsonObject) => (typeof part.text === "string" ? [part.text] : [])) : [];
}

function readForcedTool(choice: unknown, tools: readonly FunctionTool[]): Prompt["forcedTool"] {
  const named = isObject(choice) && choice.type === "function" ? choice.name : undefined;
  const listed =
    isObject(choice) && choice.type === "allowed_tools" && choice.mode === "required" ? (choice.tools as { name?: unknown }[]) : undefined;
  if (choice !== "required" && named === undefined && listed === undefined) return undefined;
  const allowed = listed?.map(({ name }) => name) ?? (named === undefined ? [] : [named]);
  const tool = tools.find(
    ({ type, name }) => (type === "function" || type === "custom") && (allowed.length === 0 || allowed.includes(name)),
  );
  return tool === undefined ? undefined : { name: String(tool.name), parameters: tool.parameters ?? {} };
}

function readReasoning(reasoning: unknown): Prompt["reasoning"] {
  if (!isObject(reasoning)) return "default";
  if (reasoning.effort === "none") return "off";
  return typeof reasoning.summary === "string" ? "asked" : "default";
}
