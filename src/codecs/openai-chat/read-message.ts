/** One message of any role. */
import { create } from "@bufbuild/protobuf";
import { MediaSchema, type Message, type Part, type Role, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { Fields, type Located } from "../../core/fields.ts";
import { isJsonObject, jsonText } from "../../core/json.ts";
import { newMessage } from "../../core/new-message.ts";
import { readAnnotation } from "./annotations.ts";
import { makePart, readCacheMarker, readContent } from "./read-content.ts";
import { format, roles } from "./wire.ts";

const maxNameLength = 256;
const roleNames = Object.keys(roles);

/** Ids of old-style function calls, which have none: each answer belongs to the latest call of that name. */
export type FunctionCallIds = Map<string, string>;

/** `index`: place of the message in the request. Throws invalid_request with the client's own path. */
export function readMessage({ value, path }: Located, index: number, functionCalls: FunctionCallIds): Message {
  const fields = new Fields(value, path);
  const roleName = fields.word("role", roleNames) ?? fields.fail("role", "is required");
  const role = roles[roleName] as Role;
  const message = newMessage(role);
  if (roleName === "assistant") message.parts = readAssistant(fields, index, functionCalls);
  else if (roleName === "tool") message.parts = [readToolResult(fields, fields.requiredString("tool_call_id"), "")];
  else if (roleName === "function") {
    const name = fields.requiredString("name");
    message.parts = [readToolResult(fields, functionCalls.get(name) ?? madeId(index, 0), name)];
  } else message.parts = readContent(fields);
  if (roleName !== "function") message.name = readName(fields);
  markLastPart(message, fields);
  message.extrasJson = fields.extras(format);
  return message;
}

function readName(fields: Fields): string {
  const name = fields.string("name") ?? "";
  return name.length > maxNameLength ? fields.fail("name", `must have at most ${maxNameLength} characters`) : name;
}

/** A marker on the message counts for its last part (contract.md 3.2, cache). */
function markLastPart(message: Message, fields: Fields): void {
  const last = message.parts.at(-1);
  if (last === undefined || last.cache !== undefined) return;
  const cache = readCacheMarker(fields);
  if (cache !== undefined) last.cache = cache;
}

function readToolResult(fields: Fields, toolCallId: string, name: string): Part {
  const content = readContent(fields);
  return makePart({
    case: "toolResult",
    value: { $typeName: "dragoman.v1.ToolResult", toolCallId, name, content, resultJson: "", isError: false, kind: ToolKind.UNSPECIFIED },
  });
}

/** The order in which a model makes them: reasoning, text, refusal, sound, calls. */
function readAssistant(fields: Fields, index: number, functionCalls: FunctionCallIds): Part[] {
  const parts: Part[] = [];
  const reasoning = readReasoning(fields);
  if (reasoning !== undefined) {
    parts.push(
      makePart({ case: "reasoning", value: { $typeName: "dragoman.v1.ReasoningPart", text: reasoning, summaries: [], redacted: false } }),
    );
  }
  parts.push(...readContent(fields));
  const refusal = fields.string("refusal");
  if (refusal !== undefined) parts.push(makePart({ case: "refusal", value: refusal }));
  readAnnotations(fields, parts);
  const audio = fields.object("audio");
  const audioId = audio?.string("id");
  if (audioId !== undefined) {
    const part = makePart({
      case: "audio",
      value: create(MediaSchema, { source: { case: "providerFile", value: { id: audioId } } }),
    });
    part.id = audioId;
    parts.push(part);
  }
  for (const call of fields.array("tool_calls") ?? []) parts.push(readToolCall(call));
  const old = fields.object("function_call");
  if (old !== undefined) parts.push(readFunctionCall(old, index, functionCalls));
  return parts;
}

/** `reasoning_content` of most compatible servers, `reasoning` of OpenRouter, Groq and newer vLLM; both: the same twice. */
function readReasoning(fields: Fields): string | undefined {
  const text = typeof fields.peek("reasoning_content") === "string" ? fields.string("reasoning_content") : undefined;
  const other = typeof fields.peek("reasoning") === "string" ? fields.string("reasoning") : undefined;
  return text ?? other;
}

/** Citations come back in messages that a client appends as it got them, mostly as an empty list. */
function readAnnotations(fields: Fields, parts: readonly Part[]): void {
  const annotations = fields.peek("annotations");
  if (!Array.isArray(annotations)) return;
  const text = parts.find(({ part }) => part.case === "text");
  if (text === undefined && annotations.length > 0) return;
  for (const annotation of fields.array("annotations") ?? []) {
    const read = readAnnotation(annotation.value, 0);
    if (read !== undefined) text?.annotations.push(read);
  }
}

function readToolCall({ value, path }: Located): Part {
  const fields = new Fields(value, path);
  const type = fields.string("type") ?? (fields.has("custom") ? "custom" : "function");
  if (type !== "function" && type !== "custom") {
    return makePart({ case: "opaque", value: { $typeName: "dragoman.v1.OpaquePart", format, type, dataJson: jsonText(value) } });
  }
  const id = fields.string("id") ?? fields.fail("id", "is required");
  const call = fields.object(type) ?? fields.fail(type, "is required");
  const name = call.requiredString("name");
  const isCustom = type === "custom";
  const signature = readSignature(fields);
  const part = makePart(
    {
      case: "toolCall",
      value: {
        $typeName: "dragoman.v1.ToolCall",
        id,
        name,
        argumentsJson: isCustom ? "" : (call.string("arguments") ?? ""),
        inputText: isCustom ? (call.string("input") ?? "") : "",
        kind: isCustom ? ToolKind.CUSTOM : ToolKind.FUNCTION,
      },
    },
    fields,
  );
  if (signature !== undefined) part.signature = { $typeName: "dragoman.v1.Signature", value: signature, format: "gemini", provider: "" };
  return part;
}

/** Where Google's compatible endpoint, and our own answers, put a call's thought signature. */
function readSignature(call: Fields): string | undefined {
  if (!isJsonObject(call.peek("extra_content"))) return undefined;
  const signature = call.object("extra_content")?.object("google")?.string("thought_signature");
  return signature === "" ? undefined : signature;
}

function readFunctionCall(call: Fields, index: number, functionCalls: FunctionCallIds): Part {
  const name = call.requiredString("name");
  const id = madeId(index, 0);
  functionCalls.set(name, id);
  const argumentsJson = call.string("arguments") ?? "";
  return makePart({
    case: "toolCall",
    value: { $typeName: "dragoman.v1.ToolCall", id, name, argumentsJson, inputText: "", kind: ToolKind.FUNCTION },
  });
}

function madeId(message: number, call: number): string {
  return `dgm_function_${message}_${call}`;
}
