/** One of several processes, as it sees itself: what it may ask of the others, where its connections come from, how it is told to end. */
import type { Socket } from "node:net";
import type { ConnectionSource } from "../core/connection-source.ts";
import type { Logger } from "../core/log.ts";
import { exitCodes } from "../core/start-error.ts";
import type { AskOptions, WorkerLink } from "../core/worker-link.ts";
import { Channel } from "./channel.ts";
import { type AllQuestion, type HandedConnection, type PortName, placeVariable, readPlace, type StopMode, topics } from "./worker-place.ts";

export interface Membership {
  readonly link: WorkerLink;
  readonly sources: Readonly<Record<PortName, ConnectionSource>>;
  /** From now on connections come. `facts` is what the primary tells people of the workers. */
  ready(facts: unknown): void;
  /** Asks the primary for a worker in the place of this one. */
  wornOut(): void;
  /** Called for every order to end; the first may come before this worker serves. */
  onStop(listener: (mode: StopMode) => void): void;
}

/** The primary collects the answers of all, and is asked for longer than each of them. */
const collectMs = 250;
const defaultTimeoutMs = 1_000;

/** Signals of a terminal or a service manager reach every process of a group; the primary alone decides. */
const groupSignals = ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR2"] as const;

/** Undefined where this process was not started by a primary. From here on it ends with the primary. */
export function joinPrimary(env: NodeJS.ProcessEnv, log: Logger): Membership | undefined {
  const place = readPlace(env);
  if (place === undefined) return undefined;
  const leave = (): never => {
    log.error("the primary process is gone; this worker ends", { worker: place.worker });
    process.exit(exitCodes.unavailable);
  };
  // It may have ended while this program was loaded.
  if (!process.connected) leave();
  // Nothing that this process starts is a worker of ours.
  delete process.env[placeVariable];
  const channel = new Channel({ send: (message) => process.connected && process.send?.(message, undefined, {}, () => {}) });
  const ports = { data: new HandedPort(), admin: new HandedPort() };
  const orders: StopMode[] = [];
  let listener: ((mode: StopMode) => void) | undefined;

  for (const signal of groupSignals) process.on(signal, () => {});
  process.on("message", (message, socket) => {
    if (isConnection(message)) {
      ports[message.connection].give(socket as Socket | undefined);
      channel.tell(topics.taken, message.number);
    } else channel.receive(message);
  });
  process.once("disconnect", leave);
  channel.serve(topics.stop, (mode) => {
    if (listener === undefined) orders.push(mode as StopMode);
    else listener(mode as StopMode);
  });

  const source = (name: PortName): ConnectionSource => ({
    address: place.addresses[name],
    open: (take) => ports[name].open(take),
    // Where the primary does not answer it is about to end, and this process with it.
    close: () =>
      channel.ask(topics.leave, name).then(
        () => undefined,
        () => undefined,
      ),
  });

  return {
    link: {
      worker: place.worker,
      ask: (topic, body, options) => channel.ask(topic, body, options),
      tell: (topic, body) => channel.tell(topic, body),
      async askAll(topic, body, { timeoutMs = defaultTimeoutMs }: AskOptions = {}) {
        const question: AllQuestion = { topic, body, timeoutMs };
        return (await channel.ask(topics.askAll, question, { timeoutMs: timeoutMs + collectMs })) as readonly unknown[];
      },
      serve: (topic, handler) => channel.serve(topic, handler),
    },
    sources: { data: source("data"), admin: source("admin") },
    ready: (facts) => channel.tell(topics.ready, facts),
    wornOut: () => channel.tell(topics.wornOut, undefined),
    onStop(given) {
      listener = given;
      for (const mode of orders.splice(0)) given(mode);
    },
  };
}

class HandedPort {
  #take: ((socket: Socket) => void) | undefined;

  open(take: (socket: Socket) => void): void {
    this.#take = take;
  }

  /** A client may be gone before its connection arrives. */
  give(socket: Socket | undefined): void {
    if (this.#take === undefined) socket?.destroy();
    else if (socket !== undefined) this.#take(socket);
  }
}

function isConnection(message: unknown): message is HandedConnection {
  return typeof message === "object" && message !== null && "connection" in message;
}
