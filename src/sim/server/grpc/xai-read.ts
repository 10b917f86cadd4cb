/** Checks a chat request as strictly as xAI and reads it. */
import {
  FormatType,
  type GetCompletionsRequest,
  type Message,
  MessageRole,
  ReasoningEffort,
  type ToolCall,
  ToolCallType,
  ToolMode,
} from "../../../../gen/xai/api/v1/chat_pb.ts";
import { behaviourOf } from "../../model-name.ts";
import { conversation, type Prompt, type Turn } from "../../prompt.ts";
import type { JsonObject } from "../../shape.ts";
import { isOwnSignature } from "../../signature.ts";
import { isScripted } from "../issued.ts";
import { Refusal } from "../problem.ts";
import type { Reading } from "../wire.ts";

export function readCompletion(request: GetCompletionsRequest, body: JsonObject, stream: boolean): Reading {
  const { model } = request;
  if (model === "") refuse("Model must be set.");
  if (behaviourOf(model).kind === "missing") refuse(`The model ${model} does not exist or your team does not have access to it.`, 404);
  checkMessages(request.messages);
  checkCalls(request.messages);
  checkReasoning(request.messages);
  checkSettings(request);
  checkTools(request);
  return { model, prompt: readPrompt(request), stream, array: false, unknown: {}, body };
}

export function refuse(message: string, status = 400): never {
  throw new Refusal({ status, message });
}

function checkMessages(messages: readonly Message[]): void {
  if (messages.every(({ role }) => role === MessageRole.ROLE_SYSTEM || role === MessageRole.ROLE_DEVELOPER))
    refuse("There must be at least a single message that the model can respond to.");
  for (const [index, { role, content, name }] of messages.entries()) {
    if (role === MessageRole.INVALID_ROLE) refuse(`messages[${index}]: invalid role.`);
    if (content.length === 0) refuse(`messages[${index}]: each message must have at least one content element.`);
    if (name !== "" && role !== MessageRole.ROLE_USER) refuse(`messages[${index}]: the name can only be set if the role is ROLE_USER.`);
    for (const { content: element } of content) {
      if (element.case === undefined) refuse(`messages[${index}]: empty content element.`);
      if (element.case === "text" || role === MessageRole.ROLE_USER) continue;
      refuse(`messages[${index}]: only user messages can hold images and files.`);
    }
  }
  if (messages.at(-1)?.role === MessageRole.ROLE_ASSISTANT) refuse("The last message must not be of the assistant.");
}

/** Calls of the client's tools are answered by the tool messages behind them, and nothing else is. */
function checkCalls(messages: readonly Message[]): void {
  let open = new Set<string>();
  for (const [index, { role, toolCallId = "", toolCalls }] of messages.entries()) {
    if (role === MessageRole.ROLE_TOOL && toolCalls.length === 0) {
      if (!open.delete(toolCallId)) refuse(`messages[${index}]: tool_call_id ${toolCallId} does not answer a tool call.`);
      continue;
    }
    if (open.size > 0) refuse(`messages[${index}]: tool calls ${[...open].join(", ")} have no result.`);
    open = new Set(toolCalls.filter(isClientCall).map(({ id }) => id));
  }
  if (open.size > 0) refuse(`Tool calls ${[...open].join(", ")} have no result.`);
}

function isClientCall({ type }: ToolCall): boolean {
  return type === ToolCallType.CLIENT_SIDE_TOOL || type === ToolCallType.INVALID;
}

function checkReasoning(messages: readonly Message[]): void {
  for (const [index, { encryptedContent, reasoningContent = "" }] of messages.entries()) {
    if (encryptedContent === "" || isScripted("xai", encryptedContent)) continue;
    if (!isOwnSignature("xai", encryptedContent, reasoningContent)) refuse(`messages[${index}]: encrypted_content cannot be decrypted.`);
  }
}

