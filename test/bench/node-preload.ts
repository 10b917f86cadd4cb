/**
 * Loaded into the Node servers under test, ours and the peer alike. It keeps them on loopback (the peer has no flag for
 * its address), ends them when the bench is gone, and tells the event loop's delay when asked.
 */
import { Server } from "node:net";
import { monitorEventLoopDelay } from "node:perf_hooks";

/** Milliseconds between two looks at the loop; part of every value that the histogram holds. */
const resolution = 10;

/** What the loop was late, in milliseconds, since the last time this was asked. */
export interface EventLoopDelay {
  readonly p50: number;
  readonly p99: number;
}

const listen = Server.prototype.listen as (...args: unknown[]) => Server;
Server.prototype.listen = function listenOnLoopback(this: Server, ...args: unknown[]) {
  if (typeof args[0] === "number" && typeof args[1] !== "string") args.splice(1, args[1] === undefined ? 1 : 0, "127.0.0.1");
  return listen.apply(this, args);
} as Server["listen"];

if (process.channel) {
  const histogram = monitorEventLoopDelay({ resolution });
  histogram.enable();
  process.on("message", (message) => {
    if (message !== "event-loop-delay") return;
    const late = (share: number) => Math.max(0, histogram.percentile(share) / 1e6 - resolution);
    process.send?.({ p50: late(50), p99: late(99) } satisfies EventLoopDelay);
    histogram.reset();
  });
  process.once("disconnect", () => process.exit(0));
  process.channel.unref();
}
