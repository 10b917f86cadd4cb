/** Fetches media that a client gave by URL, for upstreams that take only data. The egress rules of reliability.md hold. */
export interface FetchedMedia {
  readonly data: Uint8Array;
  /** Without parameters, lower case; empty where the server did not say. */
  readonly mediaType: string;
}

export interface MediaFetcher {
  /** Throws GatewayError invalid_request (a URL that must not be fetched, not there, too large) or provider_error. */
  fetch(url: string, signal: AbortSignal): Promise<FetchedMedia>;
}
