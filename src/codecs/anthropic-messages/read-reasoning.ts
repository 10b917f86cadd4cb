/** How the model shall think and in which shape it shall answer: `thinking` and `output_config`. */
import { create } from "@bufbuild/protobuf";
import {
  type OutputFormat,
  OutputFormatSchema,
  OutputKind,
  type Reasoning,
  ReasoningDisplay,
  ReasoningSchema,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { Fields } from "../../core/fields.ts";
import { isJsonObject } from "../../core/json.ts";
import { efforts, thinkingModes } from "./wire.ts";

const displays: Readonly<Record<string, ReasoningDisplay>> = {
  summarized: ReasoningDisplay.SUMMARY,
  omitted: ReasoningDisplay.OMITTED,
};

export interface Output {
  readonly reasoning: Reasoning | undefined;
  readonly format: OutputFormat | undefined;
}

export function readOutput(body: Fields): Output {
  const config = body.object("output_config");
  const effort = config?.knownWord("effort", efforts);
  const format = readFormat(config, "format");
  // The beta's name of the same; read where both are given, so that it does not go upstream as an unknown field.
  const oldFormat = readFormat(body, "output_format");
  const thinking = readThinking(body);
  const reasoning = thinking ?? (effort === undefined ? undefined : create(ReasoningSchema));
  if (reasoning !== undefined && effort !== undefined) reasoning.effort = effort;
  return { reasoning, format: format ?? oldFormat };
}

/** Undefined also for a type that is not known here: it stays unread, so that it survives in extras. */
function readThinking(body: Fields): Reasoning | undefined {
  const value = body.peek("thinking");
  if (isJsonObject(value) && typeof value.type === "string" && !Object.hasOwn(thinkingModes, value.type)) return undefined;
  const thinking = body.object("thinking");
  if (thinking === undefined) return undefined;
  const mode = thinkingModes[thinking.requiredString("type")];
  const budgetTokens = thinking.integer("budget_tokens");
  const display = thinking.knownWord("display", displays);
  return create(ReasoningSchema, {
    ...(mode === undefined ? {} : { mode }),
    ...(budgetTokens === undefined ? {} : { budgetTokens }),
    ...(display === undefined ? {} : { display }),
  });
}

function readFormat(owner: Fields | undefined, name: string): OutputFormat | undefined {
  const value = owner?.peek(name);
  if (owner === undefined || value === undefined) return undefined;
  if (isJsonObject(value) && typeof value.type === "string" && value.type !== "json_schema") return undefined;
  const format = owner.object(name);
  format?.requiredString("type");
  const schemaJson = format?.objectText("schema") ?? owner.fail(name, "must have a schema");
  return create(OutputFormatSchema, { kind: OutputKind.JSON_SCHEMA, schemaJson });
}
