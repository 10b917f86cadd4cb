/** `dragoman serve`: configuration, the app, the banner, and a graceful end. */
import type { RunningApp } from "../app.ts";
import { checkBind } from "../config/check-bind.ts";
import { writeListenAddress } from "../config/listen-address.ts";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import type { Logger } from "../core/log.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import { createLogger } from "../telemetry/log.ts";
import { version } from "../version.ts";
import { banner, firstKeyNote } from "./banner.ts";
import type { Command } from "./command.ts";
import { waitForSignal } from "./stop-signal.ts";

export const serve: Command = {
  name: "serve",
  about: "run the gateway",
  options: {
    host: { value: "HOST", about: "host of the data port; beyond loopback it needs auth (HOST)" },
    port: { value: "PORT", about: "data port, 8080 by default; 0 takes a free one (PORT)" },
    "admin-host": { value: "HOST", about: "host of the admin port (ADMIN_HOST)" },
    "admin-port": { value: "PORT", about: "admin port, 9091 by default (ADMIN_PORT)" },
    config: { value: "FILE", about: "a .yaml, .json or .toml file, or a directory of them (DRAGOMAN_CONFIG)" },
    "log-level": { value: "LEVEL", about: "trace, debug, info, warn, error, fatal or silent (LOG_LEVEL)" },
  },
  details: `Flags win over the environment, the environment over the file, the file over the defaults. Any field of the
file can be set as DRAGOMAN__SECTION__KEY, as in DRAGOMAN__SERVER__DRAIN_SECONDS=30. DRAGOMAN_API_KEY sets one
key for callers; without a key only this machine is served.

The log is JSON on stderr. SIGTERM and Ctrl-C let running calls finish; a second one ends them.`,
  async run({ options }, terminal) {
    const { env, cwd } = terminal;
    const flags = {
      host: options.host,
      port: options.port,
      admin_host: options["admin-host"],
      admin_port: options["admin-port"],
      log_level: options["log-level"],
    };
    const { knownNames } = await import("../app.ts");
    const config = loadConfig({ file: options.config, flags, env, cwd, known: knownNames(env) });
    checkBind(config);
    const log = createLogger({ level: config.log_level, node: config.server.node });
    endOnFault(log);
    const app = await start(config, env, log);
    const facts = { version, app, reflection: config.rpc.reflection, discovery: config.discovery.enabled };
    terminal.write(`${banner(facts, terminal)}\n`);
    // To whoever started it, once: what is printed is not logged.
    if (app.firstKey !== undefined) terminal.write(`${firstKeyNote(app.firstKey.reveal())}\n`);
    await waitForSignal({ stop: () => app.stop(), log });
    return exitCodes.ok;
  },
};

async function start(config: Config, env: NodeJS.ProcessEnv, log: Logger): Promise<RunningApp> {
  const { startApp } = await import("../app.ts");
  try {
    return await startApp({ config, env, log });
  } catch (error) {
    throw explainListenFailure(error, config) ?? error;
  }
}

/** Node's errors of `listen`, in words that name the address and the way out; undefined for any other error. */
export function explainListenFailure(error: unknown, { server }: Pick<Config, "server">): StartError | undefined {
  if (!(error instanceof Error && "syscall" in error && error.syscall === "listen" && "code" in error)) return undefined;
  const port = "port" in error ? error.port : undefined;
  const isAdmin = port === server.listen_admin.port && port !== server.listen.port;
  const [address, flag, variable] = isAdmin ? [server.listen_admin, "--admin-port", "ADMIN_PORT"] : [server.listen, "--port", "PORT"];
  const where = `the ${isAdmin ? "admin" : "data"} port ${writeListenAddress(address)}`;
  const other = `${flag} ${address.port === 0 ? "PORT" : address.port + 1} or ${variable}`;
  const reasons: Record<string, string> = {
    EADDRINUSE: `${where} is in use; end the other program, or choose another port with ${other}`,
    EACCES: `${where} may not be bound by this user; choose a port from 1024 on with ${other}`,
    EADDRNOTAVAIL: `${where} cannot be bound: this machine has no such address; choose one it has with ${isAdmin ? "--admin-host or ADMIN_HOST" : "--host or HOST"}`,
  };
  const reason = reasons[String(error.code)] ?? `${where} cannot be bound (${error.code})`;
  return new StartError(reason, exitCodes.unavailable, error);
}

/** Nobody knows what state a process is in after this: say so and end it. */
function endOnFault(log: Logger): void {
  const end = (event: string) => (error: unknown) => {
    log.error("the process failed and ends", { event, error });
    process.exit(exitCodes.internal);
  };
  process.once("uncaughtException", end("uncaughtException"));
  process.once("unhandledRejection", end("unhandledRejection"));
}
