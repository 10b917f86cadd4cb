/** `dragoman models`: what a running gateway offers, asked over Connect like any client would. */
import { exitCodes, StartError } from "../core/start-error.ts";
import type { Command } from "./command.ts";
import { table } from "./terminal.ts";

/** As Connect's JSON has it: default values are left out. */
interface ListedModel {
  readonly id?: string;
  readonly ownedBy?: string;
  readonly kinds?: readonly string[];
  readonly providers?: readonly string[];
  readonly isRoute?: boolean;
  readonly routingStrategy?: string;
  readonly contextWindow?: number;
}

interface ModelPage {
  readonly models?: readonly ListedModel[];
  readonly nextPageToken?: string;
}

const timeoutMs = 10_000;
/** More pages than this is a server that repeats itself. */
const maxPages = 1_000;

export const models: Command = {
  name: "models",
  about: "list the models of a running gateway",
  options: {
    url: { value: "URL", about: "its data port; by default http://127.0.0.1:8080, or PORT" },
    key: { value: "KEY", about: "API key; DRAGOMAN_API_KEY is safer, other users can see arguments" },
    json: { about: "as JSON, with everything that is known of each model" },
  },
  async run({ options, switches }, { env, write }) {
    const url = options.url ?? `http://127.0.0.1:${env.PORT || "8080"}`;
    const listed = await listModels(url, options.key ?? (env.DRAGOMAN_API_KEY || undefined));
    write(switches.has("json") ? `${JSON.stringify(listed, null, 2)}\n` : `${describeModels(listed)}\n`);
    return exitCodes.ok;
  },
};

async function listModels(url: string, key: string | undefined): Promise<ListedModel[]> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new StartError("--url takes an http or https URL, such as http://127.0.0.1:8080", exitCodes.usage);
  }
  const endpoint = new URL(`${url.replace(/(?<!\/)\/+$/, "")}/dragoman.v1.InferenceService/ListModels`);
  const listed: ListedModel[] = [];
  let pageToken = "";
  for (let page = 0; page < maxPages; page++) {
    const { models: some = [], nextPageToken = "" } = await askPage(endpoint, pageToken, key);
    listed.push(...some);
    if (nextPageToken === "") break;
    pageToken = nextPageToken;
  }
  return listed;
}

async function askPage(endpoint: URL, pageToken: string, key: string | undefined): Promise<ModelPage> {
  const headers: Record<string, string> = { "content-type": "application/json", "connect-protocol-version": "1" };
  if (key !== undefined) headers.authorization = `Bearer ${key}`;
  let response: Response;
  try {
    response = await fetch(endpoint, {
      method: "POST",
      headers,
      body: JSON.stringify(pageToken === "" ? {} : { pageToken }),
      signal: AbortSignal.timeout(timeoutMs),
      redirect: "error",
    });
  } catch (error) {
    throw new StartError(
      `no gateway answers at ${endpoint.origin} (${reasonOf(error)}); start one with \`dragoman serve\`, or name it with --url`,
      exitCodes.unavailable,
      error,
    );
  }
  const body: unknown = await response.json().catch(() => undefined);
  if (response.ok && isPage(body)) return body;
  if (response.status === 401) {
    throw new StartError(
      `the gateway at ${endpoint.origin} wants a valid API key; set DRAGOMAN_API_KEY or give --key`,
      exitCodes.unavailable,
    );
  }
  const message =
    typeof body === "object" && body !== null && "message" in body && typeof body.message === "string" ? `: ${body.message}` : "";
  throw new StartError(
    `${endpoint.origin} answered with HTTP ${response.status}${message}; is it a Dragoman data port?`,
    exitCodes.unavailable,
  );
}

function isPage(body: unknown): body is ModelPage {
  return typeof body === "object" && body !== null && (!("models" in body) || Array.isArray(body.models));
}

/** fetch hides the reason in its cause. */
function reasonOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  if (!(cause instanceof Error)) return "unknown error";
  return "code" in cause && typeof cause.code === "string" ? cause.code : cause.message;
}

function describeModels(listed: readonly ListedModel[]): string {
  if (listed.length === 0) return "no models: configure a provider, or set a vendor's key";
  const rows = listed.map(({ id = "", kinds = [], providers = [], isRoute = false, routingStrategy = "", contextWindow }) => [
    id,
    kinds.map((kind) => kind.replace(/^MODEL_KIND_/, "").toLowerCase()).join(",") || "-",
    isRoute ? `${routingStrategy || "alias"} of ${providers.join(",")}` : providers.join(",") || "-",
    contextWindow === undefined ? "-" : String(contextWindow),
  ]);
  return table([["MODEL", "KIND", "PROVIDER", "CONTEXT"], ...rows]);
}
