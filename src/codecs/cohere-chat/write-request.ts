/** A request in the words of Cohere's v2 chat. What cannot be said goes into the report. */
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import type { GenerateRequest } from "../../../gen/dragoman/v1/generate_pb.ts";
import { CallState } from "../../core/call-state.ts";
import type { UpstreamRequest, WriteOptions } from "../../core/dialect.ts";
import { writeExtras } from "../../core/extras.ts";
import { type WritableObject, writeJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import type { CohereQuirks } from "./quirks.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { writeMessages } from "./write-messages.ts";
import { planOutput } from "./write-output.ts";
import { writeSampling } from "./write-sampling.ts";
import { writeThinking } from "./write-thinking.ts";
import { writeTools } from "./write-tools.ts";

/** Throws invalid_request for JSON text that is none; all else is reported. Leaves `request` as it is. */
export function writeRequest(request: GenerateRequest, target: Target, { stream }: WriteOptions, quirks: CohereQuirks): UpstreamRequest {
  const report = new TranslationReport(formatName);
  const context: WriteContext = { target, report, state: new CallState(), documents: [] };
  const messages = writeMessages(request.messages, context);
  const tools = writeTools(request.tools, request.toolChoice, context);
  const thinking = writeThinking(request.reasoning, context);
  const facts = { hasTools: tools.tools !== undefined, hasDocuments: hasDocuments(request, context), thinks: thinking?.type === "enabled" };
  const output = planOutput(request.outputFormat, facts, context);
  if (output.instruction !== undefined) instruct(messages, output.instruction);
  const body: WritableObject = {
    model: target.model,
    messages,
    ...(output.tool === undefined ? tools : { tools: [output.tool], tool_choice: "REQUIRED" }),
    documents: context.documents.length === 0 ? undefined : context.documents,
    response_format: output.responseFormat,
    ...writeSampling(request.sampling, context),
    thinking,
    priority: writePriority(request.serviceTier, report),
    // Stated either way: the API's own default is not to stream.
    stream,
  };
  reportAbsent(request, report);
  writeExtras(body, request.extrasJson, formatName, "", report);
  return { path: quirks.path, headers: {}, body: writeJson(body), report, state: context.state };
}

/** Also those that a client named in this format. */
function hasDocuments({ extrasJson }: GenerateRequest, { documents }: WriteContext): boolean {
  return documents.length > 0 || /"documents"\s*:\s*\[/.test(extrasJson[formatName] ?? "");
}

/** Behind the leading instructions. */
function instruct(messages: WritableObject[], content: string): void {
  const at = messages.findIndex(({ role }) => role !== "system");
  messages.splice(at === -1 ? messages.length : at, 0, { role: "system", content });
}

/** 0 is the highest priority, and what the API does by itself. */
function writePriority(tier: ServiceTier, report: TranslationReport): number | undefined {
  if (tier === ServiceTier.PRIORITY) return 0;
  if (tier !== ServiceTier.UNSPECIFIED && tier !== ServiceTier.AUTO && tier !== ServiceTier.STANDARD)
    report.dropped("service_tier", "not offered");
  return undefined;
}

function reportAbsent({ cache, metadata, serverState }: GenerateRequest, report: TranslationReport): void {
  if (Object.keys(metadata).length > 0) report.dropped("metadata", "there are no labels");
  if (cache !== undefined) {
    if (cache.contentId !== "") report.refused("cache.content_id", "there are no cache objects");
    if (cache.key !== "") report.dropped("cache.key", "prefixes are found without a key");
    if (cache.ttlSeconds !== undefined) report.dropped("cache.ttl_seconds", "the API decides how long prefixes are kept");
  }
  if (serverState === undefined) return;
  const nothing = "the provider keeps no state between calls";
  if (serverState.previousId !== "") report.refused("server_state.previous_id", nothing);
  if (serverState.conversationId !== "") report.refused("server_state.conversation_id", nothing);
  if (serverState.store === true) report.refused("server_state.store", nothing);
}
