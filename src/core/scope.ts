/** What a credential may be used for (surfaces.md 2.2); `*` is everything, `admin` may also read what it administers. */
export const scopes = [
  "chat",
  "embed",
  "models",
  "images",
  "audio",
  "moderation",
  "rerank",
  "a2a",
  "files",
  "batches",
  "passthrough",
  "capture",
  "requests.read",
  "policy.read",
  "policy.write",
  "admin.read",
  "admin",
  "*",
] as const;

export type Scope = (typeof scopes)[number];

const known: ReadonlySet<string> = new Set(scopes);

export function isScope(word: string): word is Scope {
  return known.has(word);
}

/** Whether the scopes of a credential hold one. */
export function holdsScope(held: ReadonlySet<Scope>, wanted: Scope): boolean {
  return held.has(wanted) || held.has("*") || (wanted === "admin.read" && held.has("admin"));
}
