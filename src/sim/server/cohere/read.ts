/** Checks a chat request as strictly as the vendor and reads it. */
import { behaviourOf } from "../../model-name.ts";
import { conversation, type Prompt, type Turn } from "../../prompt.ts";
import { checkShape, isObject, type JsonObject } from "../../shape.ts";
import { splitUnknown } from "../unknown.ts";
import type { Reading, RequestFacts } from "../wire.ts";
import { chatShape } from "./shape.ts";
import { refuse, refuseIssues, refuseModel } from "./vendor.ts";

interface Message {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content?: string | readonly JsonObject[];
  readonly tool_calls?: readonly { readonly id: string; readonly function: { readonly name: string; readonly arguments: string } }[];
  readonly tool_plan?: string;
  readonly tool_call_id?: string;
}

interface ToolDefinition {
  readonly function: { readonly name: string; readonly parameters: unknown };
}

export function readChat({ body, lenient }: RequestFacts): Reading {
  const { rest, unknown } = splitUnknown(checkShape(body, chatShape), lenient);
  refuseIssues(rest);
  const model = String(body.model);
  if (behaviourOf(model).kind === "missing") refuseModel(model);
  const messages = body.messages as Message[];
  checkMessages(messages);
  checkSettings(body);
  return { model, prompt: readPrompt(body, messages), stream: body.stream === true, array: false, unknown, body };
}

function checkMessages(messages: readonly Message[]): void {
  if (!messages.some(({ role }) => role === "user" || role === "tool"))
    refuse("invalid request: messages must contain a message of the user.");
  const last = messages.at(-1)?.role;
  if (last !== "user" && last !== "tool") refuse("invalid request: the last message must be from the user or a tool.");
  let open = new Set<string>();
  messages.forEach(({ role, content, tool_calls, tool_call_id }, index) => {
    if (role === "tool") {
      if (!open.delete(String(tool_call_id)))
        refuse(`invalid request: messages[${index}].tool_call_id does not match a tool call of the message before it.`);
      return;
    }
    refuseUnanswered(open, index);
    open = new Set(tool_calls?.map(({ id }) => id));
    if (open.size < (tool_calls?.length ?? 0)) refuse(`invalid request: messages[${index}].tool_calls have the same id.`);
    if (role === "assistant" && tool_calls === undefined && (content === undefined || content === null || content.length === 0)) {
      refuse(`invalid request: messages[${index}] must have non-empty content or tool calls.`);
    }
  });
  refuseUnanswered(open, messages.length);
}

function refuseUnanswered(open: ReadonlySet<string>, index: number): void {
  if (open.size > 0) refuse(`invalid request: tool call id '${[...open].join(", ")}' has no tool result before messages[${index}].`);
}

function checkSettings(body: JsonObject): void {
  const hasTools = Array.isArray(body.tools) && body.tools.length > 0;
  const hasDocuments = Array.isArray(body.documents) && body.documents.length > 0;
  const choosing = body.tool_choice === "REQUIRED" || body.tool_choice === "NONE";
  if (choosing && !hasTools) refuse("invalid request: tool_choice may only be specified with tools.");
  if (body.strict_tools === true && !hasTools) refuse("invalid request: strict_tools may only be specified with tools.");
  const format = isObject(body.response_format) ? body.response_format : undefined;
  if (format?.type === "json_object" && (hasTools || hasDocuments)) {
    refuse("invalid request: cannot specify both response_format json_object and tools or documents.");
  }
  if (isObject(format?.json_schema) && format.json_schema.type !== "object") {
    refuse("invalid request: the top level of json_schema must be of type object.");
  }
  if (typeof body.safety_mode === "string" && (hasTools || hasDocuments)) {
    refuse("invalid request: safety_mode cannot be used with tools or documents.");
  }
  const names = ((body.tools ?? []) as ToolDefinition[]).map((tool) => tool.function.name);
  if (new Set(names).size < names.length) refuse("invalid request: tool names must be unique.");
}

function readPrompt(body: JsonObject, messages: readonly Message[]): Prompt {
  return {
    ...conversation(messages.map(readTurn)),
    maxOutputTokens: (body.max_tokens ?? undefined) as number | undefined,
    stop: (body.stop_sequences ?? []) as string[],
    candidates: 1,
    output: readOutput(body.response_format),
    forcedTool: readForcedTool(body),
    reasoning: readReasoning(body.thinking),
  };
}

function readTurn({ role, content, tool_calls = [], tool_plan = "" }: Message): Turn {
  const parts = typeof content === "string" ? [{ type: "text", text: content }] : (content ?? []);
  const texts = parts.flatMap((part) => (typeof part.text === "string" ? [part.text] : documentText(part)));
  const thoughts = parts.flatMap((part) => (typeof part.thinking === "string" ? [part.thinking] : []));
  const calls = tool_calls.flatMap((call) => [call.function.name, call.function.arguments]);
  if (role === "tool") return { speaker: "tool", texts: [], toolResults: [texts.join("")] };
  return { speaker: role === "assistant" ? "model" : role, texts, toolResults: [], other: [...thoughts, tool_plan, ...calls] };
}

function documentText({ document }: JsonObject): string[] {
  if (!isObject(document)) return [];
  return [typeof document.data === "string" ? document.data : JSON.stringify(document.data)];
}

function readOutput(format: unknown): Prompt["output"] {
  if (!isObject(format) || format.type !== "json_object") return undefined;
  return isObject(format.json_schema) ? { kind: "schema", schema: format.json_schema } : { kind: "object" };
}

function readForcedTool({ tool_choice: choice, tools }: JsonObject): Prompt["forcedTool"] {
  const [tool] = choice === "REQUIRED" ? ((tools ?? []) as ToolDefinition[]) : [];
  return tool === undefined ? undefined : { name: tool.function.name, parameters: tool.function.parameters };
}

function readReasoning(thinking: unknown): Prompt["reasoning"] {
  if (!isObject(thinking)) return "default";
  return thinking.type === "disabled" ? "off" : "asked";
}
