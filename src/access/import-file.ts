/**
 * Keys that were made elsewhere, as files hold them: lines of a key file, or the JSON in which nenya keeps `api_keys` and
 * `client_token`. Only digests leave this module.
 */
import { minApiKeyLength } from "../core/access.ts";
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from "../core/json.ts";
import type { Role } from "../core/principal.ts";
import { type KeyFacts, plainKey } from "./key-administration.ts";
import { KeyFileError, readKeyLines, sha256OfKey } from "./key-file.ts";

export interface ForeignKey {
  /** SHA-256 of the key in lower-case hex. */
  readonly hash: string;
  readonly facts: KeyFacts;
  /** Whether it was in use where it comes from. */
  readonly enabled: boolean;
}

/** Roles of other gateways; ours keep their names. */
const roleNames: Readonly<Record<string, Role>> = {
  user: "member",
  "read-only": "viewer",
  readonly: "viewer",
  ...{ viewer: "viewer", member: "member", operator: "operator", admin: "admin", auditor: "auditor" },
};

/** Throws KeyFileError with everything that is wrong. `name` is the file's, for messages. */
export function readImportFile(text: string, name: string): ForeignKey[] {
  return text.trimStart().startsWith("{") ? readJson(text, name) : readLines(text, name);
}

function readLines(text: string, name: string): ForeignKey[] {
  return readKeyLines(text, name).map(({ digest, scopes }) => {
    const roles: Role[] = scopes.includes("*") || scopes.includes("admin") ? ["admin"] : [];
    return { hash: digest, facts: { ...plainKey, roles, scopes }, enabled: true };
  });
}

function readJson(text: string, name: string): ForeignKey[] {
  let document: JsonValue;
  try {
    document = parseJson(text);
  } catch {
    throw new KeyFileError(`${name}: is not valid JSON`);
  }
  if (!isJsonObject(document)) throw new KeyFileError(`${name}: is no JSON object`);
  const problems: string[] = [];
  const { api_keys: list, client_token: token } = document;
  const keys: ForeignKey[] = [];
  for (const [label, entry] of entriesOf(list)) {
    const key = readEntry(label, entry, (message) => problems.push(`${name}: api_keys.${label}: ${message}`));
    if (key !== undefined) keys.push(key);
  }
  if (typeof token === "string" && token !== "") {
    const hash = hashOf(token, (message) => problems.push(`${name}: client_token: ${message}`));
    if (hash !== undefined) keys.push({ hash, facts: { ...plainKey, name: "client_token", roles: ["admin"] }, enabled: true });
  }
  if (problems.length > 0) throw new KeyFileError(problems.join("\n"));
  if (keys.length === 0) throw new KeyFileError(`${name}: holds neither api_keys nor client_token`);
  return keys;
}

/** A list, or an object by name. */
function entriesOf(list: JsonValue | undefined): [string, JsonValue][] {
  if (Array.isArray(list)) return list.map((entry, index) => [String(index), entry]);
  return isJsonObject(list) ? Object.entries(list).flatMap(([name, entry]) => (entry === undefined ? [] : [[name, entry]])) : [];
}

function readEntry(label: string, entry: JsonValue, refuse: (message: string) => void): ForeignKey | undefined {
  const fields: JsonObject | undefined = isJsonObject(entry) ? entry : typeof entry === "string" ? { token: entry } : undefined;
  const token = [fields?.token, fields?.key, fields?.secret].find((value) => typeof value === "string");
  if (fields === undefined || typeof token !== "string") {
    refuse("has no token");
    return undefined;
  }
  const hash = hashOf(token, refuse);
  const roles = textsOf(fields.roles).map((role) => (Object.hasOwn(roleNames, role) ? roleNames[role] : undefined));
  const known = roles.filter((role) => role !== undefined);
  if (known.length < roles.length) refuse(`has an unknown role; known are ${Object.keys(roleNames).join(", ")}`);
  const expiresAt = typeof fields.expires_at === "string" && fields.expires_at !== "" ? Date.parse(fields.expires_at) : undefined;
  if (Number.isNaN(expiresAt)) refuse("expires_at is no time");
  if (hash === undefined) return undefined;
  const name = typeof fields.name === "string" ? fields.name : label;
  const facts = {
    ...plainKey,
    name,
    roles: known,
    models: textsOf(fields.allowed_agents),
    endpoints: textsOf(fields.allowed_endpoints),
    expiresAt,
  };
  return { hash, facts, enabled: fields.enabled !== false };
}

function hashOf(key: string, refuse: (message: string) => void): string | undefined {
  if (key.length >= minApiKeyLength) return sha256OfKey(key);
  refuse(`the key is shorter than ${minApiKeyLength} characters`);
  return undefined;
}

function textsOf(value: JsonValue | undefined): string[] {
  return Array.isArray(value) ? value.filter((entry) => typeof entry === "string") : [];
}
