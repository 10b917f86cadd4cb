/** Names and ids that the API accepts. */
import { hashedName, legalName, type NameRule, suffixLength } from "../../core/legal-name.ts";

const illegal = /[^a-zA-Z0-9_-]/gu;
/** Ids have no stated limit. */
const idRule: NameRule = { legal: /^[a-zA-Z0-9_-]+$/, illegal, maxLength: Number.POSITIVE_INFINITY };
const toolNameRule: NameRule = { ...idRule, maxLength: 128 };

/** An id of a tool call. */
export function legalId(id: string): string {
  return legalName(id, idRule);
}

/** An id for the call that uses one of an earlier turn again, which the API refuses; `occurrence` counts from 2. */
export function repeatedId(id: string, occurrence: number): string {
  return hashedName(`${id}#${occurrence}`, illegal, id.length + suffixLength);
}

export function legalToolName(name: string): string {
  return legalName(name, toolNameRule);
}
