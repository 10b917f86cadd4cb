/** A request as `generateContent` and `streamGenerateContent` take it. https://ai.google.dev/api/generate-content */
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import type { GenerateRequest } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { UpstreamRequest, WriteOptions } from "../../core/dialect.ts";
import { writeExtras } from "../../core/extras.ts";
import { type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import { CallState } from "./call-state.ts";
import type { GeminiQuirks } from "./quirks.ts";
import { regroupContents } from "./regroup-contents.ts";
import { formatName, methodPath, serviceTiers } from "./wire.ts";
import { writeGenerationConfig } from "./write-config.ts";
import type { WriteContext } from "./write-context.ts";
import { writeToolChoice, writeTools } from "./write-tools.ts";

/** A request's body, and what belongs to it. */
export interface WrittenBody {
  readonly body: WritableObject;
  readonly report: TranslationReport;
  readonly state: CallState;
}

/** Throws invalid_request where a JSON-valued field is no JSON. */
export function writeRequest(request: GenerateRequest, target: Target, { stream }: WriteOptions, quirks: GeminiQuirks): UpstreamRequest {
  const { body, report, state } = writeBody(request, target, quirks);
  const path = stream ? `${methodPath(target.model, "streamGenerateContent")}?alt=sse` : methodPath(target.model, "generateContent");
  return { path, headers: {}, body: writeJson(body), report, state };
}

function withInstruction(system: WritableObject | undefined, text: string): WritableObject {
  return { ...system, parts: [...((system?.parts ?? []) as readonly Writable[]), { text }] };
}

/** What generating and counting send alike. Throws invalid_request where a JSON-valued field is no JSON. */
export function writeBody(request: GenerateRequest, target: Target, quirks: GeminiQuirks): WrittenBody {
  const report = new TranslationReport(formatName);
  const state = new CallState();
  const context: WriteContext = { target, report, quirks, state };
  const { system, contents } = regroupContents(request.messages, context);
  const { tools, functions } = writeTools(request.tools, request.toolChoice, context);
  const { config, instruction } = writeGenerationConfig(request, context);
  const systemInstruction = instruction === undefined ? system : withInstruction(system, instruction);
  const body: WritableObject = {
    systemInstruction,
    contents,
    tools: tools.length === 0 ? undefined : tools,
    toolConfig: writeToolChoice(request.toolChoice, functions, context),
    generationConfig: Object.values(config).every((value) => value === undefined) ? undefined : config,
  };
  writeCallFacts(request, body, context);
  writeExtras(body, request.extrasJson, formatName, "", report);
  return { body, report, state };
}

/** What is about the call, not about the conversation. */
function writeCallFacts(request: GenerateRequest, body: WritableObject, { report, quirks }: WriteContext): void {
  const { cache, serverState, serviceTier, metadata } = request;
  if (cache !== undefined) {
    if (cache.contentId !== "") body.cachedContent = cache.contentId;
    if (cache.key !== "") report.dropped("cache.key", "prefixes are cached without keys");
    if (cache.automatic) report.dropped("cache.automatic", "prefixes are cached without markers");
    if (cache.ttlSeconds !== undefined) report.dropped("cache.ttl_seconds", "lifetimes belong to cache objects that are made beforehand");
  }
  if (serverState !== undefined) {
    if (serverState.previousId !== "") report.refused("server_state.previous_id", "earlier answers are not kept; send the messages");
    if (serverState.conversationId !== "") report.refused("server_state.conversation_id", "conversations are not kept; send the messages");
    body.store = serverState.store;
  }
  if (serviceTier !== ServiceTier.UNSPECIFIED) {
    body.serviceTier = serviceTiers[serviceTier];
    if (body.serviceTier === undefined) report.dropped("service_tier", "has no equal");
  }
  if (Object.keys(metadata).length === 0) return;
  if (quirks.labels === true) body.labels = { ...metadata };
  else report.dropped("metadata", "requests have no labels");
}
