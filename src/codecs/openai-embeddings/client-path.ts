/** Places in the core request in the words of an embeddings request. */
export function clientPath(path: string): string {
  if (path === "attribution.end_user_id") return "user";
  if (path === "types" || path.startsWith("types[")) return "encoding_format";
  return path.replace(/^inputs(\[\d+\])?(?:\.(?:text|tokens|parts)(?:\.ids)?)?/, (_, index: string | undefined) => `input${index ?? ""}`);
}
