/** A client's embeddings request, read. */
import { create } from "@bufbuild/protobuf";
import { AttributionSchema } from "../../../gen/dragoman/v1/call_pb.ts";
import { type EmbedInput, EmbedInputSchema, type EmbedRequest, EmbedRequestSchema } from "../../../gen/dragoman/v1/embed_pb.ts";
import { invalidField } from "../../core/error.ts";
import { describe, Fields } from "../../core/fields.ts";
import type { JsonValue } from "../../core/json.ts";
import { type Encoding, format } from "./wire.ts";

const maxModelLength = 256;
const maxUserLength = 256;
const maxTokenId = 0xffff_ffff;

/** Throws invalid_request with the path of the wrong field. `rendering` is how the answer shall carry its vectors. */
export function readRequest(body: JsonValue): { embed: EmbedRequest; rendering: Encoding } {
  const fields = new Fields(body);
  const model = fields.requiredString("model");
  if (model === "") fields.fail("model", "must not be empty");
  if (model.length > maxModelLength) fields.fail("model", `must have at most ${maxModelLength} characters`);
  const embed = create(EmbedRequestSchema, { model, inputs: readInputs(fields) });
  const dimensions = fields.integer("dimensions", { min: 1, max: 0xffff_ffff });
  if (dimensions !== undefined) embed.dimensions = dimensions;
  const rendering = fields.word("encoding_format", ["float", "base64"]) ?? "float";
  const endUserId = readUser(fields);
  if (endUserId !== undefined) embed.attribution = create(AttributionSchema, { endUserId });
  embed.extrasJson = fields.extras(format);
  return { embed, rendering };
}

/** A text, texts, token ids, or lists of token ids. */
function readInputs(fields: Fields): EmbedInput[] {
  const value = fields.peek("input");
  if (value === undefined) return fields.fail("input", "is required");
  if (typeof value === "string") return [textInput(fields.requiredString("input"), "input")];
  if (!Array.isArray(value)) return fields.fail("input", `must be a string or an array, not ${describe(value)}`);
  const elements = fields.array("input") ?? [];
  if (elements.length === 0) return fields.fail("input", "must not be empty");
  if (typeof elements[0]?.value === "number")
    return [
      tokenInput(
        elements.map(({ value }) => value),
        "input",
      ),
    ];
  return elements.map(({ value, path }) => {
    if (typeof value === "string") return textInput(value, path);
    if (Array.isArray(value)) return tokenInput(value, path);
    throw invalidField(path, `must be a string or an array of token ids, not ${describe(value)}`);
  });
}

function textInput(value: string, path: string): EmbedInput {
  if (value === "") throw invalidField(path, "must not be empty");
  return create(EmbedInputSchema, { input: { case: "text", value } });
}

function tokenInput(values: readonly JsonValue[], path: string): EmbedInput {
  if (values.length === 0) throw invalidField(path, "must not be empty");
  const ids = values.map((value, index) => {
    const isToken = typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= maxTokenId;
    if (!isToken) throw invalidField(`${path}[${index}]`, `must be a token id, a whole number, not ${describe(value)}`);
    return value;
  });
  return create(EmbedInputSchema, { input: { case: "tokens", value: { ids } } });
}

function readUser(fields: Fields): string | undefined {
  const user = fields.string("user");
  if (user === undefined) return undefined;
  if (user.length > maxUserLength) fields.fail("user", `must have at most ${maxUserLength} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what is refused are exactly these
  return /[\x00-\x1f\x7f]/.test(user) ? fields.fail("user", "must not have control characters") : user;
}
