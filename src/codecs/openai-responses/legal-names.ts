/** Names and ids that the API accepts. */
import { legalName, type NameRule, shortName } from "../../core/legal-name.ts";

/** An empty name is left to the API, which says so. */
const toolNameRule: NameRule = { legal: /^[a-zA-Z0-9_-]*$/, illegal: /[^a-zA-Z0-9_-]/gu, maxLength: 64 };
const maxIdLength = 64;

export function legalToolName(name: string): string {
  return legalName(name, toolNameRule);
}

/** A call's id: only its length matters. */
export function legalCallId(id: string): string {
  return shortName(id, maxIdLength);
}
