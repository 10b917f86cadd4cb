/**
 * Where the commands that read records find them: in the store of a configuration, opened beside the gateways that write it;
 * where records are in a gateway's memory alone, over its admin port.
 */
import { Code, ConnectError, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { silentLog } from "../core/log.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import { type Arguments, type Option, UsageError } from "./command.ts";
import type { Terminal } from "./terminal.ts";

export const recordOptions: Readonly<Record<string, Option>> = {
  json: { about: "as JSON, a record a line" },
  tenant: { value: "NAME", about: "the tenant; default by default" },
  config: { value: "FILE", about: "a .yaml, .json or .toml file, or a directory of them (DRAGOMAN_CONFIG)" },
  url: { value: "URL", about: "ask this admin port instead of the store" },
  key: { value: "KEY", about: "for the admin port; DRAGOMAN_API_KEY is safer, other users can see arguments" },
};

export const recordPlace = `Read is the store of \`dragoman serve\` with the same configuration: DATABASE_URL, else the file in DRAGOMAN_DATA_DIR.
Where neither is set, records are in the memory of the gateway that runs: its admin port is asked, at the
configured address (127.0.0.1:9091, or ADMIN_PORT).`;

/** Times out what a gateway does not answer; a stream that is watched goes on as long as somebody reads it. */
const timeoutMs = 15_000;

export interface Records {
  readonly transport: Transport;
  readonly config: Config;
}

/** Gives the exit code. Throws StartError for what cannot be reached or is refused. */
export async function withRecords({ options }: Arguments, terminal: Terminal, run: (records: Records) => Promise<void>): Promise<number> {
  const { knownNames } = await import("../app/known-names.ts");
  const { sharesRecords } = await import("../app/open-stores.ts");
  const { env, cwd } = terminal;
  const config = loadConfig({ file: options.config, env, cwd, known: knownNames(env) });
  if (options.url === undefined && sharesRecords(config)) {
    const { openRecordTools } = await import("../app/open-record-tools.ts");
    const tools = await openRecordTools(config, silentLog);
    try {
      await run({ transport: tools.transport, config }).catch((thrown: unknown) => {
        throw explain(thrown, "the store");
      });
    } finally {
      await tools.close();
    }
    return exitCodes.ok;
  }
  const url = options.url ?? adminUrl(config);
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new UsageError("--url takes an http or https URL, such as http://127.0.0.1:9091");
  }
  const key = options.key ?? (env.DRAGOMAN_API_KEY || undefined);
  const transport = createConnectTransport({
    baseUrl: url,
    httpVersion: "1.1",
    defaultTimeoutMs: timeoutMs,
    interceptors: key === undefined ? [] : [withKey(key)],
  });
  await run({ transport, config }).catch((thrown: unknown) => {
    throw explain(thrown, `the gateway at ${new URL(url).origin}`);
  });
  return exitCodes.ok;
}

function withKey(key: string): Interceptor {
  return (next) => (request) => {
    request.header.set("authorization", `Bearer ${key}`);
    return next(request);
  };
}

function adminUrl({ server: { listen_admin: admin, tls } }: Config): string {
  const host = admin.host === "" || admin.host === "0.0.0.0" || admin.host === "::" ? "127.0.0.1" : admin.host;
  return `${tls === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${admin.port}`;
}

const advice: Readonly<Partial<Record<Code, string>>> = {
  [Code.Unavailable]: "is away; start it, set DRAGOMAN_DATA_DIR or DATABASE_URL to read a store, or name an admin port with --url",
  [Code.DeadlineExceeded]: "does not answer in time; try again",
  [Code.Unauthenticated]: "wants a valid API key; set DRAGOMAN_API_KEY or give --key",
  [Code.Unimplemented]: "knows no such service; is it a Dragoman admin port?",
};

function explain(thrown: unknown, who: string): unknown {
  if (!(thrown instanceof ConnectError)) return thrown;
  const what = advice[thrown.code];
  const isUsage = thrown.code === Code.InvalidArgument || thrown.code === Code.NotFound;
  return new StartError(
    what === undefined ? thrown.rawMessage : `${who} ${what}`,
    isUsage ? exitCodes.usage : exitCodes.unavailable,
    thrown,
  );
}
