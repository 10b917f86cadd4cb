/** The shape of the answer: by the API's JSON mode, by a tool that stands for it, or by an instruction. */
import { Modality, type OutputFormat, OutputKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { RawJson, type WritableObject } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import type { WriteContext } from "./write-context.ts";

/** The function whose arguments are the answer; no client's tool is called so. */
const schemaToolName = "dgm_json_answer";

/** At most one of them is set. */
export interface OutputPlan {
  readonly responseFormat?: WritableObject;
  /** The tool that the model is made to call with the answer as its arguments. */
  readonly tool?: WritableObject;
  /** What the model is told at the end of the leading instructions. */
  readonly instruction?: string;
}

export interface OutputFacts {
  /** JSON mode excludes tools and documents. */
  readonly hasTools: boolean;
  readonly hasDocuments: boolean;
  readonly thinks: boolean;
}

export function planOutput(output: OutputFormat | undefined, facts: OutputFacts, context: WriteContext): OutputPlan {
  if (output === undefined) return {};
  const { report } = context;
  if (output.verbosity !== 0) report.dropped("output_format.verbosity", "not offered");
  output.modalities.forEach((modality, index) => {
    if (modality !== Modality.TEXT) report.refused(`output_format.modalities[${index}]`, "answers are text");
  });
  if (output.audio !== undefined) report.refused("output_format.audio", "answers are text");
  switch (output.kind) {
    case OutputKind.JSON_OBJECT:
      return planObject(facts, context);
    case OutputKind.JSON_SCHEMA:
      return planSchema(output, facts, context);
    case OutputKind.GRAMMAR:
      report.refused("output_format.grammar", "answers follow a JSON schema or none");
      return {};
    default:
      return {};
  }
}

function planObject({ hasTools, hasDocuments }: OutputFacts, { report }: WriteContext): OutputPlan {
  if (!hasTools && !hasDocuments) return { responseFormat: { type: "json_object" } };
  report.emulated("output_format.kind", `an instruction: there is no JSON mode beside ${hasTools ? "tools" : "documents"}`);
  return { instruction: "Answer with one JSON object and nothing else: no explanation and no code fence." };
}

function planSchema({ schemaJson, description }: OutputFormat, facts: OutputFacts, context: WriteContext): OutputPlan {
  const { report, state, target } = context;
  const { hasTools, hasDocuments, thinks } = facts;
  const path = "output_format.schema_json";
  const schema = schemaJson.trim() === "" ? new RawJson("{}") : rawJsonObject(schemaJson, path);
  const follows = target.traits.structuredOutput !== false;
  if (follows && !hasTools && !hasDocuments) {
    if (description !== "") report.dropped("output_format.description", "the schema's own descriptions count");
    return { responseFormat: { type: "json_object", json_schema: schema } };
  }
  if (!follows && !hasTools && !thinks && target.traits.tools !== false) {
    report.emulated(path, "a tool that the model must call; its arguments are the answer");
    state.schemaTool = schemaToolName;
    const text = description || "Gives the answer. Call it once, with the whole answer.";
    return { tool: { type: "function", function: { name: schemaToolName, description: text, parameters: schema } } };
  }
  report.emulated(path, "an instruction");
  const about = description === "" ? "" : ` ${description}`;
  return {
    instruction: `Answer with JSON that follows this JSON Schema, and nothing else: no explanation and no code fence.${about}\n${schema.text}`,
  };
}
