/** Small JSON documents of hosts that the configuration names, such as an issuer's keys; by the client and the egress rule of providers. */
import { GatewayError } from "../core/error.ts";
import { HttpClient } from "./http-client.ts";

export interface FetchJsonOptions {
  /** Origins that stand in the configuration: only these may be private. */
  readonly configuredOrigins: ReadonlySet<string>;
  readonly userAgent: string;
  /** Longest time until the whole document is there; by default 10 s. */
  readonly timeoutMs?: number;
}

const maxBytes = 1_048_576;

/** Rejects for anything but a 200 with JSON; redirects are not followed. Each call has a connection of its own. */
export function createFetchJson({ configuredOrigins, userAgent, timeoutMs = 10_000 }: FetchJsonOptions): (url: URL) => Promise<unknown> {
  return async (url) => {
    const client = new HttpClient({ origin: url, allowPrivate: configuredOrigins.has(url.origin), poolSize: 1 });
    try {
      const reply = await client.send({
        method: "GET",
        path: `${url.pathname}${url.search}`,
        headers: { accept: "application/json", "user-agent": userAgent },
        signal: AbortSignal.timeout(timeoutMs),
        whole: true,
        totalMs: timeoutMs,
      });
      if (reply.status !== 200) throw new GatewayError("provider_error", `${url.origin} answered ${reply.status}`);
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of reply.body) {
        bytes += chunk.byteLength;
        if (bytes > maxBytes) throw new GatewayError("provider_error", `${url.origin} answered more than ${maxBytes} bytes`);
        chunks.push(chunk);
      }
      return JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown;
    } finally {
      await client.close();
    }
  };
}
