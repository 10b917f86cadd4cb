/** Names and ids that OpenAI accepts, made from any others in a way that is the same every time (contract.md 1, rule 8). */
import { createHash } from "node:crypto";

/** The API's own limits, as its 400 names them ("Expected a string with maximum length 40"). */
const maxNameLength = 64;
const maxIdLength = 40;
const legal = /^[a-zA-Z0-9_-]+$/;
const illegal = /[^a-zA-Z0-9_-]/gu;

/** A tool's name: itself where legal, else its legal characters and a hash of the whole. */
export function legalToolName(name: string): string {
  if (name === "" || (legal.test(name) && name.length <= maxNameLength)) return name;
  return `${name.replace(illegal, "_").slice(0, maxNameLength - 9)}_${hash(name, 8)}`;
}

/** A call's id, likewise; `exactLength` is for servers that want so many letters and digits. Only the length matters else. */
export function legalToolId(id: string, exactLength?: number): string {
  if (exactLength !== undefined) {
    return id.length === exactLength && /^[a-zA-Z0-9]+$/.test(id) ? id : hash(id, exactLength);
  }
  return id.length <= maxIdLength ? id : `${id.slice(0, maxIdLength - 9)}_${hash(id, 8)}`;
}

function hash(text: string, length: number): string {
  return createHash("sha256").update(text).digest("hex").slice(0, length);
}
