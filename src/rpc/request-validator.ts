/** Holds requests against the rules that stand in the contract (buf.validate). */
import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { pathToString } from "@bufbuild/protobuf/reflect";
import { createValidator } from "@bufbuild/protovalidate";
import { GatewayError } from "../core/error.ts";

export type ValidateRequest = <Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>) => void;

/** Make one and keep it: rules are compiled at a message's first use. The function throws invalid_request with every field's path. */
export function createRequestValidator(): ValidateRequest {
  const validator = createValidator();
  return (schema, message) => {
    const result = validator.validate(schema, message);
    if (result.kind === "valid") return;
    if (result.kind === "error") throw result.error;
    const fields = result.violations.map((violation) => ({ field: pathToString(violation.field), description: violation.message }));
    const [first] = fields;
    const where = first === undefined || first.field === "" ? "" : `${first.field}: `;
    const more = fields.length > 1 ? ` (and ${fields.length - 1} more)` : "";
    throw new GatewayError("invalid_request", `${where}${first?.description ?? "the request breaks a rule of the contract"}${more}`, {
      fields,
    });
  };
}
