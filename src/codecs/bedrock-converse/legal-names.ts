/** Names and ids that the API accepts. */
import { hashedName, legalName as legalNameBy, type NameRule } from "../../core/legal-name.ts";

/** Of tool names and of ids. */
const rule: NameRule = { legal: /^[a-zA-Z0-9_-]+$/, illegal: /[^a-zA-Z0-9_-]/gu, maxLength: 64 };

/** An id of a tool call or a tool's name. */
export function legalName(name: string): string {
  return legalNameBy(name, rule);
}

/** An id for the call that uses one of an earlier turn again; `occurrence` counts from 2. */
export function repeatedId(id: string, occurrence: number): string {
  return hashedName(`${id}#${occurrence}`, rule.illegal, rule.maxLength);
}
