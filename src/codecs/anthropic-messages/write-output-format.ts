/** The shape of the answer in the API's words. */
import type { OutputFormat } from "../../../gen/dragoman/v1/generate_pb.ts";
import { RawJson, type WritableObject } from "../../core/json.ts";
import { planOutput } from "../../core/plan-output.ts";
import { legalToolName } from "./legal-names.ts";
import type { WriteContext } from "./write-context.ts";

/** At most one of them is set. */
export interface FormatPlan {
  /** For `output_config.format`. */
  readonly format?: WritableObject;
  /** The tool that the model is made to call with the answer as its arguments. */
  readonly tool?: WritableObject;
  /** What the model is told at the end of the system text. */
  readonly instruction?: string;
}

/** `isFree`: there are no tools and the model does not think, so that it can be made to call one. */
export function planFormat(format: OutputFormat | undefined, isFree: boolean, { target, report, state }: WriteContext): FormatPlan {
  const compilesSchemas = target.traits.structuredOutput !== false;
  const plan = planOutput(format, { compilesSchemas, describesSchemas: false, canForceCall: isFree }, report);
  switch (plan.kind) {
    case "schema":
      return { format: { type: "json_schema", schema: new RawJson(plan.schemaJson) } };
    case "tool":
      state.schemaTool = legalToolName(plan.name);
      return { tool: { name: state.schemaTool, description: plan.description, input_schema: new RawJson(plan.schemaJson) } };
    case "instruction":
      return { instruction: plan.text };
    default:
      return {};
  }
}
