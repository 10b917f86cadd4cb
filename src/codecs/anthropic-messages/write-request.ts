/** A request in the words of the Messages API. What cannot be said goes into the report. */
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import type { GenerateRequest } from "../../../gen/dragoman/v1/generate_pb.ts";
import { CallState } from "../../core/call-state.ts";
import type { UpstreamRequest, WriteOptions } from "../../core/dialect.ts";
import { invalidField } from "../../core/error.ts";
import { writeExtras } from "../../core/extras.ts";
import { type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import { type AutomaticMarker, CacheMarkers, writeCacheControl } from "./cache-markers.ts";
import type { AnthropicMessagesQuirks } from "./quirks.ts";
import { regroupMessages } from "./regroup-messages.ts";
import { betasHeader, betasMember, formatName, thinkingTypes } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { planFormat } from "./write-output-format.ts";
import { planThinking, type ThinkingPlan, withoutThinking } from "./write-reasoning.ts";
import { planLimit, writeSampling } from "./write-sampling.ts";
import { forcesCall, writeToolChoice, writeTools } from "./write-tools.ts";

/** Header value without which `speed` is refused. */
const fastBeta = "fast-mode-2026-02-01";

/** Throws invalid_request for JSON text that is none; all else is reported. Leaves `request` as it is. */
export function writeRequest(
  request: GenerateRequest,
  target: Target,
  { stream }: WriteOptions,
  quirks: AnthropicMessagesQuirks,
): UpstreamRequest {
  const { body, headers, report, state } = writeBody(request, target, { stream, isLimited: true }, quirks);
  return { path: quirks.path, headers, body: writeJson(body), report, state };
}

export interface WrittenBody extends Omit<UpstreamRequest, "path" | "body"> {
  readonly body: WritableObject;
}

/** `isLimited`: the limit of the answer is sent, so that filling it in is reported. */
export function writeBody(
  request: GenerateRequest,
  target: Target,
  { stream, isLimited }: { readonly stream: boolean; readonly isLimited: boolean },
  quirks: AnthropicMessagesQuirks,
): WrittenBody {
  const report = new TranslationReport(formatName);
  const context: WriteContext = { target, report, markers: new CacheMarkers(report), state: new CallState() };
  const { traits } = target;

  const { system, messages } = regroupMessages(request.messages, context);
  const tools = writeTools(request.tools, request.toolChoice, context);
  const choice = writeToolChoice(request.toolChoice, tools, context);
  const limit = planLimit(request.sampling, traits);
  const canRaiseLimit = limit.filledIn && traits.maxOutputTokens === undefined;
  const facts = { maxTokens: limit.maxTokens, canRaiseLimit, historyThinks: historyThinks(messages) };
  const planned = planThinking(request.reasoning, traits, facts, report);
  const { plan, toolChoice } = reconcile(planned, choice, traits.alwaysReasons === true, report);
  if (limit.filledIn && isLimited) report.defaulted("sampling.max_output_tokens", `${plan.maxTokens}`);
  const format = planFormat(request.outputFormat, tools.length === 0 && !plan.isOn, context);

  if (format.instruction !== undefined) system.push({ type: "text", text: format.instruction });
  if (format.tool !== undefined) tools.push(format.tool);
  const cache = writeCache(request, context);
  context.markers.settle({ tools, system, messages }, cache);

  const body: WritableObject = {
    model: target.model,
    max_tokens: plan.maxTokens,
    system: emptyIsAbsent(system),
    messages,
    tools: emptyIsAbsent(tools),
    tool_choice: format.tool === undefined ? toolChoice : { type: "tool", name: context.state.schemaTool, disable_parallel_tool_use: true },
    thinking: plan.thinking,
    output_config: plan.effort === undefined && format.format === undefined ? undefined : { effort: plan.effort, format: format.format },
    ...writeSampling(request.sampling, traits, plan.isOn, report),
    ...writeTier(request.serviceTier, report),
    cache_control: cache === undefined ? undefined : writeCacheControl(cache.seconds),
    metadata: writeMetadata(request, quirks, report),
    stream: stream ? true : undefined,
  };
  reportState(request, report);
  writeExtras(body, request.extrasJson, formatName, "", report);
  const betas = takeBetas(body);
  return { body, headers: writeHeaders(body, betas, quirks), report, state: context.state };
}

/** The client's beta features: among the unknown fields, but sent as a header. Throws invalid_request for what is no name. */
function takeBetas(body: WritableObject): string[] {
  const { [betasMember]: betas } = body;
  delete body[betasMember];
  if (betas === undefined || betas === null) return [];
  const path = `extras_json.${formatName}.${betasMember}`;
  if (!Array.isArray(betas)) throw invalidField(path, "must be an array of names");
  return betas.map((beta: Writable, index) => {
    if (typeof beta === "string" && /^[\w.:-]{1,128}$/.test(beta)) return beta;
    throw invalidField(`${path}[${index}]`, "must be the name of a beta feature: letters, digits, _ - . and :");
  });
}

/** A forced call and thinking exclude each other. */
function reconcile(
  plan: ThinkingPlan,
  toolChoice: WritableObject | undefined,
  alwaysReasons: boolean,
  report: TranslationReport,
): { plan: ThinkingPlan; toolChoice: WritableObject | undefined } {
  if (!forcesCall(toolChoice) || !(plan.isOn || alwaysReasons)) return { plan, toolChoice };
  if (!alwaysReasons) return { plan: withoutThinking(plan, "disabled, as the tool choice forces a call", report), toolChoice };
  report.coerced("tool_choice.mode", "auto, as the model always thinks");
  return { plan, toolChoice: { type: "auto", disable_parallel_tool_use: toolChoice?.disable_parallel_tool_use } };
}

/** False where the history ends in results of calls that no thinking precedes. */
function historyThinks(messages: readonly WritableObject[]): boolean {
  const [calls, results] = [messages.at(-2), messages.at(-1)].map((message) => (message?.content ?? []) as readonly WritableObject[]);
  if (results?.[0]?.type !== "tool_result") return true;
  const first = calls?.[0]?.type;
  return typeof first === "string" && thinkingTypes.has(first);
}

function emptyIsAbsent(list: readonly WritableObject[]): readonly WritableObject[] | undefined {
  return list.length === 0 ? undefined : list;
}

/** The marker that the API sets by itself at the end of the prompt. */
function writeCache({ cache }: GenerateRequest, { report, markers }: WriteContext): AutomaticMarker | undefined {
  if (cache === undefined) return undefined;
  if (cache.key !== "") report.dropped("cache.key", "prefixes are found without a key");
  if (cache.contentId !== "") report.refused("cache.content_id", "there are no cache objects");
  if (cache.automatic) return { seconds: markers.lifetime(cache.ttlSeconds, "cache.ttl_seconds") };
  if (cache.ttlSeconds !== undefined) report.dropped("cache.ttl_seconds", "only markers have a lifetime");
  return undefined;
}

function writeTier(tier: ServiceTier, report: TranslationReport): WritableObject {
  switch (tier) {
    case ServiceTier.UNSPECIFIED:
      return {};
    case ServiceTier.AUTO:
      return { service_tier: "auto" };
    case ServiceTier.STANDARD:
      return { service_tier: "standard_only" };
    case ServiceTier.FAST:
      return { speed: "fast" };
    default:
      report.dropped("service_tier", "not offered");
      return {};
  }
}

function writeMetadata(
  { attribution, metadata }: GenerateRequest,
  { sendsEndUserId }: AnthropicMessagesQuirks,
  report: TranslationReport,
): WritableObject | undefined {
  if (Object.keys(metadata).length > 0) report.dropped("metadata", "there are no labels");
  const userId = attribution?.endUserId ?? "";
  return sendsEndUserId && userId !== "" ? { user_id: userId } : undefined;
}

function reportState({ serverState }: GenerateRequest, report: TranslationReport): void {
  if (serverState === undefined) return;
  const nothing = "the provider keeps no state between calls";
  if (serverState.previousId !== "") report.refused("server_state.previous_id", nothing);
  if (serverState.conversationId !== "") report.refused("server_state.conversation_id", nothing);
  if (serverState.store === true) report.refused("server_state.store", nothing);
}

function writeHeaders(
  { speed }: WritableObject,
  requested: readonly string[],
  { version, betas }: AnthropicMessagesQuirks,
): Record<string, string> {
  const all = [...new Set([...betas, ...requested, ...(speed === undefined ? [] : [fastBeta])])];
  return { "anthropic-version": version, ...(all.length === 0 ? {} : { [betasHeader]: all.join(",") }) };
}
