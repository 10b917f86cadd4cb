/**
 * What clients and models said, as spans may hold it where the operator asked for that (never otherwise): OpenTelemetry's
 * JSON of messages and parts, credentials taken out. Media are named, not copied.
 */
import {
  type Candidate,
  FinishReason,
  type GenerateRequest,
  type Message,
  type Part,
  Role,
  type Tool,
} from "../../gen/dragoman/v1/generate_pb.ts";
import { redact } from "../core/redact.ts";

/** A longer attribute is left out: exporters cut it, and half of a JSON text is nothing. */
const maxLength = 262_144;

const roleNames: Readonly<Record<number, string>> = {
  [Role.SYSTEM]: "system",
  [Role.DEVELOPER]: "system",
  [Role.USER]: "user",
  [Role.ASSISTANT]: "assistant",
  [Role.TOOL]: "tool",
};

const finishNames: Readonly<Record<number, string>> = Object.fromEntries(
  Object.entries(FinishReason).map(([name, value]) => [value, name.toLowerCase()]),
);

export function writeFinishReason(reason: FinishReason): string {
  return finishNames[reason] ?? "unspecified";
}

/** Undefined where there is nothing to write, or too much. */
export function writeInstructions({ messages }: GenerateRequest): string | undefined {
  return writeList(messages.filter(isInstruction).flatMap(({ parts }) => parts.map(showPart)));
}

export function writeInputMessages({ messages }: GenerateRequest): string | undefined {
  return writeList(
    messages
      .filter((message) => !isInstruction(message))
      .map(({ role, parts }) => ({ role: roleNames[role] ?? "user", parts: parts.map(showPart) })),
  );
}

export function writeToolDefinitions({ tools }: GenerateRequest): string | undefined {
  return writeList(tools.map(showTool));
}

export function writeOutputMessages(candidates: readonly Candidate[]): string | undefined {
  return writeList(
    candidates.map(({ message, finished }) => ({
      role: "assistant",
      parts: (message?.parts ?? []).map(showPart),
      finish_reason: writeFinishReason(finished?.reason ?? FinishReason.UNSPECIFIED),
    })),
  );
}

function isInstruction({ role }: Message): boolean {
  return role === Role.SYSTEM || role === Role.DEVELOPER;
}

function writeList(list: readonly object[]): string | undefined {
  if (list.length === 0) return undefined;
  const text = redact(JSON.stringify(list));
  return text.length > maxLength ? undefined : text;
}

function showPart({ part }: Part): object {
  switch (part.case) {
    case "text":
    case "refusal":
      return { type: "text", content: part.value };
    case "reasoning":
      return { type: "reasoning", content: part.value.text };
    case "toolCall": {
      const { id, name, argumentsJson, inputText } = part.value;
      return { type: "tool_call", id, name, arguments: argumentsJson === "" ? inputText : argumentsJson };
    }
    case "toolResult": {
      const { toolCallId, content, resultJson } = part.value;
      return { type: "tool_call_response", id: toolCallId, response: resultJson === "" ? content.map(showPart) : resultJson };
    }
    default:
      return { type: part.case ?? "unknown" };
  }
}

function showTool({ tool }: Tool): object {
  switch (tool.case) {
    case "function":
      return { type: "function", name: tool.value.name, description: tool.value.description, parameters: tool.value.parametersJson };
    case "custom":
      return { type: "custom", name: tool.value.name };
    default:
      return { type: tool.case ?? "unknown" };
  }
}
