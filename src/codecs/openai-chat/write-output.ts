/** Shape of the output: response_format, verbosity, modalities, and what stands in for a schema where there is none. */
import { type GenerateRequest, Modality, type OutputFormat, OutputKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { CallState } from "../../core/call-state.ts";
import { RawJson, type Writable, type WritableObject } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import { verbosities, wordFor } from "../../core/openai-words.ts";
import { modalities } from "./wire.ts";
import type { WriteContext } from "./write-content.ts";

/** The function whose arguments are the answer; no client's tool is called so. */
const schemaToolName = "dgm_json_answer";
/** The API requires a name. */
const defaultSchemaName = "response";

export interface OutputFacts extends WriteContext {
  readonly state: CallState;
  /** Puts an instruction behind the leading system messages. */
  readonly instruct: (text: string) => void;
}

export function writeOutput(body: WritableObject, request: GenerateRequest, facts: OutputFacts): void {
  const output = request.outputFormat;
  if (output === undefined) return;
  const { quirks, report } = facts;
  switch (output.kind) {
    case OutputKind.TEXT:
      // What every server does unasked.
      break;
    case OutputKind.JSON_OBJECT:
      writeJsonObject(body, request, facts);
      break;
    case OutputKind.JSON_SCHEMA:
      writeSchema(body, request, output, facts);
      break;
    case OutputKind.GRAMMAR:
      writeGrammar(body, output, facts);
      break;
    default:
      break;
  }
  const verbosity = wordFor(verbosities, output.verbosity);
  if (verbosity !== undefined) {
    if (quirks.refusedParameters?.includes("verbosity")) report.dropped("output_format.verbosity", "the target has no such setting");
    else body.verbosity = verbosity;
  }
  writeModalities(body, output, facts);
}

function writeJsonObject(body: WritableObject, request: GenerateRequest, { quirks, report, instruct }: OutputFacts): void {
  if (quirks.jsonObject === false) {
    report.emulated("output_format.kind", "an instruction to answer in JSON: the target has no JSON mode");
    instruct("Answer with one valid JSON object and nothing else.");
    return;
  }
  body.response_format = { type: "json_object" };
  // The service refuses JSON mode where no message names JSON.
  if (request.messages.some(({ parts }) => parts.some(({ part }) => part.case === "text" && /json/i.test(part.value)))) return;
  report.emulated("output_format.kind", "an instruction beside JSON mode: the target wants JSON named in a message");
  instruct("Answer in JSON.");
}

function writeSchema(body: WritableObject, request: GenerateRequest, output: OutputFormat, facts: OutputFacts): void {
  const { quirks, target } = facts;
  if (quirks.jsonSchema === false || target.traits.structuredOutput === false) {
    emulateSchema(body, request, output, facts);
    return;
  }
  const schema: WritableObject = { name: output.name };
  if (output.name === "") {
    schema.name = defaultSchemaName;
    facts.report.defaulted("output_format.name", `"${defaultSchemaName}": the target requires a name`);
  }
  if (output.description !== "") schema.description = output.description;
  if (output.schemaJson !== "") schema.schema = rawJsonObject(output.schemaJson, "output_format.schema_json");
  if (output.strict !== undefined) schema.strict = output.strict;
  body.response_format = { type: "json_schema", json_schema: schema };
}

/** contract.md 3.4: a forced tool whose arguments become the text; beside other tools or thinking, an instruction. */
function emulateSchema(body: WritableObject, request: GenerateRequest, output: OutputFormat, facts: OutputFacts): void {
  const { quirks, report, state, instruct, target } = facts;
  const schema = output.schemaJson === "" ? new RawJson("{}") : rawJsonObject(output.schemaJson, "output_format.schema_json");
  const canForce = request.tools.length === 0 && request.reasoning === undefined && target.traits.tools !== false;
  if (canForce && !quirks.refusedParameters?.includes("tool_choice")) {
    state.schemaTool = schemaToolName;
    const description = output.description || "Gives the answer.";
    body.tools = [{ type: "function", function: { name: schemaToolName, description, parameters: schema } }];
    body.tool_choice = { type: "function", function: { name: schemaToolName } };
    report.emulated("output_format.schema_json", "a forced tool whose arguments are the answer: the target follows no schema");
    return;
  }
  if (quirks.jsonObject !== false) body.response_format = { type: "json_object" };
  report.emulated("output_format.schema_json", "an instruction: the target follows no schema beside tools or reasoning");
  instruct(`Answer with one JSON value that follows this JSON Schema, and nothing else:\n${schema.text}`);
}

function writeGrammar(body: WritableObject, output: OutputFormat, { quirks, report }: OutputFacts): void {
  const definition = output.grammar?.definition ?? "";
  if (quirks.grammarField === "response_format") body.response_format = { type: "grammar", grammar: definition };
  else if (quirks.grammarField === "guided_grammar") body.guided_grammar = definition;
  else report.refused("output_format.grammar", "the target follows no grammars");
}

function writeModalities(body: WritableObject, output: OutputFormat, { quirks, report }: OutputFacts): void {
  const offered: readonly string[] = quirks.outputModalities ?? ["audio"];
  const words: Writable[] = [];
  output.modalities.forEach((modality, index) => {
    const word = wordFor(modalities, modality) ?? "";
    if (modality === Modality.TEXT || offered.includes(word)) words.push(word);
    else report.refused(`output_format.modalities[${index}]`, `the target gives no ${word}`);
  });
  // Text alone is what every model gives unasked.
  if (output.modalities.some((modality) => modality !== Modality.TEXT)) body.modalities = words;
  if (output.audio !== undefined) {
    const { voice, format } = output.audio;
    // A voice of one's own is named by {id}.
    const written: WritableObject = { voice: voice.startsWith("voice_") ? { id: voice } : voice, format };
    if (offered.includes("audio")) body.audio = written;
    else report.refused("output_format.audio", "the target gives no audio");
  }
}
