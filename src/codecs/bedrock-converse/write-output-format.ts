/** The shape of the answer in the API's words. */
import type { OutputFormat } from "../../../gen/dragoman/v1/generate_pb.ts";
import { RawJson, type WritableObject } from "../../core/json.ts";
import { planOutput } from "../../core/plan-output.ts";
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
export function planFormat(format: OutputFormat | undefined, isFree: boolean, { target, report, state, quirks }: WriteContext): FormatPlan {
  const canForceCall = isFree && target.traits.tools !== false && quirks.forcedChoices.includes("tool");
  const compilesSchemas = target.traits.structuredOutput !== false;
  const plan = planOutput(format, { compilesSchemas, describesSchemas: true, canForceCall }, report);
  switch (plan.kind) {
    case "schema": {
      // The schema is text inside the JSON, not JSON itself.
      const jsonSchema = { schema: plan.schemaJson, name: format?.name || undefined, description: format?.description || undefined };
      return { textFormat: { type: "json_schema", structure: { jsonSchema } } };
    }
    case "tool": {
      state.schemaTool = legalName(plan.name);
      const inputSchema = { json: new RawJson(plan.schemaJson) };
      return { tool: { toolSpec: { name: state.schemaTool, description: plan.description, inputSchema } } };
    }
    case "instruction":
      return { instruction: plan.text };
    default:
      return {};
  }
}
