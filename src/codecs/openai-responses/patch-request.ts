/**
 * The client's own Responses request, patched for a server that speaks the same (design.md 4, rule 10). Only what the
 * target takes exactly as the client wrote it; in doubt, writeRequest knows better.
 */
import { type GenerateRequest, OutputKind, type Part, Role, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { ClientWire } from "../../core/call.ts";
import type { UpstreamRequest, WriteOptions } from "../../core/dialect.ts";
import { effortLevels } from "../../core/effort.ts";
import { isJsonObject, type JsonObject, type JsonValue, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { sniffMediaType } from "../../core/media-type.ts";
import { serviceTiers } from "../../core/openai-words.ts";
import type { Target } from "../../core/target.ts";
import { refuseUnpaired } from "../../core/tool-pairs.ts";
import { TranslationReport } from "../../core/translation.ts";
import { legalCallId, legalToolName } from "./legal-names.ts";
import type { OpenAiResponsesQuirks } from "./quirks.ts";
import { format, includeEncrypted, path } from "./wire.ts";

const minOutputTokens = 16;
const maxTemperature = 2;

/** Undefined where the target needs another body, or might. */
export function patchRequest(
  request: GenerateRequest,
  { body }: ClientWire,
  target: Target,
  { stream }: WriteOptions,
  quirks: OpenAiResponsesQuirks,
): UpstreamRequest | undefined {
  const continues = (body.previous_response_id ?? body.conversation ?? body.prompt ?? null) !== null;
  // Absent means true to the service; only one that keeps the conversation anyway is left to decide.
  if (body.store !== false && !continues) return undefined;
  if (!takesFields(body, request, target, quirks) || !takesTools(body) || !takesInput(body, request)) return undefined;
  const report = new TranslationReport(format);
  refuseUnpaired(request.messages, continues, report);
  const user = request.attribution?.endUserId ?? "";
  const patched: WritableObject = { ...(body as WritableObject), model: target.model, stream };
  if (quirks.sendUser !== undefined && user !== "") patched[quirks.sendUser] = user;
  for (const name of Object.keys(patched)) if (isKept(name) && !(name === quirks.sendUser && user !== "")) delete patched[name];
  if (!stream) delete patched.stream_options;
  if (body.store === false && target.traits.reasoning !== "none") patched.include = withEncrypted(body.include);
  return { path, headers: {}, body: writeJson(patched), report };
}

/** Fields that never reach a provider as the client wrote them: who the end user is, and what the gateway itself is told. */
function isKept(name: string): boolean {
  return name === "user" || name === "safety_identifier" || name.startsWith("agumbe_");
}

/** Without it the next turn has lost its thoughts. */
function withEncrypted(include: JsonValue | undefined): Writable {
  const words = Array.isArray(include) ? (include as Writable[]) : [];
  return words.includes(includeEncrypted) ? words : [...words, includeEncrypted];
}

function takesFields(
  body: JsonObject,
  { messages, outputFormat }: GenerateRequest,
  { traits }: Target,
  quirks: OpenAiResponsesQuirks,
): boolean {
  const has = (name: string) => (body[name] ?? null) !== null;
  if (quirks.refusedParameters?.some(has)) return false;
  if (traits.sampling === false && (has("temperature") || has("top_p"))) return false;
  if (typeof body.temperature === "number" && body.temperature > maxTemperature) return false;
  if (typeof body.max_output_tokens === "number" && body.max_output_tokens < minOutputTokens) return false;
  if (has("service_tier") && !Object.hasOwn(serviceTiers, String(body.service_tier))) return false;
  if (!takesReasoning(body.reasoning, traits)) return false;
  if (outputFormat?.kind === OutputKind.JSON_SCHEMA) return traits.structuredOutput !== false && outputFormat.name !== "";
  // The service refuses JSON mode where no message names JSON.
  const namesJson = () => messages.some(({ parts }) => parts.some(({ part }) => part.case === "text" && /json/i.test(part.value)));
  return outputFormat?.kind !== OutputKind.JSON_OBJECT || (!has("instructions") && namesJson());
}

function takesReasoning(reasoning: JsonValue | undefined, traits: Target["traits"]): boolean {
  if (reasoning === undefined || reasoning === null) return true;
  if (!isJsonObject(reasoning) || traits.reasoning === "none" || (reasoning.generate_summary ?? null) !== null) return false;
  const effort = reasoning.effort ?? null;
  return effort === null || effort === "none" || (traits.efforts ?? effortLevels).some((level) => level === effort);
}

function takesTools({ tools, tool_choice: choice, parallel_tool_calls: parallel }: JsonObject): boolean {
  if (!Array.isArray(tools) || tools.length === 0) return (tools ?? choice ?? parallel ?? null) === null;
  return tools.every(
    (tool) => isJsonObject(tool) && (tool.type !== "function" || (typeof tool.name === "string" && legalToolName(tool.name) === tool.name)),
  );
}

/** Items with ids are from an answer, maybe another provider's; what may go back of those, the writer knows. */
function takesInput({ input }: JsonObject, { messages }: GenerateRequest): boolean {
  if (Array.isArray(input) && !input.every((item) => isJsonObject(item) && item.id === undefined && item.type !== "reasoning"))
    return false;
  return messages.every(({ role, parts }) => parts.every((part) => takesPart(part, role)));
}

function takesPart({ part, cache, signature }: Part, role: Role): boolean {
  if (cache !== undefined || signature !== undefined) return false;
  switch (part.case) {
    case "text":
    case "refusal":
      return true;
    case "image": {
      const { source, mimeType } = part.value;
      if (role !== Role.USER) return false;
      if (source.case === "url") return /^https?:/i.test(source.value);
      return source.case === "data" && (sniffMediaType(source.value) ?? mimeType) === mimeType;
    }
    case "toolCall":
      return (
        part.value.kind !== ToolKind.CUSTOM &&
        legalCallId(part.value.id) === part.value.id &&
        legalToolName(part.value.name) === part.value.name
      );
    case "toolResult":
      return (
        legalCallId(part.value.toolCallId) === part.value.toolCallId && part.value.content.every((inner) => inner.part.case === "text")
      );
    default:
      return false;
  }
}
