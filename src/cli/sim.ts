/** `dragoman sim`: the stand-alone simulated upstream. */

import { silentLog } from "../core/log.ts";
import { exitCodes, StartError } from "../core/start-error.ts";
import { type SimOptions, simDefaults, simOptions } from "../sim/options.ts";
import { type Arguments, type Command, type Option, readNumber } from "./command.ts";
import { waitForSignal } from "./stop-signal.ts";

const name = "sim";

export const sim: Command = {
  name,
  about: "run a simulated upstream that speaks OpenAI, Anthropic and Gemini",
  options: Object.fromEntries(
    Object.entries(simOptions).map(([flag, { option, kind, about }]) => [flag, describeFlag(option, kind, about)]),
  ),
  details: `Point a provider's base_url at it and name its faults by model or by a script in the request.
It keeps its own bill of what it served.`,
  async run(input, { write }) {
    const options = readOptions(input);
    const { startSim } = await import("../sim/server/start-sim.ts");
    const running = await startSim(options).catch((error: unknown) => {
      throw explain(error, options) ?? error;
    });
    // Before it says that it runs: who reads that may send the signal at once.
    const stopped = waitForSignal({ stop: () => running.close(), log: silentLog });
    write(`simulated upstream on ${running.url}, gRPC on ${running.grpcUrl}\n`);
    await stopped;
    return exitCodes.ok;
  },
};

function describeFlag(option: keyof SimOptions, kind: "number" | "string" | "boolean", about: string): Option {
  if (kind === "boolean") return { about };
  return { value: kind === "number" ? "N" : "TEXT", about: `${about} (${simDefaults[option]})` };
}

/** Those that were given. Throws UsageError. */
function readOptions({ options, switches }: Arguments): Partial<SimOptions> {
  const given: [string, string | number | boolean][] = [];
  for (const [flag, { option, kind }] of Object.entries(simOptions)) {
    const text = options[flag];
    if (kind === "boolean" && switches.has(flag)) given.push([option, true]);
    else if (text !== undefined) given.push([option, kind === "number" ? readNumber(text, flag, name) : text]);
  }
  return Object.fromEntries(given);
}

function explain(error: unknown, given: Partial<SimOptions>): StartError | undefined {
  if (!(error instanceof Error && "code" in error && "syscall" in error && error.syscall === "listen")) return undefined;
  const { host, port } = { ...simDefaults, ...given };
  const taken = "port" in error ? Number(error.port) : port;
  const flag = taken === port ? "--port" : "--grpc-port";
  return new StartError(`${host}:${taken} cannot be bound (${error.code}); choose another port with ${flag}`, exitCodes.unavailable, error);
}
