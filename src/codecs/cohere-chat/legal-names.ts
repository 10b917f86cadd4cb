/** Names of tools that the API accepts: letters, digits and _, as its guide to tools has it. */
import { legalName, type NameRule } from "../../core/legal-name.ts";

const rule: NameRule = { legal: /^[a-zA-Z0-9_]+$/, illegal: /[^a-zA-Z0-9_]/gu, maxLength: 64 };

export function legalToolName(name: string): string {
  return legalName(name, rule);
}
