/** A request of the contract as the simulated model sees it. */
import {
  type GenerateRequest,
  type Message,
  OutputKind,
  type Part,
  ReasoningDisplay,
  Role,
  ToolChoiceMode,
} from "../../gen/dragoman/v1/generate_pb.ts";
import { isReasoningOff } from "../core/effort.ts";
import { parseJson } from "../core/json.ts";
import { conversation, type Prompt, type Turn } from "./prompt.ts";

const speakers: Readonly<Record<number, Turn["speaker"]>> = {
  [Role.SYSTEM]: "system",
  [Role.DEVELOPER]: "system",
  [Role.USER]: "user",
  [Role.ASSISTANT]: "model",
  [Role.TOOL]: "tool",
};

export function readPrompt(request: GenerateRequest): Prompt {
  const { sampling } = request;
  return {
    ...conversation(request.messages.map(readTurn)),
    maxOutputTokens: sampling?.maxOutputTokens,
    stop: sampling?.stop ?? [],
    candidates: sampling?.candidateCount ?? 1,
    output: readOutput(request),
    forcedTool: readForcedTool(request),
    reasoning: readReasoning(request),
  };
}

function readTurn({ role, parts }: Message): Turn {
  const texts: string[] = [];
  const toolResults: string[] = [];
  const other: string[] = [];
  for (const { part } of parts) {
    if (part.case === "text") texts.push(part.value);
    else if (part.case === "toolResult") toolResults.push(part.value.resultJson || part.value.content.map(textOf).join(""));
    else if (part.case === "toolCall") other.push(part.value.name, part.value.argumentsJson || part.value.inputText);
    else if (part.case === "reasoning") other.push(part.value.text);
    else if (part.case === "refusal") other.push(part.value);
  }
  return { speaker: speakers[role] ?? "user", texts, toolResults, other };
}

function textOf({ part }: Part): string {
  return part.case === "text" ? part.value : "";
}

function readOutput({ outputFormat }: GenerateRequest): Prompt["output"] {
  if (outputFormat?.kind === OutputKind.JSON_OBJECT) return { kind: "object" };
  if (outputFormat?.kind !== OutputKind.JSON_SCHEMA) return undefined;
  return { kind: "schema", schema: outputFormat.schemaJson === "" ? {} : parseJson(outputFormat.schemaJson) };
}

function readForcedTool({ toolChoice, tools }: GenerateRequest): Prompt["forcedTool"] {
  if (toolChoice?.mode !== ToolChoiceMode.REQUIRED && toolChoice?.mode !== ToolChoiceMode.TOOL) return undefined;
  const allowed = toolChoice.mode === ToolChoiceMode.TOOL ? [toolChoice.toolName] : toolChoice.allowedTools;
  for (const { tool } of tools) {
    if (tool.case !== "function" || (allowed.length > 0 && !allowed.includes(tool.value.name))) continue;
    const { name, parametersJson } = tool.value;
    return { name, parameters: parametersJson === "" ? {} : parseJson(parametersJson) };
  }
  return undefined;
}

function readReasoning({ reasoning }: GenerateRequest): Prompt["reasoning"] {
  if (reasoning === undefined) return "default";
  if (isReasoningOff(reasoning)) return "off";
  if (reasoning.display === ReasoningDisplay.OMITTED) return "hidden";
  return "asked";
}
