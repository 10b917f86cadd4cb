/** Names and ids that OpenAI accepts: the API's own limits, as its 400 names them ("Expected a string with maximum length 40"). */
import { legalName, type NameRule, shortHash, shortName } from "../../core/legal-name.ts";

/** An empty name is left to the API, which says so. */
const toolNameRule: NameRule = { legal: /^[a-zA-Z0-9_-]*$/, illegal: /[^a-zA-Z0-9_-]/gu, maxLength: 64 };
const maxIdLength = 40;

export function legalToolName(name: string): string {
  return legalName(name, toolNameRule);
}

/** A call's id, of which only the length matters. `exactLength` is for servers that want so many letters and digits. */
export function legalToolId(id: string, exactLength?: number): string {
  if (exactLength === undefined) return shortName(id, maxIdLength);
  return id.length === exactLength && /^[a-zA-Z0-9]+$/.test(id) ? id : shortHash(id, exactLength);
}
