/** A request for vectors. https://docs.cohere.com/v2/reference/embed */
import { EmbeddingType, type EmbedInput, type EmbedRequest, EmbedTask, Truncation } from "../../../gen/dragoman/v1/embed_pb.ts";
import { CallState } from "../../core/call-state.ts";
import type { UpstreamEmbedRequest } from "../../core/dialect.ts";
import { invalidField } from "../../core/error.ts";
import { writeExtras } from "../../core/extras.ts";
import { type WritableObject, writeJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { writeImage } from "./write-media.ts";

const embedPath = "/v2/embed";
/** Most texts, and most inputs, of one request. */
export const maxEmbedInputs = 96;

/** Lengths of vectors that the API makes. */
const dimensions: ReadonlySet<number> = new Set([256, 512, 1024, 1536]);

const inputTypes: Readonly<Partial<Record<EmbedTask, string>>> = {
  [EmbedTask.SEARCH_QUERY]: "search_query",
  [EmbedTask.SEARCH_DOCUMENT]: "search_document",
  [EmbedTask.CLASSIFICATION]: "classification",
  [EmbedTask.CLUSTERING]: "clustering",
  [EmbedTask.IMAGE]: "image",
};
const defaultInputType = "search_document";

/** The nearest of the API's tasks; what is not here has none. */
const nearTypes: Readonly<Partial<Record<EmbedTask, string>>> = {
  [EmbedTask.QUESTION_ANSWERING]: "search_query",
  [EmbedTask.FACT_VERIFICATION]: "search_query",
  [EmbedTask.CODE_QUERY]: "search_query",
};

const truncations: Readonly<Record<Truncation, string | undefined>> = {
  [Truncation.UNSPECIFIED]: undefined,
  [Truncation.NONE]: "NONE",
  [Truncation.START]: "START",
  [Truncation.END]: "END",
};

const typeNames: Readonly<Partial<Record<EmbeddingType, string>>> = {
  [EmbeddingType.INT8]: "int8",
  [EmbeddingType.UINT8]: "uint8",
  [EmbeddingType.BINARY]: "binary",
  [EmbeddingType.UBINARY]: "ubinary",
};

/** Name of a vector type in requests and answers alike. */
export function typeName(type: EmbeddingType): string {
  return typeNames[type] ?? "float";
}

/** What is asked for: FLOAT where a request does not say. */
export function typesOf({ types }: EmbedRequest): readonly EmbeddingType[] {
  return types.length === 0 ? [EmbeddingType.FLOAT] : types;
}

export function writeEmbedRequest(request: EmbedRequest, target: Target): UpstreamEmbedRequest {
  const report = new TranslationReport(formatName);
  const context: WriteContext = { target, report, state: new CallState(), documents: [] };
  if (request.title !== "") report.dropped("title", "inputs have no titles");
  const body: WritableObject = {
    model: target.model,
    ...writeInputs(request.inputs, context),
    input_type: writeInputType(request.task, report),
    embedding_types: typesOf(request).map(typeName),
    output_dimension: writeDimensions(request.dimensions, report),
    truncate: truncations[request.truncation],
  };
  writeExtras(body, request.extrasJson, formatName, "", report);
  return { path: embedPath, headers: {}, body: writeJson(body), report };
}

function writeDimensions(wanted: number | undefined, report: TranslationReport): number | undefined {
  if (wanted === undefined || dimensions.has(wanted)) return wanted;
  report.refused("dimensions", `must be one of ${[...dimensions].join(", ")}: vectors are not cut here`);
  return undefined;
}

function writeInputType(task: EmbedTask, report: TranslationReport): string {
  const type = inputTypes[task];
  if (type !== undefined) return type;
  if (task === EmbedTask.UNSPECIFIED) {
    report.defaulted("task", `${defaultInputType}: the API requires one`);
    return defaultInputType;
  }
  const near = nearTypes[task];
  if (near === undefined) report.dropped("task", `has no equal; ${defaultInputType} is sent, as the API requires one`);
  else report.coerced("task", near);
  return near ?? defaultInputType;
}

/** `texts` where all inputs are text, which every model takes; `inputs` with their contents else. */
function writeInputs(inputs: readonly EmbedInput[], context: WriteContext): WritableObject {
  const texts = inputs.map(textOf);
  if (texts.every((text) => text !== undefined)) return { texts };
  return { inputs: inputs.map((input, index) => ({ content: writeContent(input, `inputs[${index}]`, context) })) };
}

/** An input that is one text and nothing else. */
function textOf({ input }: EmbedInput): string | undefined {
  if (input.case === "text") return input.value;
  const [only, ...more] = input.case === "parts" ? input.value.parts : [];
  return more.length === 0 && only?.part.case === "text" && Object.keys(only.extrasJson).length === 0 ? only.part.value : undefined;
}

function writeContent({ input }: EmbedInput, path: string, context: WriteContext): WritableObject[] {
  const { report } = context;
  switch (input.case) {
    case "text":
      return [{ type: "text", text: input.value }];
    case "tokens":
      report.refused(`${path}.tokens`, "inputs are text or images, not token ids");
      return [];
    case "parts":
      return input.value.parts.flatMap(({ part, extrasJson }, index) => {
        const at = `${path}.parts.parts[${index}]`;
        let written: WritableObject | undefined;
        if (part.case === "text") written = { type: "text", text: part.value };
        else if (part.case === "image") written = writeImage(part.value, `${at}.image`, context);
        else report.refused(at, "inputs are text or images");
        if (written !== undefined) writeExtras(written, extrasJson, formatName, at, report);
        return written === undefined ? [] : [written];
      });
    default:
      throw invalidField(path, "has no content");
  }
}
