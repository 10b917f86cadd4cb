/** The two listeners of the gateway, data and admin, and how they stop (reliability.md 4.5 P1, P2). */
import type { AddressInfo } from "node:net";
import type { ConnectionSource } from "../core/connection-source.ts";
import type { Logger } from "../core/log.ts";
import type { NodeHandler } from "../core/node-handler.ts";
import type { HealthTable } from "../rpc/health-table.ts";
import type { ExchangeCount } from "./exchange-count.ts";
import { createGuard, type Guard } from "./guard.ts";
import type { ServerLimits } from "./limits.ts";
import { createOnePort, type OnePort, type TlsFiles } from "./one-port.ts";

export interface ListenerOptions {
  readonly handler: NodeHandler;
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly tls?: TlsFiles | undefined;
  /** Told of every exchange as it begins; absent: nobody is. */
  readonly count?: ExchangeCount | undefined;
  /** Where connections come from if another process has bound the port. */
  readonly source?: ConnectionSource | undefined;
}

export interface StopOptions {
  /** Whether other processes serve the ports on: then nothing says "draining", and no client meets a closed port. */
  readonly replaced?: boolean;
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
  stop(options?: StopOptions): Promise<void>;
}

/** From the end of the calls to the cut: time for last words. */
const lastWordsMs = 1_000;
/** The admin port serves short exchanges only. */
const adminGraceMs = 500;
/** Nothing may run at this many looks in a row: last bytes are on their way. */
const quietLooks = 3;
const lookMs = 30;

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

    stop(how = {}) {
      if (stopping === undefined) stopping = stop(how);
      else hurry.abort();
      return stopping;
    },
  };

  function open({ handler, tls, source, count }: ListenerOptions): Listener {
    const guard = createGuard({ handler, limits: options.limits, inboundHeaders: options.inboundHeaders, count, log });
    return { guard, port: createOnePort({ handler: guard.handler, limits: options.limits, tls, source, log }) };
  }

  async function stop({ replaced = false }: StopOptions): Promise<void> {
    if (replaced) await Promise.all([data.port.retire(), admin?.port.retire()]);
    else health.drain();
    log.info("draining", { notice_ms: drain.noticeMs, grace_ms: drain.graceMs });
    await sleep(drain.noticeMs, hurry.signal);
    if (replaced) health.drain(); // ends what watches
    const closed = data.port.close();
    if (!(await fallsQuiet(data, closed, drain.graceMs, hurry.signal))) {
      log.warn("the drain time is over; cutting what still runs", { running: data.guard.running() });
      options.abortCalls?.();
      await fallsQuiet(data, closed, lastWordsMs);
    }
    await cut(data, closed);
    if (admin !== undefined) await shut(admin, adminGraceMs);
  }
}

interface Listener {
  readonly port: OnePort;
  readonly guard: Guard;
}

async function shut(listener: Listener, graceMs: number): Promise<void> {
  const closed = listener.port.close();
  await fallsQuiet(listener, closed, graceMs);
  await cut(listener, closed);
}

async function cut({ port, guard }: Listener, closed: Promise<void>): Promise<void> {
  port.cut();
  await closed;
  guard.stop();
}

/**
 * True when every connection has ended, or when those that linger (a client that never finished its request) carry no
 * exchange; false where that took longer.
 */
function fallsQuiet({ guard }: Listener, closed: Promise<void>, ms: number, signal?: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    let looks = 0;
    const look = setInterval(() => {
      looks = guard.running() === 0 ? looks + 1 : 0;
      if (looks === quietLooks) end(true);
    }, lookMs);
    const timer = setTimeout(() => end(false), ms);
    const giveUp = (): void => end(false);
    signal?.addEventListener("abort", giveUp, { once: true });
    if (signal?.aborted) giveUp();
    void closed.then(() => end(true));

    function end(quiet: boolean): void {
      clearInterval(look);
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
      resolve(quiet);
    }
  });
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
