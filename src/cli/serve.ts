/** `dragoman serve`: configuration, the app, the banner, and a graceful end. */
import { availableParallelism } from "node:os";
import type { AppOptions, RunningApp } from "../app/start-app.ts";
import { joinPrimary } from "../cluster/worker.ts";
import { checkBind } from "../config/check-bind.ts";
import { loadConfig } from "../config/load.ts";
import { exitCodes } from "../core/start-error.ts";
import { createLogger } from "../telemetry/log.ts";
import type { Command } from "./command.ts";
import { endOnFault } from "./end-on-fault.ts";
import { explainListenFailure } from "./explain-listen-failure.ts";
import { factsOf, greeting } from "./greeting.ts";
import { runPrimary, runWorker } from "./serve-workers.ts";
import { ignoreSignals, waitForSignal } from "./stop-signal.ts";

export const serve: Command = {
  name: "serve",
  about: "run the gateway",
  options: {
    host: { value: "HOST", about: "host of the data port; beyond loopback it needs auth (HOST)" },
    port: { value: "PORT", about: "data port, 8080 by default; 0 takes a free one (PORT)" },
    "admin-host": { value: "HOST", about: "host of the admin port (ADMIN_HOST)" },
    "admin-port": { value: "PORT", about: "admin port, 9091 by default (ADMIN_PORT)" },
    config: { value: "FILE", about: "a .yaml, .json or .toml file, or a directory of them (DRAGOMAN_CONFIG)" },
    workers: { value: "N", about: "processes behind the same ports, 1 by default; auto: one per core" },
    "log-level": { value: "LEVEL", about: "trace, debug, info, warn, error, fatal or silent (LOG_LEVEL)" },
  },
  details: `Flags win over the environment, the environment over the file, the file over the defaults. Any field of the
file can be set as DRAGOMAN__SECTION__KEY, as in DRAGOMAN__SERVER__DRAIN_SECONDS=30. DRAGOMAN_API_KEY sets one
key for callers; without a key only this machine is served.

The log is JSON on stderr. SIGTERM and Ctrl-C let running calls finish; a second one ends them. With several
workers SIGUSR2 replaces them one by one, with what the configuration says by then.`,
  async run({ options }, terminal) {
    const { env, cwd } = terminal;
    const flags = {
      host: options.host,
      port: options.port,
      admin_host: options["admin-host"],
      admin_port: options["admin-port"],
      log_level: options["log-level"],
      workers: options.workers,
    };
    const { knownNames } = await import("../app/known-names.ts");
    const config = loadConfig({ file: options.config, flags, env, cwd, known: knownNames(env) });
    checkBind(config);
    const log = createLogger({ level: config.log_level, node: config.server.node });
    const faults = endOnFault(log);
    const membership = joinPrimary(env, log);
    if (membership !== undefined)
      return runWorker(membership, {
        log,
        start: async (workers, onFull) => faults.guard(await start({ config, env, log, workers, onFull })),
      });
    const workers = config.server.workers === "auto" ? availableParallelism() : config.server.workers;
    if (workers > 1) {
      const { createSharedServices } = await import("../app/create-shared-services.ts");
      return runPrimary({ workers, config, services: createSharedServices(config), terminal, log });
    }

    ignoreSignals({ SIGHUP: "the configuration is not read again while running", SIGUSR2: "there are no workers to restart" }, log);
    const full = Promise.withResolvers<void>();
    const app = faults.guard(await start({ config, env, log, onFull: full.resolve }));
    terminal.write(greeting(factsOf(app), config, terminal));
    const stop = (): Promise<void> => app.stop();
    // Whoever started the program starts it again.
    const restart = full.promise.then(stop).then(() => exitCodes.internal);
    return Promise.race([waitForSignal({ stop, log }).then(() => exitCodes.ok), restart]);
  },
};

async function start(options: AppOptions): Promise<RunningApp> {
  const { startApp } = await import("../app/start-app.ts");
  try {
    return await startApp(options);
  } catch (error) {
    throw explainListenFailure(error, options.config) ?? error;
  }
}
