/**
 * Finds OpenAI-compatible servers on this machine: a declared, switchable exception to the rule that nothing connects to
 * what configuration did not name. Loopback only, the well-known ports only, and never the gateway's own listeners.
 */
import type { JsonValue } from "../core/json.ts";
import { parseJson, upstreamJsonLimits } from "../core/json.ts";
import { HttpClient } from "./http-client.ts";
import { httpLimits } from "./http-limits.ts";
import { isJson, mediaType, readText } from "./http-reply.ts";
import { readOpenAiModels } from "./model-list.ts";

/** A server that is looked for. */
export interface LocalServer {
  /** Provider type and default name. */
  readonly type: string;
  /** Base URL, for example `http://127.0.0.1:11434/v1`. */
  readonly baseUrl: string;
}

export interface DiscoveredServer extends LocalServer {
  readonly name: string;
  /** Ids as the server lists them. */
  readonly models: readonly string[];
}

export interface DiscoveryOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ports of this gateway's own listeners. */
  readonly ownPorts: readonly number[];
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for one server. */
  readonly timeoutMs?: number | undefined;
  /** Servers to look for instead of the well-known ones. */
  readonly servers?: readonly LocalServer[] | undefined;
}

const discoveryTimeoutMs = 700;

/** Documented default ports; the first that answers gets the plain name. */
const wellKnown: readonly LocalServer[] = [
  { type: "ollama", baseUrl: "http://127.0.0.1:11434/v1" },
  { type: "llamacpp", baseUrl: "http://127.0.0.1:8080/v1" },
  { type: "vllm", baseUrl: "http://127.0.0.1:8000/v1" },
  { type: "lmstudio", baseUrl: "http://127.0.0.1:1234/v1" },
];

/** The servers that answer, in order. Never throws; all are asked at once. */
export async function discoverLocalServers(options: DiscoveryOptions): Promise<DiscoveredServer[]> {
  const servers = options.servers ?? wellKnownServers(options.env);
  const wanted = servers.filter(({ baseUrl }) => !options.ownPorts.includes(portOf(new URL(baseUrl))));
  const found = await Promise.all(wanted.map((server) => ask(server, options)));
  return found.filter((server) => server !== undefined);
}

/** OLLAMA_HOST first (as Ollama reads it: host, host:port or URL), as far as it is on this machine. */
export function wellKnownServers(env: Readonly<Record<string, string | undefined>>): LocalServer[] {
  const stated = ollamaAddress(env.OLLAMA_HOST ?? "");
  if (stated === undefined) return [...wellKnown];
  const others = wellKnown.filter(({ type, baseUrl }) => type !== "ollama" && portOf(new URL(baseUrl)) !== portOf(new URL(stated)));
  return [{ type: "ollama", baseUrl: stated }, ...others];
}

function ollamaAddress(host: string): string | undefined {
  if (host.trim() === "") return undefined;
  const text = /^https?:\/\//.test(host) ? host : `http://${host.startsWith(":") ? `127.0.0.1${host}` : host}`;
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  if (url.protocol !== "http:") return undefined;
  // What a server listens on, every address, is no address to connect to.
  if (url.hostname === "0.0.0.0" || url.hostname === "[::]") url.hostname = "127.0.0.1";
  if (url.hostname !== "localhost" && url.hostname !== "[::1]" && !url.hostname.startsWith("127.")) return undefined;
  if (url.port === "" && !/:80(?:\/|$)/.test(text)) url.port = "11434";
  return `${url.origin}/v1`;
}

async function ask(server: LocalServer, options: DiscoveryOptions): Promise<DiscoveredServer | undefined> {
  const timeoutMs = options.timeoutMs ?? discoveryTimeoutMs;
  const url = new URL(server.baseUrl);
  const client = new HttpClient({ origin: url, allowPrivate: true, timeouts: { connectMs: timeoutMs, totalMs: timeoutMs }, poolSize: 1 });
  try {
    const reply = await client.send({
      method: "GET",
      path: `${url.pathname.replace(/(?<!\/)\/+$/, "")}/models`,
      headers: { accept: "application/json", "accept-encoding": "identity" },
      signal: options.signal ?? new AbortController().signal,
      whole: true,
    });
    if (reply.status !== 200 || !isJson(mediaType(reply))) return undefined;
    const body: JsonValue = parseJson(await readText(reply, client.origin, httpLimits.maxModelListBytes), upstreamJsonLimits);
    const { models } = readOpenAiModels(body, server.type);
    return { ...server, name: server.type, models: models.map(({ id }) => id) };
  } catch {
    // Not there, or not such a server: the usual case.
    return undefined;
  } finally {
    await client.close();
  }
}

function portOf({ port, protocol }: URL): number {
  if (port !== "") return Number(port);
  return protocol === "https:" ? 443 : 80;
}
