/** POST /v1/embeddings. */
import { behaviourOf } from "../../model-name.ts";
import { checkShape, either, integer, type JsonObject, list, object, required, string, word } from "../../shape.ts";
import { tokensOf } from "../../tokens.ts";
import { maxDimensions, vectorBytes, vectorOf } from "../../vectors.ts";
import { splitUnknown } from "../unknown.ts";
import { refuse, refuseIssues, refuseModel } from "./vendor.ts";

const shape = object({
  model: required(string()),
  input: required(either(string(), list(string(), 1, 2048), list(integer(0), 1, 8192), list(list(integer(0), 1, 8192), 1, 2048))),
  dimensions: integer(1, maxDimensions),
  encoding_format: word("float", "base64"),
  user: string(),
});

export interface EmbeddingsAnswer {
  readonly model: string;
  readonly body: JsonObject;
  readonly inputTokens: number;
}

/** Throws Refusal. */
export function answerEmbeddings(body: JsonObject, lenient: boolean, defaultDimensions: number): EmbeddingsAnswer {
  if (typeof body.model !== "string" || body.model === "") refuse("you must provide a model parameter");
  const { rest, unknown } = splitUnknown(checkShape(body, shape), lenient);
  refuseIssues(rest, { namesArguments: true });
  const model = String(body.model);
  if (behaviourOf(model).kind === "missing") refuseModel(model);
  const texts = readInputs(body.input as string | string[] | number[] | number[][]);
  if (texts.includes("")) refuse("Invalid 'input': input cannot be an empty string.", "input", "invalid_value");
  if (model === "text-embedding-ada-002" && body.dimensions !== undefined)
    refuse("This model does not support specifying dimensions.", "dimensions");
  const dimensions = Number(body.dimensions ?? defaultDimensions);
  const inputTokens = texts.reduce((sum, text) => sum + tokensOf(text), 0);
  const data = texts.map((text, index) => {
    const vector = vectorOf(text, dimensions);
    return { object: "embedding", index, embedding: body.encoding_format === "base64" ? vectorBytes(vector).toString("base64") : vector };
  });
  return {
    model,
    inputTokens,
    body: { object: "list", data, model, usage: { prompt_tokens: inputTokens, total_tokens: inputTokens }, ...unknown },
  };
}

/** Token ids are embedded as the text of their numbers. */
function readInputs(input: string | string[] | number[] | number[][]): string[] {
  if (typeof input === "string") return [input];
  if (typeof input[0] === "number") return [(input as number[]).join(" ")];
  return (input as (string | number[])[]).map((one) => (typeof one === "string" ? one : one.join(" ")));
}
