/** POST /v2/embed. */
import { behaviourOf } from "../../model-name.ts";
import { checkShape, type JsonObject } from "../../shape.ts";
import { tokensOf } from "../../tokens.ts";
import { vectorBytes, vectorOf } from "../../vectors.ts";
import { newId } from "../ids.ts";
import { splitUnknown } from "../unknown.ts";
import { embedShape } from "./shape.ts";
import { refuse, refuseIssues, refuseModel } from "./vendor.ts";

export interface EmbedAnswer {
  readonly model: string;
  readonly body: JsonObject;
  readonly inputTokens: number;
}

interface Content {
  readonly text?: string;
  readonly image_url?: { readonly url: string };
}

const dimensions: readonly unknown[] = [256, 512, 1024, 1536];

/** Throws Refusal. */
export function answerCohereEmbed(body: JsonObject, lenient: boolean, defaultDimensions: number): EmbedAnswer {
  const { rest, unknown } = splitUnknown(checkShape(body, embedShape), lenient);
  refuseIssues(rest);
  const model = String(body.model);
  if (behaviourOf(model).kind === "missing") refuseModel(model);
  const { output_dimension: wanted } = body;
  if (wanted !== undefined && wanted !== null && !dimensions.includes(wanted)) {
    refuse(`invalid request: output_dimension must be one of ${dimensions.join(", ")}.`);
  }
  const texts = readInputs(body);
  const types = (body.embedding_types ?? ["float"]) as string[];
  const length = Number(wanted ?? defaultDimensions);
  const vectors = texts.map((text) => vectorOf(text, length));
  const inputTokens = texts.reduce((sum, text) => sum + tokensOf(text), 0);
  return {
    model,
    inputTokens,
    body: {
      id: newId(""),
      response_type: "embeddings_by_type",
      embeddings: Object.fromEntries(types.map((type) => [type, vectors.map((vector) => inType(vector, type))])),
      texts: Array.isArray(body.texts) ? body.texts : [],
      meta: { api_version: { version: "2" }, billed_units: { input_tokens: inputTokens } },
      ...unknown,
    },
  };
}

function readInputs({ texts, images, inputs }: JsonObject): string[] {
  const given = [texts, images, inputs].filter((list) => Array.isArray(list) && list.length > 0);
  if (given.length !== 1) refuse("invalid request: exactly one of texts, images or inputs must be given and not be empty.");
  if (Array.isArray(inputs) && inputs.length > 0) {
    return (inputs as { content: Content[] }[]).map(({ content }) =>
      content.map(({ text, image_url: image }) => text ?? image?.url ?? "").join("\n"),
    );
  }
  const list = given[0] as string[];
  if (list.some((text) => text === "")) refuse("invalid request: texts must not be empty.");
  return list;
}

function inType(vector: readonly number[], type: string): number[] | string {
  switch (type) {
    case "base64":
      return vectorBytes(vector).toString("base64");
    case "int8":
      return vector.map((value) => Math.round(value * 127));
    case "uint8":
      return vector.map((value) => Math.round(value * 127) + 128);
    case "binary":
    case "ubinary":
      return packBits(vector).map((byte) => (type === "binary" ? byte - 128 : byte));
    default:
      return [...vector];
  }
}

/** One bit for each value, set where it is positive, the first in the highest place. */
function packBits(vector: readonly number[]): number[] {
  const bytes: number[] = [];
  for (let at = 0; at < vector.length; at += 8) {
    bytes.push(vector.slice(at, at + 8).reduce((byte, value, bit) => byte | (value > 0 ? 0x80 >> bit : 0), 0));
  }
  return bytes;
}
