/** Gemini embedContent and batchEmbedContents. */
import { behaviourOf } from "../../model-name.ts";
import { checkShape, type JsonObject } from "../../shape.ts";
import { tokensOf } from "../../tokens.ts";
import { vectorOf } from "../../vectors.ts";
import { splitUnknown } from "../unknown.ts";
import { batchEmbedShape, embedShape } from "./shape.ts";
import { camelCase, refuse, refuseIssues, refuseModel } from "./vendor.ts";

interface EmbedRequest {
  readonly model?: string;
  readonly content: { readonly parts?: readonly { readonly text?: string }[] };
  readonly outputDimensionality?: number;
}

export interface EmbedAnswer {
  readonly body: JsonObject;
  readonly inputTokens: number;
}

/** Throws Refusal. `batch`: several requests in one, each naming the model again. */
export function answerEmbed(body: JsonObject, model: string, batch: boolean, lenient: boolean, defaultDimensions: number): EmbedAnswer {
  const { rest, unknown } = splitUnknown(checkShape(body, batch ? batchEmbedShape : embedShape, { rename: camelCase }), lenient);
  refuseIssues(rest);
  if (behaviourOf(model).kind === "missing") refuseModel(model, "embedContent");
  const requests = (batch ? body.requests : [body]) as EmbedRequest[];
  let inputTokens = 0;
  const embeddings = requests.map((request, index) => {
    if (batch && request.model !== `models/${model}`) {
      refuse(
        `* BatchEmbedContentsRequest.requests[${index}].model: unexpected model name format or model does not match the one in the URL\n`,
      );
    }
    const texts = (request.content.parts ?? []).flatMap(({ text }) => (text === undefined ? [] : [text]));
    if (texts.length === 0) refuse(`* EmbedContentRequest.content: contains an empty Part.\n`);
    const text = texts.join("\n");
    inputTokens += tokensOf(text);
    return { values: vectorOf(text, request.outputDimensionality ?? defaultDimensions) };
  });
  return { inputTokens, body: { ...(batch ? { embeddings } : { embedding: embeddings[0] }), ...unknown } };
}
