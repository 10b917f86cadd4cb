/** The shape of the answer on targets of text: by a schema that the API compiles, by a tool that stands for it, or by words. */
import { Modality, type OutputFormat, OutputKind } from "../../gen/dragoman/v1/generate_pb.ts";
import { jsonText } from "./json.ts";
import { readJsonObject } from "./json-field.ts";
import { adaptSchema } from "./json-schema-subset.ts";
import type { TranslationReport } from "./translation.ts";

export interface OutputAbilities {
  /** The API holds the model to a schema. */
  readonly compilesSchemas: boolean;
  /** The API takes a description beside the schema. */
  readonly describesSchemas: boolean;
  /** The model can be made to call a tool. */
  readonly canForceCall: boolean;
}

export type OutputPlan =
  | { readonly kind: "free" }
  | { readonly kind: "schema"; readonly schemaJson: string }
  /** The model is made to call this tool with the answer as its arguments. `name` need not be legal. */
  | { readonly kind: "tool"; readonly name: string; readonly description: string; readonly schemaJson: string }
  /** What the model is told at the end of the system text. */
  | { readonly kind: "instruction"; readonly text: string };

/** Reports what is lost or done by other means. Throws invalid_request where the schema is no JSON object. */
export function planOutput(format: OutputFormat | undefined, abilities: OutputAbilities, report: TranslationReport): OutputPlan {
  if (format === undefined) return { kind: "free" };
  if (format.verbosity !== 0) report.dropped("output_format.verbosity", "not offered");
  format.modalities.forEach((modality, index) => {
    if (modality !== Modality.TEXT) report.refused(`output_format.modalities[${index}]`, "answers are text");
  });
  if (format.audio !== undefined) report.dropped("output_format.audio", "answers are text");
  switch (format.kind) {
    case OutputKind.JSON_OBJECT:
      report.emulated("output_format.kind", "an instruction");
      return { kind: "instruction", text: "Answer with one JSON object and nothing else: no explanation and no code fence." };
    case OutputKind.JSON_SCHEMA:
      return planSchema(format, abilities, report);
    case OutputKind.GRAMMAR:
      report.refused("output_format.grammar", "answers follow a JSON schema or none");
      return { kind: "free" };
    default:
      return { kind: "free" };
  }
}

function planSchema(
  { schemaJson, name, description }: OutputFormat,
  { compilesSchemas, describesSchemas, canForceCall }: OutputAbilities,
  report: TranslationReport,
): OutputPlan {
  const path = "output_format.schema_json";
  const schema = readJsonObject(schemaJson, path);
  if (compilesSchemas) {
    if (description !== "" && !describesSchemas) report.dropped("output_format.description", "the schema's own descriptions count");
    const { schema: adapted, changed } = adaptSchema(schema);
    if (changed.length > 0)
      report.coerced(path, `not taken as they were, and described in words where they say more: ${changed.join(", ")}`);
    return { kind: "schema", schemaJson: changed.length > 0 ? jsonText(adapted) : schemaJson };
  }
  if (canForceCall && schema.type === "object") {
    report.emulated(path, "a tool that the model must call; its arguments are the answer");
    const told = description || "Gives the answer. Call it once, with the whole answer.";
    return { kind: "tool", name: name || "answer", description: told, schemaJson };
  }
  report.emulated(path, "an instruction");
  const about = description === "" ? "" : ` ${description}`;
  const rule = "Answer with JSON that follows this JSON Schema, and nothing else: no explanation and no code fence.";
  return { kind: "instruction", text: `${rule}${about}\n${jsonText(schema)}` };
}
