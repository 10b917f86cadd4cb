/** Where a client may put the gateway's key (surfaces.md 2.1). None of these is forwarded or logged. */
import { headerOf, type NodeRequest, splitUrl } from "./exchange.ts";

/** Key-only headers, in the order in which they count after Authorization. */
const keyHeaders = ["x-api-key", "x-goog-api-key", "api-key", "x-dragoman-api-key"];

/** The first credential found; undefined where there is none. */
export function readCredential(request: NodeRequest): string | undefined {
  const bearer = /^Bearer +(\S+) *$/i.exec(headerOf(request, "authorization") ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  for (const name of keyHeaders) {
    const value = headerOf(request, name);
    if (value !== undefined && value !== "") return value;
  }
  const { query } = splitUrl(request);
  return query === "" ? undefined : (new URLSearchParams(query).get("key") ?? undefined);
}
