/** Shape of the output: `text.format` and `text.verbosity`. */
import { type GenerateRequest, Modality, type OutputFormat, OutputKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Writable, WritableObject } from "../../core/json.ts";
import { verbosities, wordFor } from "./wire.ts";
import { rawObject, type WriteContext } from "./write-context.ts";

/** The API requires a name. */
const defaultSchemaName = "response";

/** `input`: the items, to which JSON mode may have to add a word. */
export function writeOutput(body: WritableObject, request: GenerateRequest, input: Writable[], context: WriteContext): void {
  const output = request.outputFormat;
  if (output === undefined) return;
  const { report } = context;
  const text: WritableObject = {};
  if (output.kind === OutputKind.JSON_OBJECT) {
    text.format = { type: "json_object" };
    nameJson(request, input, context);
  } else if (output.kind === OutputKind.JSON_SCHEMA) text.format = writeSchema(output, context);
  else if (output.kind === OutputKind.GRAMMAR) report.refused("output_format.grammar", "the target follows no grammars");
  const verbosity = wordFor(verbosities, output.verbosity);
  if (verbosity !== undefined) text.verbosity = verbosity;
  if (Object.keys(text).length > 0) body.text = text;
  output.modalities.forEach((modality, index) => {
    if (modality !== Modality.TEXT) report.refused(`output_format.modalities[${index}]`, "the target gives text only");
  });
  if (output.audio !== undefined) report.refused("output_format.audio", "the target gives no audio");
}

function writeSchema(output: OutputFormat, context: WriteContext): WritableObject {
  const { report, target } = context;
  if (target.traits.structuredOutput === false) report.coerced("output_format.schema_json", "sent, though the model may not follow it");
  const written: WritableObject = { type: "json_schema", name: output.name };
  if (output.name === "") {
    written.name = defaultSchemaName;
    report.defaulted("output_format.name", `"${defaultSchemaName}": the target requires a name`);
  }
  if (output.description !== "") written.description = output.description;
  written.schema = output.schemaJson === "" ? {} : rawObject(output.schemaJson, "output_format.schema_json");
  if (output.strict !== undefined) written.strict = output.strict;
  return written;
}

/** The service refuses JSON mode where no message names JSON; its instructions do not count. */
function nameJson(request: GenerateRequest, input: Writable[], { report }: WriteContext): void {
  if (request.messages.some(({ parts }) => parts.some(({ part }) => part.case === "text" && /json/i.test(part.value)))) return;
  report.emulated("output_format.kind", "an instruction beside JSON mode: the target wants JSON named in a message");
  input.unshift({ type: "message", role: "developer", content: [{ type: "input_text", text: "Answer in JSON." }] });
}
