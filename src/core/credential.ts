/** Where a client may put the gateway's key (surfaces.md 2.1), on every surface alike. None of these is forwarded or logged. */

/** Headers that hold a key alone, in the order in which they count after Authorization. */
const keyHeaders = ["x-api-key", "x-goog-api-key", "api-key", "x-dragoman-api-key"];

/** The first credential found; undefined where there is none. `header` takes a lower-case name; absent is undefined or null. */
export function readCredential(header: (name: string) => string | null | undefined): string | undefined {
  const bearer = /^Bearer +(\S+) *$/i.exec(header("authorization") ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  for (const name of keyHeaders) {
    const value = header(name);
    if (value !== undefined && value !== null && value !== "") return value;
  }
  return undefined;
}
