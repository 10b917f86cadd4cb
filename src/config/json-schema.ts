/** The JSON Schema that editors complete and check configuration files by. */
import { z } from "zod";
import { configSchema } from "./schema.ts";

/** Draft 7: what the YAML and JSON language servers know best. Numbers and switches may also be `${NAME}`. */
export function configJsonSchema(): Record<string, unknown> {
  const schema: Record<string, unknown> = z.toJSONSchema(configSchema, {
    io: "input",
    target: "draft-7",
    override: ({ jsonSchema }) => {
      const { type, minimum, maximum } = jsonSchema;
      if (type !== "integer" && type !== "number" && type !== "boolean") return;
      const plain = { type, ...(minimum === undefined ? {} : { minimum }), ...(maximum === undefined ? {} : { maximum }) };
      for (const key of ["type", "minimum", "maximum"] as const) delete jsonSchema[key];
      jsonSchema.anyOf = [plain, { type: "string", pattern: "^\\$\\{[A-Za-z_][A-Za-z0-9_]*(:-[^}]*)?\\}$" }];
    },
  });
  const properties = schema.properties as Record<string, unknown>;
  return { ...schema, title: "Dragoman configuration", properties: { $schema: { type: "string" }, ...properties } };
}