function checkSettings(request: GetCompletionsRequest): void {
  const { stop, temperature = 1, topP = 1, maxTokens = 1, n = 1, topLogprobs = 0, logprobs, model, reasoningEffort } = request;
  if (stop.length > 8) refuse("At most 8 stop strings can be provided.");
  if (!(temperature >= 0 && temperature <= 2)) refuse("temperature must be between 0 and 2.");
  if (!(topP >= 0 && topP <= 1)) refuse("top_p must be between 0 and 1.");
  if (maxTokens < 1) refuse("max_tokens must be positive.");
  if (n < 1 || n > 128) refuse("n must be between 1 and 128.");
  if (topLogprobs < 0 || topLogprobs > 8) refuse("top_logprobs must be between 0 and 8.");
  if (request.topLogprobs !== undefined && !logprobs) refuse("top_logprobs needs logprobs.");
  if (reasoningEffort !== undefined && /^grok-(?:3|4)$/.test(model)) refuse(`Model ${model} does not support parameter reasoning_effort.`);
  const { responseFormat } = request;
  if (responseFormat?.formatType === FormatType.JSON_SCHEMA) objectOf(responseFormat.schema ?? "", "response_format.schema");
}

function checkTools({ tools, toolChoice }: GetCompletionsRequest): void {
  const names = tools.flatMap(({ tool }) => (tool.case === "function" ? [tool.value.name] : []));
  for (const { tool } of tools) {
    if (tool.case === undefined) refuse("tools: a tool is empty.");
    if (tool.case !== "function") continue;
    if (tool.value.name === "") refuse("tools: a function has no name.");
    objectOf(tool.value.parameters, `tools: parameters of ${tool.value.name}`);
  }
  if (toolChoice === undefined) return;
  if (tools.length === 0) refuse("tool_choice is set, but no tools are.");
  const { case: kind, value } = toolChoice.toolChoice;
  if (kind === "functionName" && !names.includes(value)) refuse(`tool_choice: there is no function ${value}.`);
}

function objectOf(text: string, what: string): JsonObject {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  } catch {
    // Refused below.
  }
  return refuse(`${what} must be a JSON object.`);
}

function readPrompt(request: GetCompletionsRequest): Prompt {
  return {
    ...conversation(request.messages.map(readTurn)),
    maxOutputTokens: request.maxTokens,
    stop: request.stop,
    candidates: request.n ?? 1,
    output: readOutput(request),
    forcedTool: readForcedTool(request),
    reasoning: readReasoning(request),
  };
}

const speakers: Readonly<Partial<Record<MessageRole, Turn["speaker"]>>> = {
  [MessageRole.ROLE_SYSTEM]: "system",
  [MessageRole.ROLE_DEVELOPER]: "system",
  [MessageRole.ROLE_ASSISTANT]: "model",
  [MessageRole.ROLE_TOOL]: "tool",
};

function readTurn({ role, content, toolCalls, reasoningContent = "" }: Message): Turn {
  const speaker = speakers[role] ?? "user";
  const texts = content.flatMap(({ content: element }) => (element.case === "text" && element.value !== "" ? [element.value] : []));
  const other = toolCalls.flatMap(({ tool }) => (tool.case === "function" ? [tool.value.name, tool.value.arguments] : []));
  if (reasoningContent !== "") other.push(reasoningContent);
  return speaker === "tool" ? { speaker, texts: [], toolResults: texts, other } : { speaker, texts, toolResults: [], other };
}

function readOutput({ responseFormat }: GetCompletionsRequest): Prompt["output"] {
  if (responseFormat?.formatType === FormatType.JSON_OBJECT) return { kind: "object" };
  if (responseFormat?.formatType !== FormatType.JSON_SCHEMA) return undefined;
  return { kind: "schema", schema: objectOf(responseFormat.schema ?? "", "response_format.schema") };
}

function readForcedTool({ tools, toolChoice }: GetCompletionsRequest): Prompt["forcedTool"] {
  const choice = toolChoice?.toolChoice;
  const isForced = choice?.case === "functionName" || (choice?.case === "mode" && choice.value === ToolMode.REQUIRED);
  if (!isForced) return undefined;
  for (const { tool } of tools) {
    if (tool.case !== "function" || (choice.case === "functionName" && tool.value.name !== choice.value)) continue;
    return { name: tool.value.name, parameters: JSON.parse(tool.value.parameters) };
  }
  return undefined;
}

function readReasoning({ reasoningEffort }: GetCompletionsRequest): Prompt["reasoning"] {
  if (reasoningEffort === undefined) return "default";
  return reasoningEffort === ReasoningEffort.EFFORT_NONE ? "off" : "asked";
}
