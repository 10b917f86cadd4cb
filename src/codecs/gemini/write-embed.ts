/** Embedding requests: `embedContent` for one input, `batchEmbedContents` for more. https://ai.google.dev/api/embeddings */
import { EmbeddingType, type EmbedInput, type EmbedRequest, EmbedTask, Truncation } from "../../../gen/dragoman/v1/embed_pb.ts";
import type { Part } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { UpstreamEmbedRequest } from "../../core/dialect.ts";
import { invalidField } from "../../core/error.ts";
import { reportForeignExtras, writeExtras } from "../../core/extras.ts";
import { type WritableObject, writeJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import { CallState } from "./call-state.ts";
import type { GeminiQuirks } from "./quirks.ts";
import { formatName, methodPath, modelResource, taskTypes } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { writeMedia } from "./write-media.ts";

export function writeEmbedRequest(request: EmbedRequest, target: Target, quirks: GeminiQuirks): UpstreamEmbedRequest {
  const report = new TranslationReport(formatName);
  const context: WriteContext = { target, report, quirks, state: new CallState() };
  const settings = writeSettings(request, report);
  reportForeignExtras(request.extrasJson, formatName, "", report);
  const silent = new TranslationReport(formatName);
  const requests = request.inputs.map((input, index) => {
    const parts = writeInput(input, `inputs[${index}]`, context);
    const written: WritableObject = { model: modelResource(target.model), content: { parts }, ...settings };
    // Every input is a request of its own; what is foreign was reported once.
    writeExtras(written, request.extrasJson, formatName, "", silent);
    return written;
  });
  const [only] = requests;
  const isSingle = requests.length === 1 && only !== undefined;
  return {
    path: methodPath(target.model, isSingle ? "embedContent" : "batchEmbedContents"),
    headers: {},
    body: writeJson(isSingle ? only : { requests }),
    report,
  };
}

function writeSettings({ task, title, dimensions, truncation, types }: EmbedRequest, report: TranslationReport): WritableObject {
  const taskType = taskTypes[task];
  if (task !== EmbedTask.UNSPECIFIED && taskType === undefined) report.dropped("task", "has no equal");
  if (truncation !== Truncation.UNSPECIFIED) report.dropped("truncation", "the service decides about inputs that are too long");
  if (types.some((type) => type !== EmbeddingType.FLOAT)) report.refused("types", "only FLOAT is offered");
  const takesTitle = task === EmbedTask.SEARCH_DOCUMENT;
  if (title !== "" && !takesTitle) report.dropped("title", "only documents to be found have titles: task SEARCH_DOCUMENT");
  return { taskType, title: takesTitle && title !== "" ? title : undefined, outputDimensionality: dimensions };
}

function writeInput({ input }: EmbedInput, path: string, context: WriteContext): WritableObject[] {
  switch (input.case) {
    case "text":
      return [{ text: input.value }];
    case "parts":
      return input.value.parts.flatMap((part, index) => writePart(part, `${path}.parts.parts[${index}]`, context));
    case "tokens":
      context.report.refused(`${path}.tokens`, "inputs are text or media, not token ids");
      return [];
    default:
      throw invalidField(path, "has no content");
  }
}

function writePart({ part, extrasJson }: Part, path: string, context: WriteContext): WritableObject[] {
  const { report } = context;
  let written: WritableObject | undefined;
  switch (part.case) {
    case "text":
      written = { text: part.value };
      break;
    case "image":
    case "audio":
    case "video":
    case "file":
      written = writeMedia(part.value, part.case, path, context);
      break;
    default:
      report.refused(path, "inputs are text or media");
  }
  if (written === undefined) return [];
  writeExtras(written, extrasJson, formatName, path, report);
  return [written];
}
