/**
 * Fetches what clients name by URL, where the operator allowed it (reliability.md 2.5): public addresses only, or hosts
 * that the configuration names; no redirects; by connections of its own, which carry no credential of anybody.
 */
import type { Clock } from "../core/clock.ts";
import { GatewayError } from "../core/error.ts";
import type { FetchedMedia, MediaFetcher } from "../core/media-fetcher.ts";
import { sniffMediaType } from "../core/media-type.ts";
import type { Resolve } from "./egress.ts";
import { HttpClient, type HttpReply } from "./http-client.ts";
import { mediaType, openBody } from "./http-reply.ts";
import { TransportFailure } from "./transport-failure.ts";

export interface MediaFetcherOptions {
  /** Of one file. */
  readonly maxBytes: number;
  /** For one file, from the look-up of its host's name to its last byte, in milliseconds. */
  readonly timeoutMs: number;
  /** `host:port` of servers that may be asked although they are inside, and on ports that are not usual. */
  readonly privateHosts: readonly string[];
  /** `dragoman/1.2.3`. */
  readonly userAgent: string;
  readonly resolve?: Resolve | undefined;
  readonly clock?: Clock | undefined;
}

/** What media may call itself. What is inside decides, where that can be seen. */
const expectedTypes = /^(?:image|audio|video|text)\/|^application\/(?:pdf|json|xml|octet-stream)$|^$/;

/** Messages name the host, never the path or query: those are the client's. */
export function createMediaFetcher(options: MediaFetcherOptions): MediaFetcher {
  const { maxBytes, timeoutMs, privateHosts, userAgent, resolve, clock } = options;
  const isNamed = (url: URL) => privateHosts.includes(hostAndPort(url));
  return {
    async fetch(text, signal) {
      const url = readUrl(text);
      if (!isNamed(url) && url.port !== "") throw refused(`${url.host} is not asked: media comes from the usual ports, 443 and 80`);
      const client = new HttpClient({
        origin: url,
        allowPrivate: isNamed(url),
        poolSize: 1,
        timeouts: { totalMs: timeoutMs },
        resolve,
        clock,
      });
      try {
        const reply = await client.send({
          method: "GET",
          path: url.pathname + url.search,
          headers: { accept: "*/*", "accept-encoding": "identity", "user-agent": userAgent },
          signal,
          whole: true,
        });
        return await read(reply, url, client.origin);
      } catch (thrown) {
        throw explain(thrown, url);
      } finally {
        await client.close();
      }
    },
  };

  async function read(reply: HttpReply, { host }: URL, origin: string): Promise<FetchedMedia> {
    const { status } = reply;
    if (status >= 300 && status < 400) throw refused(`${host} answers with a redirect, which is not followed: give the final address`);
    if (status >= 500) throw new GatewayError("provider_error", `${host} answered ${status} when asked for media`, { undispatched: true });
    if (status !== 200) throw refused(`${host} answered ${status}`);
    const said = mediaType(reply);
    if (!expectedTypes.test(said)) throw refused(`${host} sent something that is no media`);
    const tooLarge = () => refused(`what ${host} sends is larger than ${maxBytes} bytes, the most that is fetched`);
    if (Number(reply.header("content-length") ?? 0) > maxBytes) throw tooLarge();
    const body = openBody(reply, origin);
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      for (;;) {
        const { done, value } = await body.next();
        if (done === true) break;
        chunks.push(value);
        length += value.length;
        if (length > maxBytes) throw tooLarge();
      }
    } finally {
      await body.return();
    }
    if (length === 0) throw refused(`${host} sent nothing`);
    const data = new Uint8Array(Buffer.concat(chunks));
    return { data, mediaType: sniffMediaType(data) ?? (said === "application/octet-stream" ? "" : said) };
  }
}

function readUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null) throw refused("is not a URL");
  if (url.protocol !== "https:" && url.protocol !== "http:") throw refused("must be an http or https address, or data");
  if (url.username !== "" || url.password !== "") throw refused("must not hold a user name or password");
  return url;
}

function hostAndPort({ hostname, port, protocol }: URL): string {
  return `${hostname}:${port || (protocol === "https:" ? "443" : "80")}`;
}

/** The client's fault where its address is none that may be asked; else the media server's. Nothing was sent to a model. */
function explain(thrown: unknown, { host }: URL): unknown {
  if (!(thrown instanceof GatewayError) || thrown.reason === "invalid_request" || thrown.reason === "cancelled") return thrown;
  const { cause } = thrown.details;
  const kind = cause instanceof TransportFailure ? cause.kind : undefined;
  if (kind === "egress_refused") return refused(`${host} is not asked: its address is not public`);
  if (kind === "dns") return refused(`${host} has no address`);
  return new GatewayError(thrown.reason, `the media of a message cannot be fetched: ${thrown.message}`, {
    cause: thrown,
    undispatched: true,
  });
}

function refused(message: string): GatewayError {
  return new GatewayError("invalid_request", message, { undispatched: true });
}
