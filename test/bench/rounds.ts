/** Runs loads against servers, interleaved, and keeps what each run cost. */
import type { LoadResult } from "./load-http.ts";
import { type Load, type LoadGround, openStreams, openStreamsLoad } from "./loads.ts";
import { countInstructions, cpuTime, type Instructions, memory, processTree } from "./measure.ts";
import type { EventLoopDelay } from "./node-preload.ts";
import type { Server, ServerName } from "./servers.ts";

/** One load on one server in one round. */
export interface Sample {
  readonly load: string;
  readonly server: ServerName;
  readonly round: number;
  /** Microseconds on a core per unit of the load. */
  readonly cpu: number;
  /** The part of it in user mode, by clock ticks. */
  readonly userCpu: number;
  /** Per unit of the load; undefined where they are not counted. */
  readonly instructions: Instructions | undefined;
  /** Share of the time that the server ran, and that it waited because something else had its core. */
  readonly busy: number;
  readonly waited: number;
  readonly eventLoopDelay: EventLoopDelay | undefined;
  readonly result: LoadResult;
}

/** A load that a server did not answer rightly. */
export interface WrongAnswers {
  readonly load: string;
  readonly server: ServerName;
  readonly what: string;
}

export type Measured = { readonly sample: Sample } | { readonly wrong: WrongAnswers };

export interface MeasureOptions {
  readonly round: number;
  readonly seconds: number;
  readonly countsInstructions: boolean;
}

/** Runs a load on a server and reads what it cost. A failure of any kind is a wrong answer. */
export async function measureLoad(ground: LoadGround, load: Load, server: Server, options: MeasureOptions): Promise<Measured> {
  const failed = (what: string): Measured => ({ wrong: { load: load.title, server: server.name, what } });
  const pids = processTree(server.pid);
  await server.readEventLoopDelay?.();
  const stopCounting = options.countsInstructions ? await countInstructions(pids) : undefined;
  const before = cpuTime(pids);
  let result: LoadResult;
  try {
    result = await load.run(ground, server, options.seconds);
  } catch (error) {
    return failed(server.ended() ?? (error instanceof Error ? error.message : String(error)));
  }
  const after = cpuTime(pids);
  const counted = await stopCounting?.();
  const eventLoopDelay = await server.readEventLoopDelay?.();
  const units = load.unit === "chunk" ? result.markers : result.requests;
  if (result.wrong > 0) return failed(server.ended() ?? `${result.wrong} of ${result.requests} answers: ${result.firstWrong}`);
  if (units === 0) return failed("no answers");
  const cpu = (after.running - before.running) / units;
  const userTicks = after.userTicks - before.userTicks;
  return {
    sample: {
      load: load.name,
      server: server.name,
      round: options.round,
      cpu,
      userCpu: (cpu * userTicks) / Math.max(1, userTicks + after.kernelTicks - before.kernelTicks),
      instructions: counted && { user: counted.user / units, kernel: counted.kernel / units },
      busy: (after.running - before.running) / 1e6 / result.seconds,
      waited: (after.waiting - before.waiting) / 1e6 / result.seconds,
      eventLoopDelay,
      result,
    },
  };
}

/** What an open stream costs a server in memory, KiB; or what was wrong. */
export async function measureOpenStreams(ground: LoadGround, server: Server): Promise<number | WrongAnswers> {
  const pids = processTree(server.pid);
  const before = memory(pids).resident;
  let most = before;
  const sampling = setInterval(() => (most = Math.max(most, memory(pids).resident)), 250);
  try {
    const { wrong, firstWrong } = await openStreamsLoad.run(ground, server, openStreams.seconds);
    if (wrong > 0) return { load: openStreamsLoad.title, server: server.name, what: firstWrong };
  } catch (error) {
    return { load: openStreamsLoad.title, server: server.name, what: error instanceof Error ? error.message : String(error) };
  } finally {
    clearInterval(sampling);
  }
  return ((most - before) * 1024) / openStreams.count;
}
