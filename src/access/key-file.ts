/**
 * The file of API keys (surfaces.md 2.2): per line `<sha256-hex or plaintext> <scope,scope>`, `#` comments. Only digests
 * leave this module.
 */
import { createHash } from "node:crypto";
import { minApiKeyLength } from "../core/access.ts";
import { createPrincipal, type Principal, type Role } from "../core/principal.ts";
import { isScope, type Scope, scopes } from "../core/scope.ts";
import { StartError } from "../core/start-error.ts";

/** What a key may do that names no scopes: everything a user does. */
const defaultScopes: readonly Scope[] = ["chat", "embed", "models"];

/** A key file that cannot be used. The message names the file and the lines, never a key. */
export class KeyFileError extends StartError {
  override readonly name = "KeyFileError";
}

/** SHA-256 of a key in lower-case hex: how keys are kept and found. */
export function sha256OfKey(key: string): string {
  return createHash("sha256").update(key, "utf8").digest("hex");
}

/** The principal of a key, with the role that its scopes need; its name says nothing about the key. */
export function principalOf(digest: string, allowed: Iterable<Scope>): Principal {
  const scopes = new Set(allowed);
  const roles = new Set<Role>([scopes.has("*") || scopes.has("admin") ? "admin" : scopes.has("policy.write") ? "operator" : "member"]);
  return createPrincipal({ id: `apikey:${digest.slice(0, 16)}`, scopes, roles });
}

/** One line of a key file. */
export interface KeyLine {
  /** SHA-256 of the key in lower-case hex. */
  readonly digest: string;
  readonly scopes: readonly Scope[];
}

/** Principals by the digest of their key. Throws KeyFileError with every wrong line. `name` is the file's, for messages. */
export function readKeyFile(text: string, name: string): Map<string, Principal> {
  // Whoever may call may see what there is to call.
  return new Map(readKeyLines(text, name).map(({ digest, scopes }) => [digest, principalOf(digest, [...scopes, "models"])]));
}

/** The same, as it is written. */
export function readKeyLines(text: string, name: string): KeyLine[] {
  const lines: KeyLine[] = [];
  const lineOf = new Map<string, number>();
  const problems: string[] = [];
  for (const [index, line] of linesOf(text).entries()) {
    const [key = "", list, ...rest] = wordsOf(line);
    if (key === "") continue;
    const number = index + 1;
    const refuse = (message: string) => problems.push(`${name}:${number}: ${message}`);
    if (rest.length > 0) {
      refuse("holds more than a key and its scopes; separate scopes by commas, without spaces");
      continue;
    }
    if (!isDigest(key) && key.length < minApiKeyLength) {
      refuse(`the key is shorter than ${minApiKeyLength} characters; use a longer one`);
      continue;
    }
    const digest = isDigest(key) ? key.toLowerCase() : sha256OfKey(key);
    const earlier = lineOf.get(digest);
    if (earlier !== undefined) {
      refuse(`the key stands in line ${earlier} already; keep one of them`);
      continue;
    }
    const scopes = list === undefined ? defaultScopes : readScopes(list, refuse);
    lineOf.set(digest, number);
    if (scopes !== undefined) lines.push({ digest, scopes });
  }
  if (problems.length > 0) throw new KeyFileError(problems.join("\n"));
  return lines;
}

/** The file with every key replaced by its SHA-256, all else as it was. Throws KeyFileError for a file that could not be used. */
export function lockKeyFile(text: string, name: string): { readonly text: string; readonly locked: number } {
  readKeyLines(text, name);
  let locked = 0;
  const out = text.split(/(\r\n|\n|\r)/).map((line) => {
    const [key = ""] = wordsOf(line.replace(/^\uFEFF/, ""));
    if (key === "" || isDigest(key)) return line;
    locked++;
    return line.replace(key, () => sha256OfKey(key));
  });
  return { text: out.join(""), locked };
}

function linesOf(text: string): string[] {
  return text.replace(/^\uFEFF/, "").split(/\r\n|\n|\r/);
}

/** Without the comment. */
function wordsOf(line: string): string[] {
  return line
    .replace(/(?:^|\s)#.*$/, "")
    .trim()
    .split(/\s+/);
}

function isDigest(word: string): boolean {
  return /^[0-9a-f]{64}$/i.test(word);
}

/** The word is not repeated: on a line whose parts are swapped it is the key. */
function readScopes(list: string, refuse: (message: string) => void): Scope[] | undefined {
  const words = list.split(",");
  if (words.every(isScope)) return words;
  refuse(`names an unknown scope; known are ${scopes.join(", ")}`);
  return undefined;
}
