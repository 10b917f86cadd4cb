/** What a credential may be used for (surfaces.md 2.2); `*` is everything. */
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
  "admin",
  "*",
] as const;

export type Scope = (typeof scopes)[number];
