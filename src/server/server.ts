/** The two listeners of the gateway, data and admin, and how they stop (reliability.md 4.5 P1, P2). */
import type { AddressInfo } from "node:net";
import type { Logger } from "../core/log.ts";
import type { NodeHandler } from "../core/node-handler.ts";
import type { HealthTable } from "../rpc/health-table.ts";
import { createGuard } from "./guard.ts";
import type { ServerLimits } from "./limits.ts";
import { createOnePort, type OnePort, type TlsFiles } from "./one-port.ts";

export interface ListenerOptions {
  readonly handler: NodeHandler;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly tls?: TlsFiles | undefined;
}

export interface ServerOptions {
  readonly data: ListenerOptions;
  readonly admin?: ListenerOptions | undefined;
  readonly limits: ServerLimits;
  /** The `x-dragoman-*` headers that clients may send, lower case. */
  readonly inboundHeaders: readonly string[];
  readonly drain: {
    /** How long the data port still accepts after readiness is off, in milliseconds. */
    readonly noticeMs: number;
    /** How long running exchanges may go on after that. */
    readonly graceMs: number;
  };
  readonly health: HealthTable;
  /** Called when the grace is over and before connections are cut: ends the running calls, so that they still say why. */
  abortCalls?(): void;
  readonly log: Logger;
}

export interface ServerAddresses {
  readonly data: AddressInfo;
  readonly admin: AddressInfo | undefined;
}

export interface Server {
  /** Rejects with Node's error (EADDRINUSE, EACCES); nothing listens then. */
  listen(): Promise<ServerAddresses>;
  /**
   * Readiness goes off while the data port still accepts; then GOAWAY, and running exchanges finish; what is left after
   * the grace is ended and cut. The admin port answers to the end. A second call skips the waiting (at most 3 s in all).
   */
  stop(): Promise<void>;
}

/** From the end of the calls to the cut: time for last words. */
const lastWordsMs = 1_000;
/** The admin port serves short exchanges only. */
const adminGraceMs = 500;

export function createServer(options: ServerOptions): Server {
  const { drain, health, log } = options;
  const data = open(options.data);
  const admin = options.admin === undefined ? undefined : open(options.admin);
  const hurry = new AbortController();
  let stopping: Promise<void> | undefined;

  return {
    async listen() {
      const dataAddress = await data.port.listen(options.data.host, options.data.port);
      if (options.admin === undefined || admin === undefined) return { data: dataAddress, admin: undefined };
      try {
        return { data: dataAddress, admin: await admin.port.listen(options.admin.host, options.admin.port) };
      } catch (thrown) {
        await shut(data, 0);
        throw thrown;
      }
    },

    stop() {
      if (stopping === undefined) stopping = stop();
      else hurry.abort();
      return stopping;
    },
  };

  function open({ handler, tls }: ListenerOptions): { readonly port: OnePort; stop(): void } {
    const guard = createGuard({ handler, limits: options.limits, inboundHeaders: options.inboundHeaders, log });
    return { port: createOnePort({ handler: guard.handler, limits: options.limits, tls, log }), stop: guard.stop };
  }

  async function stop(): Promise<void> {
    health.drain();
    log.info("draining", { notice_ms: drain.noticeMs, grace_ms: drain.graceMs });
    await wait(drain.noticeMs);
    const closed = data.port.close();
    if (!(await endsWithin(closed, drain.graceMs))) {
      log.warn("the drain time is over; cutting what still runs");
      options.abortCalls?.();
      await Promise.race([closed, sleep(lastWordsMs)]);
      data.port.cut();
      await closed;
    }
    data.stop();
    if (admin !== undefined) await shut(admin, adminGraceMs);
  }

  async function shut(listener: { readonly port: OnePort; stop(): void }, graceMs: number): Promise<void> {
    const closed = listener.port.close();
    await Promise.race([closed, sleep(graceMs)]);
    listener.port.cut();
    await closed;
    listener.stop();
  }

  /** Whether it ended in time; a second stop cuts the time short. */
  async function endsWithin(closed: Promise<void>, ms: number): Promise<boolean> {
    return Promise.race([closed.then(() => true), wait(ms).then(() => false)]);
  }

  function wait(ms: number): Promise<void> {
    return sleep(ms, hurry.signal);
  }
}

/** Never keeps the process alive, never rejects. */
function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  if (ms <= 0 || signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    timer.unref();
    signal?.addEventListener("abort", done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    }
  });
}
