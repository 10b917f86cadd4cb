/** Embeddings: texts and images, one vector each (contract.md 8, column xAI). */
import { create } from "@bufbuild/protobuf";
import {
  type EmbedInput as CoreInput,
  type EmbedRequest as CoreRequest,
  type EmbedResponse as CoreResponse,
  EmbedResponseSchema as CoreResponseSchema,
  type Embedding,
  EmbeddingSchema,
  EmbeddingType,
  EmbedTask,
  Truncation,
} from "../../../gen/dragoman/v1/embed_pb.ts";
import {
  EmbedEncodingFormat,
  type EmbedInput,
  EmbedInputSchema,
  type EmbedRequest,
  EmbedRequestSchema,
  type EmbedResponse,
} from "../../../gen/xai/api/v1/embed_pb.ts";
import { GatewayError, invalidField } from "../../core/error.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import { CallState } from "./call-state.ts";
import { mergeMessageExtras } from "./json-message.ts";
import { formatName } from "./wire.ts";
import { writeImage } from "./write-content.ts";
import type { WriteContext } from "./write-context.ts";

export function writeEmbedRequest(request: CoreRequest, target: Target): { message: EmbedRequest; report: TranslationReport } {
  const report = new TranslationReport(formatName);
  const context: WriteContext = { target, report, state: new CallState() };
  if (request.dimensions !== undefined) report.refused("dimensions", "vectors have the model's own length");
  if (request.task !== EmbedTask.UNSPECIFIED) report.dropped("task", "has no equal");
  if (request.title !== "") report.dropped("title", "has no equal");
  if (request.truncation !== Truncation.UNSPECIFIED) report.dropped("truncation", "the target decides about inputs that are too long");
  if (request.types.some((type) => type !== EmbeddingType.FLOAT)) report.refused("types", "only FLOAT is offered");
  const message = create(EmbedRequestSchema, {
    model: target.model,
    input: request.inputs.flatMap((input, index) => writeInput(input, `inputs[${index}]`, context) ?? []),
    encodingFormat: EmbedEncodingFormat.FORMAT_FLOAT,
    user: request.attribution?.endUserId ?? "",
  });
  mergeMessageExtras(EmbedRequestSchema, message, request.extrasJson, "", report);
  return { message, report };
}

function writeInput({ input }: CoreInput, path: string, context: WriteContext): EmbedInput | undefined {
  const { report } = context;
  switch (input.case) {
    case "text":
      return create(EmbedInputSchema, { input: { case: "string", value: input.value } });
    case "tokens":
      report.refused(`${path}.tokens`, "inputs are texts or images, not token ids");
      return undefined;
    case "parts": {
      const [only, ...more] = input.value.parts;
      if (only?.part.case === "text" && more.length === 0) {
        return create(EmbedInputSchema, { input: { case: "string", value: only.part.value } });
      }
      const image =
        only?.part.case === "image" && more.length === 0 ? writeImage(only.part.value, `${path}.parts.parts[0]`, context) : undefined;
      if (image === undefined) report.refused(`${path}.parts`, "an input is one text or one image");
      return image && create(EmbedInputSchema, { input: { case: "imageUrl", value: image } });
    }
    default:
      throw invalidField(path, "has no content");
  }
}

/** Usage stays out: the service counts vectors, not tokens. Throws provider_error for a wrong number of vectors. */
export function readEmbedResponse(reply: EmbedResponse, request: CoreRequest, provider: string): CoreResponse {
  const embeddings = [...reply.embeddings]
    .sort((left, right) => left.index - right.index)
    .map((entry, index) => readVector(entry, index, provider));
  if (embeddings.length !== request.inputs.length) {
    throw new GatewayError(
      "provider_error",
      `provider ${provider} sent ${embeddings.length} embeddings for ${request.inputs.length} inputs`,
    );
  }
  return create(CoreResponseSchema, {
    embeddings,
    servedModel: reply.model,
    provider,
    upstreamId: reply.id,
    dimensions: embeddings[0]?.values.length ?? 0,
  });
}

function readVector({ embeddings }: EmbedResponse["embeddings"][number], index: number, provider: string): Embedding {
  const [vector] = embeddings;
  const values = vector === undefined ? [] : vector.base64Array === "" ? vector.floatArray : floatsOf(vector.base64Array);
  if (values.length === 0) throw new GatewayError("provider_error", `provider ${provider} sent an embedding without values`);
  return create(EmbeddingSchema, { index, type: EmbeddingType.FLOAT, values });
}

/** Little-endian 32-bit floats. */
function floatsOf(base64: string): number[] {
  const bytes = Buffer.from(base64, "base64");
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, at) => bytes.readFloatLE(at * 4));
}
