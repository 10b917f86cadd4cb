/** A request for a server that speaks Chat Completions (contract.md 3, column OpenAI Chat). */
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { type GenerateRequest, ReasoningDisplay, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { CallState } from "../../core/call-state.ts";
import type { UpstreamRequest, WriteOptions } from "../../core/dialect.ts";
import { isReasoningOff } from "../../core/effort.ts";
import { writeExtras } from "../../core/extras.ts";
import { type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { serviceTiers, wordFor } from "../../core/openai-words.ts";
import type { Target } from "../../core/target.ts";
import { refuseUnpaired } from "../../core/tool-pairs.ts";
import { TranslationReport } from "../../core/translation.ts";
import { writeEffort } from "../../core/write-effort.ts";
import { chooseCacheMarkers } from "./cache-markers.ts";
import { FieldWriter } from "./field-writer.ts";
import type { OpenAiChatQuirks } from "./quirks.ts";
import { format, path } from "./wire.ts";
import type { WriteContext } from "./write-content.ts";
import { writeMessages } from "./write-messages.ts";
import { writeOutput } from "./write-output.ts";
import { writeSampling } from "./write-sampling.ts";
import { writeTools } from "./write-tools.ts";

/** What is lost stands in the report, which the caller settles. Throws invalid_request for JSON text that is none. */
export function writeRequest(
  request: GenerateRequest,
  target: Target,
  { stream }: WriteOptions,
  quirks: OpenAiChatQuirks,
): UpstreamRequest {
  const report = new TranslationReport(format);
  const context: WriteContext = { quirks, target, report };
  const state = new CallState();
  const cacheField = quirks.cacheField ?? "prompt_cache_breakpoint";
  const marked = chooseCacheMarkers(request, cacheField === "cache_control", report);
  if (!quirks.unpairedToolCalls) refuseUnpaired(request.messages, false, report);
  refusePrefill(request, target, report);
  const messages = writeMessages(request.messages, { ...context, marked, customAsFunctions: quirks.customTools === false });
  const body: WritableObject = { model: target.model, messages };
  const fields = new FieldWriter(body, context);
  writeTools(body, request, { ...context, marked, state });
  writeSampling(request.sampling, fields, context);
  writeOutput(body, request, { ...context, state, instruct: (text) => addInstruction(messages, text) });
  writeReasoning(request, fields, context);
  writeAccount(request, fields, context);
  writeCache(request, fields, context);
  body.stream = stream;
  if (stream && quirks.streamOptions !== false) body.stream_options = { include_usage: true };
  writeExtras(body, request.extrasJson, format, "", report);
  // A client's options of its own stream are refused on a request that is none, and by servers without them.
  if (!stream || quirks.streamOptions === false) delete body.stream_options;
  return { path: quirks.path ?? path, headers: {}, body: writeJson(body), report, state };
}

function refusePrefill({ messages }: GenerateRequest, { traits }: Target, report: TranslationReport): void {
  if (traits.prefill === false && messages.at(-1)?.role === Role.ASSISTANT) {
    report.refused(`messages[${messages.length - 1}]`, "must not be of the assistant at the end: the target does not continue it");
  }
}

function addInstruction(messages: Writable[], text: string): void {
  const at = messages.findIndex((message) => {
    const role = (message as WritableObject).role;
    return role !== "system" && role !== "developer";
  });
  messages.splice(at === -1 ? messages.length : at, 0, { role: "system", content: text });
}

function writeReasoning({ reasoning }: GenerateRequest, fields: FieldWriter, { target, report }: WriteContext): void {
  if (reasoning === undefined) return;
  const effort = effortWord(reasoning, target, report);
  if (effort !== undefined) {
    if (target.traits.reasoning !== "none") fields.put("reasoning_effort", "reasoning.effort", effort);
    // Not to think is what such a model does unasked.
    else if (effort !== "none") report.dropped("reasoning", "the model does not reason");
  }
  if (reasoning.display === ReasoningDisplay.OMITTED)
    report.dropped("reasoning.display", "what the target shows of its reasoning is its own choice");
  else if (reasoning.display !== ReasoningDisplay.UNSPECIFIED) {
    report.dropped("reasoning.display", "the target shows its reasoning, if at all, as it is");
  }
  if (reasoning.encrypted) report.dropped("reasoning.encrypted", "the target gives no encrypted reasoning");
  if (reasoning.context !== "") report.dropped("reasoning.context", "the target has no such setting");
}

function effortWord(
  reasoning: NonNullable<GenerateRequest["reasoning"]>,
  { traits }: Target,
  report: TranslationReport,
): string | undefined {
  if (isReasoningOff(reasoning)) return "none";
  return writeEffort(reasoning, traits, report);
}

function writeAccount(request: GenerateRequest, fields: FieldWriter, { quirks, report, target }: WriteContext): void {
  const user = request.attribution?.endUserId ?? "";
  if (user !== "" && quirks.sendUser !== undefined) fields.put(quirks.sendUser, "attribution.end_user_id", user);
  if (Object.keys(request.metadata).length > 0) fields.put("metadata", "metadata", { ...request.metadata });
  const state = request.serverState;
  if (state !== undefined) {
    if (state.previousId !== "") report.refused("server_state.previous_id", `${target.id} keeps no earlier answers to continue`);
    if (state.conversationId !== "") report.refused("server_state.conversation_id", `${target.id} keeps no conversations`);
    fields.put("store", "server_state.store", state.store);
  }
  if (request.serviceTier !== ServiceTier.UNSPECIFIED) {
    const tier = wordFor(serviceTiers, request.serviceTier);
    if (tier === undefined) report.dropped("service_tier", "the target has no such tier");
    else fields.put("service_tier", "service_tier", tier);
  }
}

/** OpenAI's only lifetime over the whole request. */
const cacheTtl = { word: "30m", seconds: 1800 } as const;

function writeCache({ cache }: GenerateRequest, fields: FieldWriter, { quirks, report }: WriteContext): void {
  if (cache === undefined) return;
  if (cache.contentId !== "") report.refused("cache.content_id", "the target has no cache objects made beforehand");
  if (cache.key !== "") fields.put("prompt_cache_key", "cache.key", cache.key);
  if (quirks.cacheField === "cache_control") {
    if (cache.automatic) fields.put("cache_control", "cache.automatic", { type: "ephemeral", ...ephemeralTtl(cache.ttlSeconds) });
    else if (cache.ttlSeconds !== undefined) report.dropped("cache.ttl_seconds", "the target takes a lifetime on markers only");
    return;
  }
  // A marker at the end of the prompt is what caching without markers amounts to.
  if (cache.ttlSeconds === undefined) return;
  if (quirks.cacheField === "none") {
    report.dropped("cache.ttl_seconds", "the target takes no lifetime of cached prompts");
    return;
  }
  fields.put("prompt_cache_options", "cache.ttl_seconds", { ttl: cacheTtl.word });
  if (cache.ttlSeconds !== cacheTtl.seconds) report.coerced("cache.ttl_seconds", `${cacheTtl.seconds} seconds, the one the target offers`);
}

function ephemeralTtl(seconds: number | undefined): WritableObject {
  return seconds === undefined || seconds <= 300 ? {} : { ttl: "1h" };
}
