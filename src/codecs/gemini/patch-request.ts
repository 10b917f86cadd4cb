/**
 * The client's own generateContent request, patched for a service that speaks the same (design.md 4, rule 10). Only what
 * the service takes exactly as the client wrote it; in doubt, writeRequest knows better.
 */
import { type GenerateRequest, type Message, type Part, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { ClientWire } from "../../core/call.ts";
import type { UpstreamRequest, WriteOptions } from "../../core/dialect.ts";
import { effortLevel } from "../../core/effort.ts";
import { type WritableObject, writeJson } from "../../core/json.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { isSignedBy } from "../../core/signature.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import { CallState } from "./call-state.ts";
import type { GeminiQuirks } from "./quirks.ts";
import { formatName, madeIdPrefix, maxStopSequences, methodPath, signatureFamily } from "./wire.ts";

/** Undefined where the service needs another body than the client wrote, or might. */
export function patchRequest(
  request: GenerateRequest,
  { body }: ClientWire,
  target: Target,
  { stream }: WriteOptions,
  quirks: GeminiQuirks,
): UpstreamRequest | undefined {
  // A schema in the other of its two forms, and calls without signatures, are written anew.
  const hasSchemas = request.tools.length > 0 || (request.outputFormat?.schemaJson ?? "") !== "";
  if (quirks.schemas === "openapi" && hasSchemas) return undefined;
  if (!takesSettings(request, target, quirks) || !takesThinking(request, target)) return undefined;
  if (!takesTools(request, target) || !takesMessages(request, target, quirks)) return undefined;
  const patched: WritableObject = { ...(body as WritableObject) };
  for (const name of Object.keys(patched)) if (name === "model" || name.startsWith("agumbe_")) delete patched[name];
  const path = stream ? `${methodPath(target.model, "streamGenerateContent")}?alt=sse` : methodPath(target.model, "generateContent");
  return { path, headers: {}, body: writeJson(patched), report: new TranslationReport(formatName) };
}

function takesSettings({ sampling, outputFormat, metadata }: GenerateRequest, { traits }: Target, quirks: GeminiQuirks): boolean {
  if (Object.keys(metadata).length > 0 && quirks.labels !== true) return false;
  if (outputFormat !== undefined && (traits.structuredOutput === false || outputFormat.audio !== undefined)) return false;
  if (sampling === undefined) return true;
  const { temperature = 1, topP, topK, frequencyPenalty = 0, presencePenalty = 0, stop, seed } = sampling;
  if (traits.sampling === false && (sampling.temperature ?? topP ?? topK) !== undefined) return false;
  return (
    temperature >= 0 &&
    temperature <= 2 &&
    Math.abs(frequencyPenalty) <= 2 &&
    Math.abs(presencePenalty) <= 2 &&
    stop.length <= maxStopSequences &&
    (seed === undefined || BigInt.asIntN(32, seed) === seed)
  );
}

function takesThinking({ reasoning }: GenerateRequest, { traits }: Target): boolean {
  if (reasoning === undefined) return true;
  const { budgetTokens, effort } = reasoning;
  const level = effortLevel(effort);
  const kind = traits.reasoning ?? "effort";
  if (kind === "none" || (budgetTokens !== undefined && level !== undefined)) return false;
  if (budgetTokens !== undefined) {
    const { min, max } = traits.reasoningBudget ?? { min: 0, max: Number.MAX_SAFE_INTEGER };
    return (kind === "budget" || kind === "both") && budgetTokens >= min && budgetTokens <= max;
  }
  if (level !== undefined) return kind !== "budget" && traits.efforts?.includes(level) !== false;
  // A model that takes no level is told nothing then, and one that cannot stop is not told to.
  return reasoning.mode === 0;
}

function takesTools({ tools, toolChoice }: GenerateRequest, { traits }: Target): boolean {
  if (tools.length > 0 && traits.tools === false) return false;
  const names = new CallState();
  let functions = 0;
  for (const { tool } of tools) {
    if (tool.case === "hosted" && tool.value.format === formatName) continue;
    if (tool.case !== "function" || names.legalName(tool.value.name) !== tool.value.name) return false;
    functions++;
  }
  return toolChoice === undefined || functions > 0;
}

function takesMessages({ messages }: GenerateRequest, target: Target, quirks: GeminiQuirks): boolean {
  const turns = messages.filter(({ role }, index) => !(index === 0 && role === Role.SYSTEM));
  if (turns[0] === undefined || turns.at(-1)?.role === Role.ASSISTANT) return false;
  return (
    turns.every(({ role }, index) => (role === Role.ASSISTANT) === (index % 2 === 1) && role !== Role.SYSTEM && role !== Role.DEVELOPER) &&
    turns.every((message, index) => answersCalls(message, turns[index - 1])) &&
    messages.every((message) => isSigned(message, target, quirks) && message.parts.every((part) => takesPart(part, target, quirks)))
  );
}

/** Results stand first, one for each call of the turn before, in its order. */
function answersCalls({ parts }: Message, before: Message | undefined): boolean {
  const asked = before?.parts.flatMap(({ part }) => (part.case === "toolCall" ? [part.value] : [])) ?? [];
  const answers = parts.flatMap(({ part }) => (part.case === "toolResult" ? [part.value] : []));
  return (
    answers.length === asked.length &&
    answers.every(({ name, toolCallId }, index) => name === asked[index]?.name && toolCallId === asked[index]?.id) &&
    parts.slice(0, answers.length).every(({ part }) => part.case === "toolResult")
  );
}

/** The first call of a turn bears a signature, where calls need one. */
function isSigned({ parts }: Message, { traits }: Target, quirks: GeminiQuirks): boolean {
  if (quirks.signatureBypass === false || traits.reasoning === "budget" || traits.reasoning === "none") return true;
  const first = parts.find(({ part }) => part.case === "toolCall");
  return first === undefined || first.signature !== undefined;
}

function takesPart({ part, signature, cache, annotations }: Part, target: Target, quirks: GeminiQuirks): boolean {
  if (cache !== undefined || annotations.length > 0) return false;
  if (signature !== undefined && (signature.value === "" || !isSignedBy(signature, signatureFamily, target.provider))) return false;
  const names = new CallState();
  const takesId = (id: string) => id === "" || (quirks.toolCallIds !== false && !id.startsWith(madeIdPrefix));
  switch (part.case) {
    case "text":
      return part.value !== "" || signature !== undefined;
    case "image":
    case "audio":
    case "video":
    case "file": {
      const { source, mimeType, detail } = part.value;
      if (part.case === "image" && target.traits.vision === false) return false;
      if (detail !== 0 && target.traits.mediaResolution === false) return false;
      if (source.case === "url") return source.value.startsWith("gs://") || (mimeType !== "" && target.traits.imageUrls !== false);
      return source.case === "data" && mimeType.includes("/") && (sniffMediaType(source.value) ?? mimeType) === mimeType;
    }
    case "toolCall":
      return takesId(part.value.id) && names.legalName(part.value.name) === part.value.name;
    case "toolResult":
      return takesId(part.value.toolCallId) && part.value.content.every((inner) => inner.part.case === "text");
    default:
      return false;
  }
}
