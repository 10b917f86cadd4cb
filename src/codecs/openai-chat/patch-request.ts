/**
 * The client's own chat completion request, patched for a server that speaks the same (design.md 4, rule 10). Only what a
 * target takes exactly as the client wrote it; in doubt, writeRequest knows better.
 */
import { type GenerateRequest, type Message, type Part, Role, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { ClientWire } from "../../core/call.ts";
import type { UpstreamRequest, WriteOptions } from "../../core/dialect.ts";
import { effortLevels } from "../../core/effort.ts";
import { isJsonObject, type JsonObject, type JsonValue, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { serviceTiers } from "../../core/openai-words.ts";
import type { Target } from "../../core/target.ts";
import { refuseUnpaired } from "../../core/tool-pairs.ts";
import { TranslationReport } from "../../core/translation.ts";
import { legalToolId, legalToolName } from "./legal-names.ts";
import type { OpenAiChatQuirks } from "./quirks.ts";
import { format, path } from "./wire.ts";

const defaults = { maxStops: 4, maxTemperature: 2, maxPenalty: 2 } as const;

/** Undefined where the target needs another body, or might. */
export function patchRequest(
  request: GenerateRequest,
  { body }: ClientWire,
  target: Target,
  { stream }: WriteOptions,
  quirks: OpenAiChatQuirks,
): UpstreamRequest | undefined {
  if (!takesFields(body, target, quirks) || !takesFormat(body, request, target, quirks)) return undefined;
  if (!takesTools(body, quirks) || !isUsual(body) || !takesMessages(request, target, quirks)) return undefined;
  const report = new TranslationReport(format);
  if (!quirks.unpairedToolCalls) refuseUnpaired(request.messages, false, report);
  const patched: WritableObject = { ...renameLimit(body, quirks), model: target.model, stream };
  const user = request.attribution?.endUserId ?? "";
  if (quirks.sendUser !== undefined && user !== "") patched[quirks.sendUser] = user;
  for (const name of Object.keys(patched)) if (isKept(name) && !(name === quirks.sendUser && user !== "")) delete patched[name];
  if (!stream || quirks.streamOptions === false) delete patched.stream_options;
  else patched.stream_options = { ...(isJsonObject(body.stream_options) ? body.stream_options : {}), include_usage: true };
  return { path: quirks.path ?? path, headers: {}, body: writeJson(patched), report };
}

/** The output's limit under the name that the target knows, in its place; the other name is mostly refused. */
function renameLimit(body: JsonObject, quirks: OpenAiChatQuirks): WritableObject {
  const { known, other } = limitNames(quirks);
  if (!Object.hasOwn(body, other)) return body as WritableObject;
  return Object.fromEntries(Object.entries(body).map(([name, value]) => [name === other ? known : name, value as Writable]));
}

function limitNames({ maxTokensField: known = "max_completion_tokens" }: OpenAiChatQuirks) {
  return { known, other: known === "max_tokens" ? "max_completion_tokens" : "max_tokens" };
}

/** Fields that never reach a provider as the client wrote them: who the end user is, and what the gateway itself is told. */
function isKept(name: string): boolean {
  return name === "user" || name === "safety_identifier" || name.startsWith("agumbe_");
}

/** Older names, and what has rules of its own in the writer. */
const rewritten = ["functions", "function_call", "modalities", "audio", "web_search_options", "cache_control", "prompt_cache_options"];
const nativeFields = ["top_k", "min_p", "repetition_penalty"] as const;

function takesFields(body: JsonObject, { traits }: Target, quirks: OpenAiChatQuirks): boolean {
  const has = (name: string) => (body[name] ?? null) !== null;
  const { known, other } = limitNames(quirks);
  if ((Object.hasOwn(body, known) && Object.hasOwn(body, other)) || rewritten.some(has) || quirks.refusedParameters?.some(has))
    return false;
  if (traits.sampling === false && ["temperature", "top_p", "top_k"].some(has)) return false;
  if (nativeFields.some((name) => has(name) && !quirks.nativeFields?.includes(name))) return false;
  if (has("top_k") && typeof body.top_k === "number" && body.top_k < 0) return false;
  if (has("top_logprobs") && body.logprobs !== true) return false;
  if (has("service_tier") && !Object.hasOwn(serviceTiers, String(body.service_tier))) return false;
  const { maxPenalty } = defaults;
  const effort = body.reasoning_effort ?? null;
  const takesEffort =
    effort === null ||
    effort === "none" ||
    (traits.reasoning !== "none" && (traits.efforts ?? effortLevels).some((level) => level === effort));
  return (
    takesEffort &&
    isWithin(body.temperature, 0, quirks.maxTemperature ?? defaults.maxTemperature) &&
    isWithin(body.frequency_penalty, -maxPenalty, maxPenalty) &&
    isWithin(body.presence_penalty, -maxPenalty, maxPenalty) &&
    !(Array.isArray(body.stop) && body.stop.length > (quirks.maxStops ?? defaults.maxStops))
  );
}

function isWithin(value: JsonValue | undefined, min: number, max: number): boolean {
  return value === undefined || value === null || (typeof value === "number" && value >= min && value <= max);
}

function takesFormat({ response_format: shape }: JsonObject, { messages }: GenerateRequest, target: Target, quirks: OpenAiChatQuirks) {
  if (shape === undefined || shape === null) return true;
  if (!isJsonObject(shape)) return false;
  if (shape.type === "json_object") return quirks.jsonObject !== false && messages.some(namesJson);
  if (shape.type !== "json_schema" || !isJsonObject(shape.json_schema)) return false;
  const { name } = shape.json_schema;
  return quirks.jsonSchema !== false && target.traits.structuredOutput !== false && typeof name === "string" && name !== "";
}

/** The service refuses JSON mode where no message names JSON. */
function namesJson({ parts }: Message): boolean {
  return parts.some(({ part }) => part.case === "text" && /json/i.test(part.value));
}

function takesTools({ tools, tool_choice: choice, parallel_tool_calls: parallel }: JsonObject, quirks: OpenAiChatQuirks): boolean {
  const hasTools = Array.isArray(tools) && tools.length > 0;
  if (hasTools && !tools.every((tool) => takesTool(tool, quirks))) return false;
  // The service refuses a choice without tools.
  if (!hasTools && (tools ?? choice ?? parallel ?? null) !== null) return false;
  if (choice === undefined || choice === null) return true;
  if (typeof choice === "string") return choice === "auto" || choice === "none" || choice === "required";
  return isJsonObject(choice) && choice.type === "function";
}

function takesTool(tool: JsonValue, quirks: OpenAiChatQuirks): boolean {
  if (!isJsonObject(tool) || tool.type !== "function" || !isJsonObject(tool.function)) return false;
  const { name, strict } = tool.function;
  if (typeof name !== "string" || legalToolName(name) !== name) return false;
  if ((strict ?? null) !== null && quirks.strictTools === false) return false;
  return [tool, tool.function].every((holder) => holder.cache_control === undefined && holder.prompt_cache_breakpoint === undefined);
}

/** Whether messages are written as the API's documentation has them; readers take more. */
function isUsual({ messages }: JsonObject): boolean {
  if (!Array.isArray(messages)) return false;
  return messages.every((message) => {
    if (!isJsonObject(message) || message.role === "function" || (message.function_call ?? null) !== null) return false;
    const { content, tool_calls: calls } = message;
    if (Array.isArray(content) && !content.every(isJsonObject)) return false;
    return !Array.isArray(calls) || calls.every((call) => isJsonObject(call) && call.type === "function");
  });
}

function takesMessages({ messages }: GenerateRequest, { traits }: Target, quirks: OpenAiChatQuirks): boolean {
  if (traits.prefill === false && messages.at(-1)?.role === Role.ASSISTANT) return false;
  const firstTurn = messages.findIndex(({ role }) => role !== Role.SYSTEM && role !== Role.DEVELOPER);
  return messages.every((message, index) => {
    const { role, parts, name } = message;
    if (role === Role.DEVELOPER && quirks.developerRole === false) return false;
    if ((role === Role.SYSTEM || role === Role.DEVELOPER) && traits.midSystem === false && firstTurn !== -1 && index > firstTurn)
      return false;
    if (name !== "" && (role === Role.TOOL || quirks.refusedParameters?.includes("name"))) return false;
    return parts.every((part) => takesPart(part, role, traits.imageUrls ?? quirks.imageUrls, quirks));
  });
}

function takesPart(part: Part, role: Role, imageUrls: boolean | undefined, quirks: OpenAiChatQuirks): boolean {
  if (part.cache !== undefined) return false;
  const refuses = (field: string) => quirks.refusedParameters?.includes(field) ?? false;
  const content = part.part;
  switch (content.case) {
    case "text":
      return part.annotations.length === 0 || !refuses("annotations");
    case "refusal":
      return !refuses("refusal");
    case "image": {
      const { source, mimeType } = content.value;
      if (role !== Role.USER) return false;
      if (source.case === "url") return imageUrls !== false && /^https?:/i.test(source.value);
      return source.case === "data" && (sniffMediaType(source.value) ?? mimeType) === mimeType;
    }
    case "toolCall": {
      const { id, name, kind, argumentsJson } = content.value;
      if (kind === ToolKind.CUSTOM || quirks.reasoningRequired || argumentsJson === "") return false;
      // Whose signature it is, the writer decides.
      if (part.signature !== undefined) return false;
      return legalToolId(id, quirks.toolIdLength) === id && legalToolName(name) === name;
    }
    case "toolResult": {
      const { toolCallId, content: inner } = content.value;
      if (legalToolId(toolCallId, quirks.toolIdLength) !== toolCallId) return false;
      return inner.every(({ part: { case: kind }, cache }) => kind === "text" && cache === undefined);
    }
    default:
      return false;
  }
}
