/** Where an RPC client puts its key (surfaces.md 2.1). */
const keyHeaders = ["x-api-key", "x-goog-api-key", "api-key", "x-dragoman-api-key"];

/** Authorization wins; undefined where there is none. */
export function readCredential(headers: Headers): string | undefined {
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  for (const name of keyHeaders) {
    const value = headers.get(name);
    if (value !== null && value !== "") return value;
  }
  return undefined;
}
