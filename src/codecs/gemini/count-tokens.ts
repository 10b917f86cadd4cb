/** `countTokens`, both halves. https://ai.google.dev/api/tokens */
import { create } from "@bufbuild/protobuf";
import type { GenerateRequest } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type CountTokensResponse, CountTokensResponseSchema } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { UsageBasis } from "../../../gen/dragoman/v1/usage_pb.ts";
import type { DialectRequest, RequestFacts, UpstreamRequest } from "../../core/dialect.ts";
import { Fields } from "../../core/fields.ts";
import { isJsonObject, type JsonValue, mergeExtras, type WritableObject, writeJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import { tokenCount } from "../../core/usage.ts";
import { unreadable } from "./answer-reader.ts";
import { createClientPath } from "./client-path.ts";
import { readProtoNames } from "./proto-json.ts";
import type { GeminiQuirks } from "./quirks.ts";
import { isErrorRecord, readErrorRecord } from "./read-error.ts";
import { parseBody } from "./read-events.ts";
import { readGenerate } from "./read-request.ts";
import { extrasOf, formatName, methodPath, modelResource, unknownMembers } from "./wire.ts";
import { writeBody } from "./write-request.ts";

/** A client's request: a whole `generateContentRequest`, or contents alone. Throws invalid_request with the path of the wrong field. */
export function readCountRequest(body: JsonValue, facts: RequestFacts): Pick<DialectRequest, "generate" | "clientPath"> {
  const fields = new Fields(readProtoNames(body));
  const whole = fields.object("generateContentRequest");
  const { generate, layout } = readGenerate(whole ?? fields, facts);
  const place = createClientPath(layout);
  if (whole === undefined) return { generate, clientPath: place };
  return { generate, clientPath: (path) => underneath(whole.path, place(path)) };
}

/** Places of contents and tools are named from the top already. */
function underneath(root: string, place: string): string {
  return place.startsWith(`${root}.`) ? place : `${root}.${place}`;
}

/** JSON text. */
export function writeTokenCount({ inputTokens, cacheReadTokens, extrasJson }: CountTokensResponse): string {
  const written: WritableObject = { totalTokens: inputTokens, cachedContentTokenCount: cacheReadTokens };
  mergeExtras(written, extrasJson[formatName]);
  return writeJson(written);
}

/** What the model reads of a call; how it shall answer is not counted. */
export function writeCountRequest(request: GenerateRequest, target: Target, quirks: GeminiQuirks): UpstreamRequest {
  const { body, report, state } = writeBody(request, target, quirks);
  const { contents, systemInstruction, tools, toolConfig, cachedContent } = body;
  const generateContentRequest = { model: modelResource(target.model), contents, systemInstruction, tools, toolConfig, cachedContent };
  return { path: methodPath(target.model, "countTokens"), headers: {}, body: writeJson({ generateContentRequest }), report, state };
}

const knownMembers: ReadonlySet<string> = new Set(["totalTokens", "cachedContentTokenCount"]);

/** Throws GatewayError for an error and where there is no count. */
export function readTokenCount(body: string, provider: string): CountTokensResponse {
  const reply = parseBody(body, provider);
  if (isErrorRecord(reply)) throw readErrorRecord(reply, provider, false);
  const inputTokens = isJsonObject(reply) ? tokenCount(reply.totalTokens) : undefined;
  if (!isJsonObject(reply) || inputTokens === undefined) throw unreadable(provider, "a count of tokens without totalTokens");
  const cached = tokenCount(reply.cachedContentTokenCount);
  return create(CountTokensResponseSchema, {
    inputTokens,
    basis: UsageBasis.PROVIDER,
    extrasJson: extrasOf(unknownMembers(reply, knownMembers)),
    ...(cached === undefined ? {} : { cacheReadTokens: cached }),
  });
}
