/** A request for a server that speaks Responses (contract.md 3, column Responses). */
import { ServiceTier } from "../../../gen/dragoman/v1/call_pb.ts";
import { type GenerateRequest, OutputKind, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { UpstreamRequest, WriteOptions } from "../../core/dialect.ts";
import { writeExtras } from "../../core/extras.ts";
import {
  isJsonObject,
  type JsonObject,
  tryParseJson,
  upstreamJsonLimits,
  type Writable,
  type WritableObject,
  writeJson,
} from "../../core/json.ts";
import { serviceTiers, wordFor } from "../../core/openai-words.ts";
import type { Target } from "../../core/target.ts";
import { refuseUnpaired } from "../../core/tool-pairs.ts";
import { TranslationReport } from "../../core/translation.ts";
import { chooseCacheMarkers } from "./cache-markers.ts";
import { CallState } from "./call-state.ts";
import type { OpenAiResponsesQuirks } from "./quirks.ts";
import { cacheTtls, format, includeEncrypted, includeLogprobs, path } from "./wire.ts";
import { ttlWord } from "./write-content.ts";
import type { WriteContext } from "./write-context.ts";
import { writeItems } from "./write-items.ts";
import { writeOutput } from "./write-output.ts";
import { writeReasoning, writeSampling } from "./write-sampling.ts";
import { writeTools } from "./write-tools.ts";

/** What is lost stands in the report, which the caller settles. Throws invalid_request for JSON text that is none. */
export function writeRequest(
  request: GenerateRequest,
  target: Target,
  { stream }: WriteOptions,
  quirks: OpenAiResponsesQuirks,
): UpstreamRequest {
  const { body, report, state } = writeBody(request, target, quirks);
  body.stream = stream;
  // A client's options of its own stream are refused on a request that is none.
  if (!stream) delete body.stream_options;
  return { path, headers: {}, body: writeJson(body), report, state };
}

export interface WrittenBody {
  readonly body: WritableObject;
  readonly report: TranslationReport;
  readonly state: CallState;
}

export function writeBody(request: GenerateRequest, target: Target, quirks: OpenAiResponsesQuirks): WrittenBody {
  const report = new TranslationReport(format);
  const state = new CallState(request.sampling?.stop ?? []);
  const store = storeOf(request);
  const marked = chooseCacheMarkers(request, report);
  const context: WriteContext = { quirks, target, report, state, marked, isStored: store !== false };
  refuseUnpaired(request.messages, isContinuing(request), report);
  const body: WritableObject = { model: target.model };
  // Instructions alone are no request.
  const instructions = request.messages.length > 1 || isContinuing(request) ? instructionsOf(request, marked) : undefined;
  if (instructions !== undefined) body.instructions = instructions;
  const input = writeItems(request.messages, instructions === undefined ? 0 : 1, context);
  writeOutput(body, request, input, context);
  if (input.length > 0) body.input = input;
  writeTools(body, request, context);
  writeSampling(body, request, context);
  writeReasoning(body, request, context);
  writeAccount(body, request, context);
  writeCache(body, request, context);
  if (store !== undefined) body.store = store;
  writeInclude(body, request, store, context);
  writeExtras(body, request.extrasJson, format, "", report);
  for (const field of quirks.refusedParameters ?? []) {
    if (body[field] === undefined) continue;
    delete body[field];
    report.dropped(field, `the target refuses ${field}`);
  }
  return { body, report, state };
}

/** Whether the service knows what came before. */
function isContinuing({ serverState, extrasJson }: GenerateRequest): boolean {
  return (serverState?.previousId ?? "") !== "" || (serverState?.conversationId ?? "") !== "" || readOwn(extrasJson).prompt !== undefined;
}

/** Absence means true here and false everywhere else, so it is stated; only a call that continues stored ones leaves it open. */
function storeOf({ serverState }: GenerateRequest): boolean | undefined {
  if (serverState?.store !== undefined) return serverState.store;
  const continues = (serverState?.previousId ?? "") !== "" || (serverState?.conversationId ?? "") !== "";
  return continues ? undefined : false;
}

/** A first system message of plain text, unless JSON mode wants its words among the messages. */
function instructionsOf({ messages, outputFormat }: GenerateRequest, marked: ReadonlySet<object>): string | undefined {
  const [first] = messages;
  const [part] = first?.parts ?? [];
  if (first?.role !== Role.SYSTEM || part === undefined || first.parts.length > 1 || part.part.case !== "text") return undefined;
  const isPlain =
    Object.keys(first.extrasJson).length === 0 && Object.keys(part.extrasJson).length === 0 && first.name === "" && part.id === "";
  if (!isPlain || marked.has(part)) return undefined;
  if (outputFormat?.kind === OutputKind.JSON_OBJECT && /json/i.test(part.part.value)) return undefined;
  return part.part.value;
}

function writeAccount(body: WritableObject, request: GenerateRequest, { quirks, report }: WriteContext): void {
  const user = request.attribution?.endUserId ?? "";
  if (user !== "" && quirks.sendUser !== undefined) body[quirks.sendUser] = user;
  if (Object.keys(request.metadata).length > 0) body.metadata = { ...request.metadata };
  const state = request.serverState;
  if (state !== undefined && state.previousId !== "") body.previous_response_id = state.previousId;
  if (state !== undefined && state.conversationId !== "") body.conversation = state.conversationId;
  if (request.serviceTier === ServiceTier.UNSPECIFIED) return;
  const tier = wordFor(serviceTiers, request.serviceTier);
  if (tier === undefined) report.dropped("service_tier", "the target has no such tier");
  else body.service_tier = tier;
}

function writeCache(body: WritableObject, { cache }: GenerateRequest, { report }: WriteContext): void {
  if (cache === undefined) return;
  if (cache.contentId !== "") report.refused("cache.content_id", "the target has no cache objects made beforehand");
  if (cache.key !== "") body.prompt_cache_key = cache.key;
  // A marker at the end of the prompt is what caching without markers amounts to.
  if (cache.ttlSeconds === undefined) return;
  const word = wordFor(cacheTtls, cache.ttlSeconds) ?? ttlWord(cache.ttlSeconds, "cache.ttl_seconds", report);
  body.prompt_cache_options = { ttl: word };
}

/** Reasoning comes back encrypted wherever the service does not keep it: without it the next turn has lost its thoughts. */
function writeInclude(body: WritableObject, request: GenerateRequest, store: boolean | undefined, { target }: WriteContext): void {
  const include: Writable[] = [];
  // A model that does not reason refuses the word.
  if ((store === false || request.reasoning?.encrypted) && target.traits.reasoning !== "none") include.push(includeEncrypted);
  if (request.sampling?.logprobs || (request.sampling?.topLogprobs ?? 0) > 0) include.push(includeLogprobs);
  const more = readOwn(request.extrasJson).include;
  if (Array.isArray(more)) include.push(...(more as Writable[]));
  if (include.length > 0) body.include = include;
}

function readOwn(extrasJson: Readonly<Record<string, string>>): JsonObject {
  const text = extrasJson[format];
  if (text === undefined || !/"(?:include|prompt)"/.test(text)) return {};
  const parsed = tryParseJson(text, upstreamJsonLimits);
  return isJsonObject(parsed) ? parsed : {}; // writeExtras says what is wrong
}
