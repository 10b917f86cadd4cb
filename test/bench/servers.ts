/** What a bench asks of a server under test, and how it sees that one is up. */
import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { EventLoopDelay } from "./node-preload.ts";
import { plainEnvironment, startProcess } from "./processes.ts";

/** Dragoman, plain and with more: what each adds is told beside the plain one. */
export const variants = ["dragoman-default", "dragoman-all-on", "dragoman-written"] as const;
export type Variant = (typeof variants)[number];
export type ServerName = "nginx" | "dragoman" | "portkey" | Variant;

export interface Server {
  readonly name: ServerName;
  /** Name and version, for people. */
  readonly title: string;
  readonly port: number;
  readonly pid: number;
  /** That it has ended, how, and what it said last; undefined while it runs. */
  ended(): string | undefined;
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>;
  /** The name under which this server offers a model of the upstream. */
  model(upstreamModel: string): string;
  /** Undefined for servers that are not Node. */
  readonly readEventLoopDelay: (() => Promise<EventLoopDelay | undefined>) | undefined;
}

/** Where servers are started. */
export interface Ground {
  /** Temporary, removed at the end. */
  readonly directory: string;
  readonly upstreamPort: number;
  readonly core: number | undefined;
}

/** Why a server takes no part. */
export class Skipped extends Error {}

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address !== null && typeof address === "object" ? resolve(address.port) : reject(new Error("no port"))));
    });
  });
}

/** Starts a Node server on this very Node, on the server core, with a channel for its event-loop delay. */
export function startNode(ground: Ground, name: string, args: readonly string[], env: Record<string, string>, cwd: string): ChildProcess {
  return startProcess(process.execPath, ["--import", join(import.meta.dirname, "node-preload.ts"), ...args], {
    core: ground.core,
    env: { ...plainEnvironment(), ...env },
    cwd,
    logFile: logFile(ground, name),
    channel: true,
  });
}

export function logFile(ground: Ground, name: string): string {
  return join(ground.directory, `${name}.log`);
}

/** Asks a Node server that startNode started. */
export function eventLoopDelayOf(child: ChildProcess): () => Promise<EventLoopDelay | undefined> {
  return () =>
    new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), 1000);
      child.once("message", (message) => {
        clearTimeout(timer);
        resolve(message as EventLoopDelay);
      });
      child.send("event-loop-delay", (error) => {
        if (error) resolve(undefined);
      });
    });
}

/** What `ended` of a server says. */
export function endOf(ground: Ground, name: string, child: ChildProcess): string | undefined {
  if (child.exitCode === null && child.signalCode === null) return undefined;
  return `the server ended with ${child.exitCode ?? child.signalCode}: ${lastWords(logFile(ground, name))}`;
}

/** Waits until something answers HTTP on the port. Throws Skipped, with the last thing it said, when it ends or takes too long. */
export async function waitUntilUp(ground: Ground, name: string, child: ChildProcess, port: number, timeoutMs = 15_000): Promise<number> {
  let failed: Error | undefined;
  child.once("error", (error) => (failed = error));
  for (const until = performance.now() + timeoutMs; performance.now() < until; await sleep(50)) {
    if (failed !== undefined) throw new Skipped(`cannot be started: ${failed.message}`);
    const end = endOf(ground, name, child);
    if (end !== undefined) throw new Skipped(end);
    try {
      await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(1000) });
      if (child.pid !== undefined) return child.pid;
    } catch {
      // Not up yet: the loop's end says how long that may be.
    }
  }
  child.kill("SIGKILL");
  throw new Skipped(`did not answer within ${timeoutMs / 1000} s: ${lastWords(logFile(ground, name))}`);
}

/** The line of a log that says most about a failure. */
function lastWords(path: string): string {
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("at ") && !/^(Node\.js v|[{}^])/.test(line));
  const words = lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? "it said nothing";
  return words.length > 200 ? `${words.slice(0, 200)}...` : words;
}
