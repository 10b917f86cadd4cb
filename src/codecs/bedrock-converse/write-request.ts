/** A request in the words of the Converse API. What cannot be said goes into the report. */
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import type { GenerateRequest } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { WireMessage } from "../../core/alternate-turns.ts";
import type { UpstreamRequest, WriteOptions } from "../../core/dialect.ts";
import { writeExtras } from "../../core/extras.ts";
import { type WritableObject, writeJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import { CachePoints } from "./cache-points.ts";
import { ConverseCallState } from "./call-state.ts";
import { DocumentNames } from "./document-names.ts";
import type { BedrockConverseQuirks } from "./quirks.ts";
import { regroupMessages } from "./regroup-messages.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { planFormat } from "./write-output-format.ts";
import { planReasoning, type ReasoningPlan, withoutThinking } from "./write-reasoning.ts";
import { writeSampling } from "./write-sampling.ts";
import { forcesCall, planTools, type ToolPlan } from "./write-tools.ts";

export interface WrittenCall {
  readonly body: WritableObject;
  readonly report: TranslationReport;
  readonly state: ConverseCallState;
}

/** Throws invalid_request for JSON text that is none; all else is reported. Leaves `request` as it is. */
export function writeRequest(
  request: GenerateRequest,
  target: Target,
  { stream }: WriteOptions,
  quirks: BedrockConverseQuirks,
): UpstreamRequest {
  const { body, report, state } = writeCall(request, target, quirks);
  return { path: modelPath(target.model, stream ? "converse-stream" : "converse"), headers: {}, body: writeJson(body), report, state };
}

/** The model's id, which may be an ARN, is one segment: percent-encoded as the signature wants it (RFC 3986). */
export function modelPath(model: string, operation: string): string {
  const encoded = encodeURIComponent(model).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
  return `/model/${encoded}/${operation}`;
}

/** The body, and what was said of it on the way. */
export function writeCall(request: GenerateRequest, target: Target, quirks: BedrockConverseQuirks): WrittenCall {
  const report = new TranslationReport(formatName);
  const model = quirks.model(target.model);
  const state = new ConverseCallState();
  state.signatureFamily = model.signatureFamily;
  const points = new CachePoints(report, model);
  const context: WriteContext = { target, quirks: model, report, points, documents: new DocumentNames(), state };
  const { traits } = target;

  const { system, messages, calledNames } = regroupMessages(request.messages, context);
  const tools = planTools(request.tools, request.toolChoice, calledNames, context);
  const said = request.sampling?.maxOutputTokens;
  const facts = { maxTokens: said ?? traits.maxOutputTokens, historyThinks: historyThinks(messages) };
  const planned = planReasoning(request.reasoning, facts, context);
  const { plan, tools: chosen } = reconcile(planned, tools, traits.alwaysReasons === true, report);
  const format = planFormat(request.outputFormat, chosen.tools.length === 0 && !plan.isOn, context);
  const sampling = writeSampling(request.sampling, plan.isOn, context);

  for (const text of [chosen.instruction, format.instruction]) if (text !== undefined) system.push({ text });
  const toolList = format.tool === undefined ? chosen.tools : [...chosen.tools, format.tool];
  const prefix = { tools: toolList, system, messages };
  writeCache(request, context, prefix);
  points.settle(prefix);

  const additional = { ...sampling.additional, ...plan.additional, ...chosen.additional };
  const toolChoice = format.tool === undefined ? chosen.choice : { tool: { name: state.schemaTool } };
  const body: WritableObject = {
    messages,
    system: system.length === 0 ? undefined : system,
    inferenceConfig: emptyIsAbsent({ maxTokens: said, ...sampling.inference }),
    toolConfig: toolList.length === 0 ? undefined : { tools: toolList, toolChoice },
    additionalModelRequestFields: emptyIsAbsent(additional),
    outputConfig: emptyIsAbsent({ textFormat: format.textFormat, effort: plan.effort }),
    requestMetadata: writeMetadata(request, report),
    ...writeTier(request.serviceTier, report),
  };
  reportState(request, report);
  writeExtras(body, request.extrasJson, formatName, "", report);
  return { body, report, state };
}

/** A forced call and Claude's thinking exclude each other. */
function reconcile(
  plan: ReasoningPlan,
  tools: ToolPlan,
  alwaysReasons: boolean,
  report: TranslationReport,
): { plan: ReasoningPlan; tools: ToolPlan } {
  if (!forcesCall(tools.choice) || !plan.isOn) return { plan, tools };
  if (!alwaysReasons) return { plan: withoutThinking(plan, "disabled, as the tool choice forces a call", report), tools };
  report.coerced("tool_choice.mode", "auto, as the model always thinks");
  const parallel = tools.additional.tool_choice === undefined ? {} : { tool_choice: { type: "auto", disable_parallel_tool_use: true } };
  return { plan, tools: { ...tools, choice: { auto: {} }, additional: { ...tools.additional, ...parallel } } };
}

/** False where the history ends in results of calls that no reasoning precedes. */
function historyThinks(messages: readonly WireMessage[]): boolean {
  const [calls, results] = [messages.at(-2), messages.at(-1)];
  if (results?.content[0]?.toolResult === undefined) return true;
  return calls?.content[0]?.reasoningContent !== undefined;
}

function emptyIsAbsent(members: WritableObject): WritableObject | undefined {
  return Object.values(members).every((value) => value === undefined) ? undefined : members;
}

function writeCache({ cache }: GenerateRequest, { report, points }: WriteContext, prefix: Parameters<CachePoints["settle"]>[0]): void {
  if (cache === undefined) return;
  if (cache.key !== "") report.dropped("cache.key", "prefixes are found without a key");
  if (cache.contentId !== "") report.refused("cache.content_id", "there are no cache objects");
  points.markEnd(cache, prefix);
}

/** https://docs.aws.amazon.com/bedrock/latest/userguide/service-tiers-inference.html and latency-optimized-inference.html */
function writeTier(tier: ServiceTier, report: TranslationReport): WritableObject {
  switch (tier) {
    case ServiceTier.UNSPECIFIED:
      return {};
    case ServiceTier.STANDARD:
      return { serviceTier: { type: "default" } };
    case ServiceTier.FLEX:
      return { serviceTier: { type: "flex" } };
    case ServiceTier.PRIORITY:
      return { serviceTier: { type: "priority" } };
    case ServiceTier.RESERVED:
      return { serviceTier: { type: "reserved" } };
    case ServiceTier.FAST:
      report.emulated("service_tier", "inference that is optimized for latency");
      return { performanceConfig: { latency: "optimized" } };
    default:
      report.dropped("service_tier", "not offered");
      return {};
  }
}

/** Pairs that requestMetadata takes: at most 16, of these characters. */
const maxPairs = 16;
const labelShape = /^[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}$/;

function writeMetadata({ metadata }: GenerateRequest, report: TranslationReport): WritableObject | undefined {
  const taken: WritableObject = {};
  for (const [key, value] of Object.entries(metadata)) {
    const isLegal = key !== "" && labelShape.test(key) && labelShape.test(value);
    if (isLegal && Object.keys(taken).length < maxPairs) taken[key] = value;
    else
      report.dropped(
        "metadata",
        isLegal ? `at most ${maxPairs} labels are taken` : "a label is at most 256 letters, digits, spaces and :_@$#=/+,.-",
      );
  }
  return emptyIsAbsent(taken);
}

function reportState({ serverState }: GenerateRequest, report: TranslationReport): void {
  if (serverState === undefined) return;
  const nothing = "the provider keeps no state between calls";
  if (serverState.previousId !== "") report.refused("server_state.previous_id", nothing);
  if (serverState.conversationId !== "") report.refused("server_state.conversation_id", nothing);
  if (serverState.store === true) report.refused("server_state.store", nothing);
}
