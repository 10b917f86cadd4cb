/** The shape of the answer: by the API's own schema, by a tool that stands for it, or by an instruction. */
import { Modality, type OutputFormat, OutputKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { jsonText, RawJson, type WritableObject } from "../../core/json.ts";
import { readJsonObject } from "../../core/json-field.ts";
import { adaptSchema } from "../../core/json-schema-subset.ts";
import { legalName } from "./legal-names.ts";
import type { WriteContext } from "./write-context.ts";

/** At most one of them is set. */
export interface FormatPlan {
  /** For `outputConfig.textFormat`. */
  readonly textFormat?: WritableObject;
  /** The tool that the model is made to call with the answer as its arguments. */
  readonly tool?: WritableObject;
  /** What the model is told at the end of the system text. */
  readonly instruction?: string;
}

/** `isFree`: there are no tools and the model does not think, so that it can be made to call one. */
export function planFormat(format: OutputFormat | undefined, isFree: boolean, context: WriteContext): FormatPlan {
  if (format === undefined) return {};
  const { report } = context;
  if (format.verbosity !== 0) report.dropped("output_format.verbosity", "not offered");
  format.modalities.forEach((modality, index) => {
    if (modality !== Modality.TEXT) report.refused(`output_format.modalities[${index}]`, "answers are text");
  });
  if (format.audio !== undefined) report.dropped("output_format.audio", "answers are text");
  switch (format.kind) {
    case OutputKind.JSON_OBJECT:
      report.emulated("output_format.kind", "an instruction");
      return { instruction: "Answer with one JSON object and nothing else: no explanation and no code fence." };
    case OutputKind.JSON_SCHEMA:
      return planSchema(format, isFree, context);
    case OutputKind.GRAMMAR:
      report.refused("output_format.grammar", "answers follow a JSON schema or none");
      return {};
    default:
      return {};
  }
}

function planSchema({ schemaJson, name, description }: OutputFormat, isFree: boolean, context: WriteContext): FormatPlan {
  const { target, report, state, quirks } = context;
  const path = "output_format.schema_json";
  const schema = readJsonObject(schemaJson, path);
  if (target.traits.structuredOutput !== false) {
    const { schema: adapted, changed } = adaptSchema(schema);
    if (changed.length > 0)
      report.coerced(path, `not taken as they were, and described in words where they say more: ${changed.join(", ")}`);
    const jsonSchema: WritableObject = {
      // The schema is text inside the JSON, not JSON itself.
      schema: changed.length > 0 ? jsonText(adapted) : schemaJson,
      name: name || undefined,
      description: description || undefined,
    };
    return { textFormat: { type: "json_schema", structure: { jsonSchema } } };
  }
  const canForce = target.traits.tools !== false && quirks.forcedChoices.includes("tool");
  if (isFree && canForce && schema.type === "object") {
    report.emulated(path, "a tool that the model must call; its arguments are the answer");
    state.schemaTool = legalName(name || "answer");
    const text = description || "Gives the answer. Call it once, with the whole answer.";
    return { tool: { toolSpec: { name: state.schemaTool, description: text, inputSchema: { json: new RawJson(schemaJson) } } } };
  }
  report.emulated(path, "an instruction");
  const about = description === "" ? "" : ` ${description}`;
  return {
    instruction: `Answer with JSON that follows this JSON Schema, and nothing else: no explanation and no code fence.${about}\n${jsonText(schema)}`,
  };
}
