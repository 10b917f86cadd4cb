import { GatewayError } from "../core/error.ts";

/** One message for every kind of wrong credential: what is wrong with it is the caller's to know. */
export function unauthenticated(): GatewayError {
  return new GatewayError("unauthenticated", "a valid API key is needed; send it as authorization: Bearer KEY", {
    headers: { "www-authenticate": 'Bearer realm="dragoman"' },
  });
}
