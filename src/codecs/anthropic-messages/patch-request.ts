/**
 * The client's own messages request, patched for a provider that speaks the same (design.md 4, rule 10). Only what the
 * provider takes exactly as the client wrote it; in doubt, writeRequest knows better.
 */
import { type GenerateRequest, type Message, type Part, Role, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { ClientWire } from "../../core/call.ts";
import type { UpstreamRequest, WriteOptions } from "../../core/dialect.ts";
import { isJsonObject, type JsonObject, type WritableObject, writeJson } from "../../core/json.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { isSignedBy } from "../../core/signature.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import { isBlank } from "../../core/written-parts.ts";
import { legalId, legalToolName } from "./legal-names.ts";
import type { AnthropicMessagesQuirks } from "./quirks.ts";
import { formatName, imageTypes, maxCacheMarkers, minThinkingBudget, signatureFamily } from "./wire.ts";

/** Undefined where the provider needs another body than the client wrote, or might: writeRequest knows then. */
export function patchRequest(
  request: GenerateRequest,
  { body }: ClientWire,
  target: Target,
  { stream }: WriteOptions,
  quirks: AnthropicMessagesQuirks,
): UpstreamRequest | undefined {
  if (!takesFields(body, request, target, quirks) || !takesThinking(body, request, target)) return undefined;
  if (!takesTools(request) || !takesMarkers(request) || !takesMessages(request, target)) return undefined;
  const patched: WritableObject = { ...(body as WritableObject), model: target.model };
  for (const name of Object.keys(patched)) if (name === "stream" || name === "metadata" || name.startsWith("agumbe_")) delete patched[name];
  if (stream) patched.stream = true;
  const userId = request.attribution?.endUserId ?? "";
  if (quirks.sendsEndUserId && userId !== "") patched.metadata = { user_id: userId };
  const headers = {
    "anthropic-version": quirks.version,
    ...(quirks.betas.length === 0 ? {} : { "anthropic-beta": quirks.betas.join(",") }),
  };
  return { path: quirks.path, headers, body: writeJson(patched), report: new TranslationReport(formatName) };
}

/** Beta features are named in a header, answers in a schema may need another one: both are the writer's. */
const rewritten = ["betas", "output_format", "speed"] as const;

function takesFields(body: JsonObject, request: GenerateRequest, { traits }: Target, quirks: AnthropicMessagesQuirks): boolean {
  const has = (name: string) => (body[name] ?? null) !== null;
  if (typeof body.max_tokens !== "number" || rewritten.some(has) || /"betas"/.test(request.extrasJson[formatName] ?? "")) return false;
  if (isJsonObject(body.output_config) && (body.output_config.format ?? null) !== null) return false;
  if (isJsonObject(body.metadata) && Object.keys(body.metadata).some((name) => name !== "user_id")) return false;
  if (has("service_tier") && body.service_tier !== "auto" && body.service_tier !== "standard_only") return false;
  if (quirks.sendsEndUserId === false && has("metadata") && !isJsonObject(body.metadata)) return false;
  const stops = body.stop_sequences;
  if (Array.isArray(stops) && stops.some((stop) => typeof stop !== "string" || isBlank(stop))) return false;
  const thinks = isJsonObject(body.thinking) && body.thinking.type !== "disabled";
  if ((traits.sampling === false || thinks) && ["temperature", "top_p", "top_k"].some(has)) return false;
  if (typeof body.temperature === "number" && body.temperature > 1) return false;
  return !(has("temperature") && has("top_p") && traits.temperatureWithTopP !== true);
}

function takesThinking(body: JsonObject, { messages, toolChoice }: GenerateRequest, { traits }: Target): boolean {
  const { thinking, output_config: config, tool_choice: choice } = body;
  const isForced = isJsonObject(choice) && (choice.type === "any" || choice.type === "tool");
  if (isForced && traits.alwaysReasons === true) return false;
  const takesEffort = traits.reasoning !== "budget" && traits.reasoning !== "none";
  const effort = isJsonObject(config) ? (config.effort ?? null) : null;
  if (effort !== null && !(takesEffort && (traits.efforts ?? efforts).some((level) => level === effort))) return false;
  if (thinking === undefined || thinking === null) return true;
  if (!isJsonObject(thinking) || traits.reasoning === "none" || toolChoice?.allowedTools.length) return false;
  if (thinking.type === "disabled") return traits.alwaysReasons !== true;
  if (isForced) return false;
  if (thinking.type === "adaptive" || thinking.type === "between_tools") return traits.adaptiveReasoning ?? traits.reasoning !== "budget";
  const { budget_tokens: budget } = thinking;
  if (thinking.type !== "enabled" || typeof budget !== "number" || typeof body.max_tokens !== "number") return false;
  if (traits.reasoning !== "budget" && traits.reasoning !== "both") return false;
  // After results, a budget is taken only where the calls' message begins with thinking.
  const answers = messages.at(-1)?.parts[0]?.part.case === "toolResult";
  const hasThought = messages.at(-2)?.parts[0]?.part.case === "reasoning";
  return budget >= minThinkingBudget && budget < body.max_tokens && (!answers || hasThought);
}

const efforts = ["low", "medium", "high", "xhigh", "max"] as const;

function takesTools({ tools, toolChoice }: GenerateRequest): boolean {
  if (tools.length === 0) return toolChoice === undefined;
  return tools.every(({ tool }) => {
    if (tool.case === "hosted") return tool.value.format === formatName;
    // A schema without a type gets one, and strict ones may be refused.
    return (
      tool.case === "function" &&
      tool.value.strict !== true &&
      legalToolName(tool.value.name) === tool.value.name &&
      /"type"\s*:/.test(tool.value.parametersJson)
    );
  });
}

/** As many markers as are taken, none of a longer lifetime behind a shorter one. */
function takesMarkers({ tools, messages, cache }: GenerateRequest): boolean {
  const lifetimes: (number | undefined)[] = [];
  for (const tool of tools) if (tool.cache !== undefined) lifetimes.push(tool.cache.ttlSeconds);
  const visit = (part: Part): void => {
    if (part.part.case === "toolResult") part.part.value.content.forEach(visit);
    if (part.cache !== undefined) lifetimes.push(part.cache.ttlSeconds);
  };
  for (const { parts } of messages) parts.forEach(visit);
  if (cache !== undefined) lifetimes.push(cache.ttlSeconds);
  const seconds = lifetimes.map((lifetime) => lifetime ?? 300);
  return (
    seconds.length <= maxCacheMarkers && seconds.every((lifetime, index) => index === 0 || lifetime <= (seconds[index - 1] ?? lifetime))
  );
}

function takesMessages({ messages }: GenerateRequest, target: Target): boolean {
  const turns = messages.filter(({ role }, index) => !(index === 0 && role === Role.SYSTEM));
  if (turns[0]?.role !== Role.USER || turns.at(-1)?.role === Role.ASSISTANT) return false;
  if (turns.some(({ role }) => role === Role.SYSTEM) && target.traits.midSystem !== true) return false;
  const ids = messages.flatMap(callIds);
  if (new Set(ids).size !== ids.length) return false;
  return (
    turns.every((message, index) => answersCalls(message, turns[index - 1])) &&
    messages.every(({ parts }) => parts.every((part) => takesPart(part, target)))
  );
}

function callIds({ parts }: Message): string[] {
  return parts.flatMap(({ part }) => (part.case === "toolCall" ? [part.value.id] : []));
}

/** Results stand first, one for each call of the message before. */
function answersCalls({ parts }: Message, before: Message | undefined): boolean {
  const answered = parts.flatMap(({ part }) => (part.case === "toolResult" ? [part.value.toolCallId] : []));
  const asked = new Set(before === undefined ? [] : callIds(before));
  if (answered.length !== asked.size || new Set(answered).size !== asked.size || !answered.every((id) => asked.has(id))) return false;
  return parts.slice(0, answered.length).every(({ part }) => part.case === "toolResult");
}

function takesPart(part: Part, target: Target): boolean {
  const { part: content, signature, cache } = part;
  switch (content.case) {
    case "text":
      return !isBlank(content.value);
    case "image": {
      const { source, mimeType } = content.value;
      if (source.case === "url") return target.traits.imageUrls !== false && /^https:\/\//i.test(source.value);
      return source.case === "data" && imageTypes.has(mimeType) && (sniffMediaType(source.value) ?? mimeType) === mimeType;
    }
    case "reasoning": {
      if (signature === undefined || signature.value === "" || cache !== undefined) return false;
      return isSignedBy(signature, signatureFamily, target.provider);
    }
    case "toolCall":
      return (
        content.value.kind !== ToolKind.CUSTOM &&
        signature === undefined &&
        legalId(content.value.id) === content.value.id &&
        legalToolName(content.value.name) === content.value.name
      );
    case "toolResult":
      return (
        legalId(content.value.toolCallId) === content.value.toolCallId &&
        content.value.content.every((inner) => inner.part.case === "text" || inner.part.case === "image") &&
        content.value.content.every(
          (inner) => takesPart(inner, target) && !(inner.part.case === "image" && target.traits.toolResultImages === false),
        )
      );
    default:
      return false;
  }
}
