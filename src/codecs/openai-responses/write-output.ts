/** Shape of the output: `text.format` and `text.verbosity`. */
import { type GenerateRequest, Modality, type OutputFormat, OutputKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Writable, WritableObject } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import { verbosities, wordFor } from "../../core/openai-words.ts";
import type { WriteContext } from "./write-context.ts";

/** The function whose arguments are the answer; no client's tool is called so. */
const schemaToolName = "dgm_json_answer";
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
  } else if (output.kind === OutputKind.JSON_SCHEMA) {
    if (context.target.traits.structuredOutput === false) emulateSchema(body, request, output, input, context);
    else text.format = writeSchema(output, context);
  } else if (output.kind === OutputKind.GRAMMAR) report.refused("output_format.grammar", "the target follows no grammars");
  const verbosity = wordFor(verbosities, output.verbosity);
  if (verbosity !== undefined) text.verbosity = verbosity;
  if (Object.keys(text).length > 0) body.text = text;
  output.modalities.forEach((modality, index) => {
    if (modality !== Modality.TEXT) report.refused(`output_format.modalities[${index}]`, "the target gives text only");
  });
  if (output.audio !== undefined) report.refused("output_format.audio", "the target gives no audio");
}

function writeSchema(output: OutputFormat, context: WriteContext): WritableObject {
  const { report } = context;
  const written: WritableObject = { type: "json_schema", name: output.name };
  if (output.name === "") {
    written.name = defaultSchemaName;
    report.defaulted("output_format.name", `"${defaultSchemaName}": the target requires a name`);
  }
  if (output.description !== "") written.description = output.description;
  written.schema = output.schemaJson === "" ? {} : rawJsonObject(output.schemaJson, "output_format.schema_json");
  if (output.strict !== undefined) written.strict = output.strict;
  return written;
}

/** contract.md 3.4: a forced function whose arguments become the text; beside other tools or reasoning, an instruction. */
function emulateSchema(
  body: WritableObject,
  request: GenerateRequest,
  output: OutputFormat,
  input: Writable[],
  { report, target, state }: WriteContext,
): void {
  const path = "output_format.schema_json";
  const schema = rawJsonObject(output.schemaJson === "" ? "{}" : output.schemaJson, path);
  if (request.tools.length === 0 && request.reasoning === undefined && target.traits.tools !== false) {
    state.schemaTool = schemaToolName;
    const description = output.description || "Gives the answer.";
    body.tools = [{ type: "function", name: schemaToolName, description, parameters: schema, strict: false }];
    body.tool_choice = { type: "function", name: schemaToolName };
    report.emulated(path, "a forced function whose arguments are the answer: the model follows no schema");
    return;
  }
  report.emulated(path, "an instruction: the model follows no schema beside tools or reasoning");
  instruct(input, `Answer with one JSON value that follows this JSON Schema, and nothing else:\n${schema.text}`);
}

function instruct(input: Writable[], text: string): void {
  input.unshift({ type: "message", role: "developer", content: [{ type: "input_text", text }] });
}

/** The service refuses JSON mode where no message names JSON; its instructions do not count. */
function nameJson(request: GenerateRequest, input: Writable[], { report }: WriteContext): void {
  if (request.messages.some(({ parts }) => parts.some(({ part }) => part.case === "text" && /json/i.test(part.value)))) return;
  report.emulated("output_format.kind", "an instruction beside JSON mode: the target wants JSON named in a message");
  instruct(input, "Answer in JSON.");
}
