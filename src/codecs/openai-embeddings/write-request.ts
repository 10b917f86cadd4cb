/** An embeddings request for a server that speaks OpenAI's format (contract.md 8). */
import { EmbeddingType, type EmbedInput, type EmbedRequest, EmbedTask, Truncation } from "../../../gen/dragoman/v1/embed_pb.ts";
import type { UpstreamEmbedRequest } from "../../core/dialect.ts";
import { writeExtras } from "../../core/extras.ts";
import { type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import type { OpenAiEmbeddingsQuirks } from "./quirks.ts";
import { format, path } from "./wire.ts";

/** What is lost stands in the report, which the caller settles. */
export function writeRequest(request: EmbedRequest, target: Target, quirks: OpenAiEmbeddingsQuirks): UpstreamEmbedRequest {
  const report = new TranslationReport(format);
  const body: WritableObject = { model: target.model, input: writeInputs(request.inputs, quirks, report) };
  if (request.dimensions !== undefined) {
    if (quirks.dimensions === false) report.refused("dimensions", "must be absent: the target gives vectors of one length");
    else body.dimensions = request.dimensions;
  }
  if (request.task !== EmbedTask.UNSPECIFIED) report.dropped("task", "the target makes the same vectors for every task");
  if (request.truncation === Truncation.START || request.truncation === Truncation.END) {
    report.dropped("truncation", "the target refuses inputs that are too long");
  }
  if (request.title !== "") report.dropped("title", "the target takes no titles");
  request.types.forEach((type, index) => {
    if (type !== EmbeddingType.FLOAT) report.refused(`types[${index}]`, "must be FLOAT: the target gives no other numbers");
  });
  const user = request.attribution?.endUserId ?? "";
  if (quirks.sendUser && user !== "") body.user = user;
  if (quirks.encodingFormat !== false) body.encoding_format = quirks.base64 === false ? "float" : "base64";
  writeExtras(body, request.extrasJson, format, "", report);
  return { path: quirks.path ?? path, headers: {}, body: writeJson(body), report };
}

function writeInputs(inputs: readonly EmbedInput[], quirks: OpenAiEmbeddingsQuirks, report: TranslationReport): Writable[] {
  return inputs.map(({ input }, index) => {
    const at = `inputs[${index}]`;
    if (input.case === "text") return input.value;
    if (input.case === "tokens") {
      if (quirks.tokens === false) report.refused(`${at}.tokens`, "must be text: the target takes no token ids");
      return input.value.ids;
    }
    return writeParts(input, at, report);
  });
}

/** Parts that are one text are that text; media have no form here. */
function writeParts(input: EmbedInput["input"], path: string, report: TranslationReport): string {
  const parts = input.case === "parts" ? input.value.parts : [];
  const [only] = parts;
  if (parts.length === 1 && only?.part.case === "text") return only.part.value;
  report.refused(`${path}.parts`, "must be one text: the target embeds text only");
  return "";
}
