/** google.protobuf.FieldMask of an update: which fields of the record change. */
import type { FieldMask } from "@bufbuild/protobuf/wkt";
import { GatewayError } from "../../core/error.ts";

/**
 * The paths of a mask, each once. `changeable` are the names as the contract writes them (snake_case). Throws
 * invalid_request where the mask is empty or names anything else.
 */
export function readUpdateMask<Name extends string>(mask: FieldMask | undefined, changeable: readonly Name[]): ReadonlySet<Name> {
  const paths = mask?.paths ?? [];
  if (paths.length === 0) refuse("update_mask", "is empty; name the fields that change");
  const names = new Set<Name>();
  for (const [index, path] of paths.entries()) {
    const name = changeable.find((candidate) => candidate === path);
    if (name === undefined) refuse(`update_mask.paths[${index}]`, `cannot be changed; these can: ${changeable.join(", ")}`);
    else names.add(name);
  }
  return names;
}

function refuse(field: string, description: string): never {
  throw new GatewayError("invalid_request", `${field}: ${description}`, { fields: [{ field, description }] });
}
