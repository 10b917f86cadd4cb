/** What is kept of a call's content: summaries and names of tools, or everything; redacted either way. */
import { toJson } from "@bufbuild/protobuf";
import { type EmbedRequest, EmbedRequestSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import {
  CompleteResponseSchema,
  GenerateRequestSchema,
  type Message,
  type Part,
  Role,
  type Tool,
} from "../../gen/dragoman/v1/generate_pb.ts";
import { type JsonValue, writeJson } from "../core/json.ts";
import type { Redactor, SensitiveKind } from "../core/redactor.ts";
import type { LoggableRequest } from "../core/request-log.ts";
import type { RequestContent } from "../core/request-log-store.ts";
import type { EndedCall } from "./recorder.ts";
import { redactJson } from "./redact-json.ts";
import { type Redact, summarise, summaryWindow } from "./summary.ts";

export interface ContentOptions {
  readonly redactor: Redactor;
  /** Most characters of a body. */
  readonly maxBodyLength: number;
}

/** Undefined with retention none, and where nothing was read of the request. */
export function contentOf(ended: EndedCall, { redactor, maxBodyLength }: ContentOptions): RequestContent | undefined {
  const { request, retention, seen } = ended;
  if (retention === "none" || request === undefined) return undefined;
  const input = new Findings(redactor, "input");
  const output = new Findings(redactor, "output");
  const isFull = retention === "full";
  const body = (json: JsonValue, redact: Redact) => writeJson(redactJson(json, { left: maxBodyLength }, redact));
  const content = {
    requestSummary: summarise(lastUserText(request), input.redact),
    responseSummary: summarise(seen.text, output.redact),
    requestBody: isFull ? body(requestJson(request), input.redact) : "",
    responseBody: isFull && seen.answer !== undefined ? body(answerJson(ended), output.redact) : "",
    toolsJson: body(toolsOf(request, ended, isFull), input.redact),
  };
  return { ...content, findingsJson: JSON.stringify([...input.list, ...output.list]) };
}

/** What was found on one side of the call. The same text may be kept twice: the greater count is the right one. */
class Findings {
  readonly redact: Redact;
  readonly #stage: string;
  readonly #most = new Map<SensitiveKind, number>();

  constructor(redactor: Redactor, stage: string) {
    this.#stage = stage;
    this.redact = (text, kinds) => {
      const redaction = redactor.redact(text, kinds);
      for (const [kind, count] of Object.entries(redaction.found) as [SensitiveKind, number][]) {
        this.#most.set(kind, Math.max(count, this.#most.get(kind) ?? 0));
      }
      return redaction.text;
    };
  }

  get list(): { readonly kind: SensitiveKind; readonly stage: string; readonly count: number }[] {
    return Array.from(this.#most, ([kind, count]) => ({ kind, stage: this.#stage, count }));
  }
}

/** The beginning of the last text of a user, or of the first input of an embedding. */
export function lastUserText(request: LoggableRequest): string {
  if (isEmbed(request)) {
    for (const { input } of request.inputs) {
      if (input.case === "text") return input.value.slice(0, summaryWindow);
      if (input.case === "parts") return textOf(input.value.parts);
    }
    return "";
  }
  const message = request.messages.findLast(({ role, parts }) => role === Role.USER && parts.some(({ part }) => part.case === "text"));
  return message === undefined ? "" : textOf(message.parts);
}

function textOf(parts: readonly Part[]): string {
  let text = "";
  for (const { part } of parts) {
    if (part.case !== "text") continue;
    text += (text === "" ? "" : "\n") + part.value.slice(0, summaryWindow);
    if (text.length >= summaryWindow) break;
  }
  return text;
}

/** Tools that the model was offered or called, each with how often it was called. */
function toolsOf(request: LoggableRequest, { seen }: EndedCall, withDefinitions: boolean): JsonValue {
  const tools = new Map<string, { calls: number; tool: Tool | undefined }>();
  if (!isEmbed(request)) for (const tool of request.tools) tools.set(nameOf(tool), { calls: 0, tool });
  for (const { name } of seen.toolCalls) {
    const known = tools.get(name) ?? { calls: 0, tool: undefined };
    known.calls++;
    tools.set(name, known);
  }
  return Array.from(tools, ([name, { calls, tool }]) =>
    withDefinitions && tool !== undefined ? { name, calls, definition: definitionOf(tool) } : { name, calls },
  );
}

function nameOf({ tool }: Tool): string {
  return tool.case === "hosted" ? tool.value.type : (tool.value?.name ?? "");
}

function definitionOf({ tool }: Tool): JsonValue {
  switch (tool.case) {
    case "function":
      return { description: tool.value.description, parameters: tool.value.parametersJson };
    case "custom":
      return { description: tool.value.description };
    case "hosted":
      return { config: tool.value.configJson };
    default:
      return {};
  }
}

function requestJson(request: LoggableRequest): JsonValue {
  // Tools have a place of their own.
  const json = isEmbed(request)
    ? toJson(EmbedRequestSchema, { ...request, inputs: request.inputs.map(withoutData) })
    : toJson(GenerateRequestSchema, { ...request, tools: [], messages: request.messages.map(withoutMedia) });
  return json as JsonValue;
}

function answerJson({ seen: { answer, isCut } }: EndedCall): JsonValue {
  const response = answer?.response();
  if (response === undefined) return null;
  const candidates = response.candidates.map((candidate) =>
    candidate.message === undefined ? candidate : { ...candidate, message: withoutMedia(candidate.message) },
  );
  // Who answered, and what it cost, is in the record.
  const { settled: _, started: __, ...content } = response;
  const json = toJson(CompleteResponseSchema, { ...content, candidates }) as JsonValue;
  return isCut ? { cut: true, answer: json } : json;
}

function withoutData(input: EmbedRequest["inputs"][number]): EmbedRequest["inputs"][number] {
  if (input.input.case !== "parts") return input;
  const value = { ...input.input.value, parts: input.input.value.parts.map(withoutMediaData) };
  return { ...input, input: { case: "parts", value } };
}

function withoutMedia(message: Message): Message {
  return { ...message, parts: message.parts.map(withoutMediaData) };
}

/** How large a file was is kept, the file is not. */
function withoutMediaData(part: Part): Part {
  switch (part.part.case) {
    case "image":
    case "audio":
    case "video":
    case "file": {
      const { source } = part.part.value;
      if (source.case !== "data") return part;
      const value = { ...part.part.value, source: { case: "url" as const, value: `[${source.value.length} bytes]` } };
      return { ...part, part: { case: part.part.case, value } };
    }
    case "toolResult": {
      const value = { ...part.part.value, content: part.part.value.content.map(withoutMediaData) };
      return { ...part, part: { case: "toolResult", value } };
    }
    default:
      return part;
  }
}

function isEmbed(request: LoggableRequest): request is EmbedRequest {
  return request.$typeName === "dragoman.v1.EmbedRequest";
}
