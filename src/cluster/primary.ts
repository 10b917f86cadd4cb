/**
 * The first of several processes. It binds the ports and hands connections on, starts the workers and starts them again,
 * and keeps what they share. It answers no request itself.
 */
import type { AddressInfo } from "node:net";
import type { Logger } from "../core/log.ts";
import { exitCodes } from "../core/start-error.ts";
import type { SharedService } from "../core/worker-link.ts";
import { BackOff, type BackOffOptions, standardBackOff } from "./back-off.ts";
import { PortDispatcher, type Recipient } from "./port-dispatcher.ts";
import { type AllQuestion, type PortName, portNames, topics } from "./worker-place.ts";
import { type ForkWorker, forkWorker, neverStarted, type WorkerEnd, type WorkerProcess } from "./worker-process.ts";

export interface PrimaryOptions {
  readonly workers: number;
  readonly ports: Readonly<Record<PortName, { readonly host: string; readonly port: number }>>;
  /** Most connections that wait while no worker is there. */
  readonly maxConnections: number;
  /** What the workers share. */
  readonly services: readonly SharedService[];
  readonly log: Logger;
  readonly backOff?: BackOffOptions;
  /** How long a worker may take until it serves. */
  readonly startMs?: number;
  readonly fork?: ForkWorker;
}

export interface Primary {
  readonly addresses: Readonly<Record<PortName, AddressInfo>>;
  /** What the first worker said about itself once it served. */
  readonly facts: unknown;
  /** Replaces every worker, one after the other: the new one serves before the old one takes no more. Never rejects. */
  restart(): Promise<void>;
  /** Lets all workers drain; a second call hurries them. Resolves when all have ended. */
  stop(): Promise<void>;
}

/** The first worker did not start and has said why; its exit code is the program's. */
export class FirstWorkerFailed extends Error {
  override readonly name = "FirstWorkerFailed";
  readonly exitCode: number;

  constructor({ code, signal }: WorkerEnd) {
    super(`the first worker did not start (${signal ?? `exit code ${code}`})`);
    // A process that ends well before it served was told to end: by nobody but a fault.
    this.exitCode = code === null || code === 0 ? exitCodes.internal : code;
  }
}

const standardStartMs = 60_000;
/** As long as a client may take for its request's head. */
const parkMs = 10_000;

/** One of the numbers from 1 to the count of workers, whichever process has it now. */
interface Place {
  readonly worker: number;
  readonly backOff: BackOff;
  /** The process that serves or is about to; absent while it waits to be started again. */
  current: Member | undefined;
  timer: NodeJS.Timeout | undefined;
}

interface Member {
  readonly process: WorkerProcess;
  readonly recipients: Readonly<Record<PortName, Recipient>>;
  /** When it began to serve. */
  servesSince: number | undefined;
  /** Resolves with what it said; rejects with its end where it ends before. */
  readonly started: Promise<unknown>;
}

/**
 * Rejects with Node's error where a port cannot be bound, and with FirstWorkerFailed. The first worker starts alone: what is
 * wrong with the configuration is said once, and a new database is made once.
 */
export async function startPrimary(options: PrimaryOptions): Promise<Primary> {
  const supervisor = new Supervisor(options);
  await supervisor.listen();
  return supervisor.start();
}

class Supervisor {
  readonly #options: PrimaryOptions;
  readonly #log: Logger;
  readonly #dispatchers: Readonly<Record<PortName, PortDispatcher>>;
  readonly #addresses: Record<PortName, AddressInfo> = { data: nowhere, admin: nowhere };
  readonly #places: readonly Place[];
  /** Every process that lives, those that drain too. */
  readonly #members = new Set<Member>();
  /** Whether the first worker has served: until then its end is the program's. */
  #begun = false;
  #restarting: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: PrimaryOptions) {
    this.#options = options;
    this.#log = options.log;
    const dispatcher = () => new PortDispatcher({ maxParked: options.maxConnections, parkMs, log: options.log });
    this.#dispatchers = { data: dispatcher(), admin: dispatcher() };
    this.#places = Array.from({ length: options.workers }, (_, index) => ({
      worker: index + 1,
      backOff: new BackOff(options.backOff ?? standardBackOff),
      current: undefined,
      timer: undefined,
    }));
  }

  async listen(): Promise<void> {
    try {
      for (const name of portNames) {
        const { host, port } = this.#options.ports[name];
        this.#addresses[name] = await this.#dispatchers[name].listen(host, port);
      }
    } catch (thrown) {
      this.#closePorts();
      throw thrown;
    }
  }

  async start(): Promise<Primary> {
    const [first, ...others] = this.#places;
    if (first === undefined) throw new RangeError("there must be at least one worker");
    let facts: unknown;
    try {
      facts = await this.#begin(first).started;
      this.#begun = true;
    } catch (thrown) {
      this.#closePorts();
      throw thrown;
    }
    // One that fails here is started again like any other.
    await Promise.allSettled(others.map((place) => this.#begin(place).started));
    return {
      addresses: this.#addresses,
      facts,
      restart: () => this.#restart(),
      stop: () => this.#stop(),
    };
  }

  #begin(place: Place): Member {
    place.timer = undefined;
    const member = this.#open(place);
    place.current = member;
    return member;
  }

  #open(place: Place): Member {
    const { services, startMs = standardStartMs } = this.#options;
    const { worker } = place;
    const process = this.#fork(worker);
    const { channel } = process;
    const { promise: started, resolve, reject } = Promise.withResolvers<unknown>();
    const recipient = (port: PortName): Recipient => ({ give: (socket, hear) => process.give(port, socket, hear) });
    const member: Member = {
      process,
      recipients: { data: recipient("data"), admin: recipient("admin") },
      servesSince: undefined,
      started,
    };
    this.#members.add(member);
    const tooLate = setTimeout(() => {
      this.#log.error("a worker does not start in time and is ended", { worker, worker_pid: process.pid, after_ms: startMs });
      process.kill();
    }, startMs);
    tooLate.unref();

    channel.serve(topics.ready, (facts) => {
      clearTimeout(tooLate);
      member.servesSince = performance.now();
      if (this.#stopping === undefined) for (const name of portNames) this.#dispatchers[name].join(member.recipients[name]);
      this.#log.info("a worker serves", { worker, worker_pid: process.pid });
      resolve(facts);
    });
    channel.serve(topics.wornOut, () => void this.#renew(place, member));
    channel.serve(topics.leave, (name) => this.#leave(member, name as PortName));
    channel.serve(topics.askAll, (question) => this.#askAll(question as AllQuestion));
    for (const { handlers } of services) {
      for (const [topic, handler] of Object.entries(handlers)) channel.serve(topic, (body) => handler(body, process.id));
    }
    void process.ended.then((end) => {
      clearTimeout(tooLate);
      this.#members.delete(member);
      for (const name of portNames) this.#dispatchers[name].lost(member.recipients[name]);
      for (const { gone } of services) gone?.(process.id);
      reject(new FirstWorkerFailed(end));
      this.#onEnd(place, member, end);
    });
    started.catch(() => {}); // whoever wants to know has asked
    return member;
  }

  /** Where the system has no memory for another process, this one that keeps everything must go on. */
  #fork(worker: number): WorkerProcess {
    const { fork = forkWorker } = this.#options;
    try {
      return fork({ worker, addresses: this.#addresses });
    } catch (error) {
      this.#log.error("a worker cannot be started", { worker, error });
      return neverStarted(worker);
    }
  }

  #onEnd(place: Place, member: Member, { code, signal }: WorkerEnd): void {
    const { process, servesSince } = member;
    const facts = { worker: place.worker, worker_pid: process.pid, exit_code: code ?? undefined, signal: signal ?? undefined };
    if (!this.#begun) return;
    if (place.current !== member || this.#stopping !== undefined) {
      this.#log.info("a worker has ended", facts);
      return;
    }
    place.current = undefined;
    const wait = place.backOff.next(servesSince === undefined ? 0 : performance.now() - servesSince);
    this.#log.error("a worker ended by itself and is started again", { ...facts, after_ms: wait });
    place.timer = setTimeout(() => void this.#begin(place), wait);
  }

  /** In its answer's place nothing more can come: messages and connections travel in one order. */
  #leave(member: Member, name: PortName): null {
    const dispatcher = this.#dispatchers[name];
    dispatcher.leave(member.recipients[name]);
    if (this.#stopping !== undefined && !dispatcher.isServed) dispatcher.close();
    return null;
  }

  async #askAll({ topic, body, timeoutMs }: AllQuestion): Promise<unknown[]> {
    const serving = [...this.#members].filter(({ servesSince }) => servesSince !== undefined);
    const answers = await Promise.allSettled(serving.map(({ process }) => process.channel.ask(topic, body, { timeoutMs })));
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
  }

  #restart(): Promise<void> {
    if (this.#stopping !== undefined) return Promise.resolve();
    this.#restarting ??= this.#replaceAll().finally(() => {
      this.#restarting = undefined;
    });
    return this.#restarting;
  }

  async #replaceAll(): Promise<void> {
    this.#log.info("restarting the workers one by one", { count: this.#places.length });
    for (const place of this.#places) {
      if (this.#stopping !== undefined) return;
      if (!(await this.#replace(place))) return;
    }
    this.#log.info("all workers are new", { count: this.#places.length });
  }

  /** For a worker that asks to be replaced. */
  async #renew(place: Place, member: Member): Promise<void> {
    await this.#restarting;
    if (this.#stopping !== undefined || place.current !== member) return;
    this.#log.warn("a worker asks to be replaced", { worker: place.worker, worker_pid: member.process.pid });
    await this.#replace(place);
  }

  /** False where the new one does not start: then the old ones stay. */
  async #replace(place: Place): Promise<boolean> {
    const old = place.current;
    // One that waits to be started again is new then anyway.
    if (old === undefined) return true;
    const next = this.#open(place);
    try {
      await next.started;
    } catch (error) {
      if (this.#stopping === undefined) this.#log.error("a new worker did not start; the old ones stay", { worker: place.worker, error });
      return false;
    }
    clearTimeout(place.timer); // the old one may have ended meanwhile
    place.timer = undefined;
    const stale = place.current;
    place.current = next;
    stale?.process.stop(this.#stopping === undefined ? "replaced" : "drain");
    return true;
  }

  #stop(): Promise<void> {
    if (this.#stopping !== undefined) {
      for (const { process } of this.#members) process.stop("hurry");
      return this.#stopping;
    }
    this.#stopping = this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    for (const { timer } of this.#places) clearTimeout(timer);
    for (const { process } of this.#members) process.stop("drain");
    // A worker that was about to serve is among them: the set only shrinks from here.
    while (this.#members.size > 0) await Promise.all([...this.#members].map(({ process }) => process.ended));
    this.#closePorts();
  }

  #closePorts(): void {
    for (const name of portNames) this.#dispatchers[name].close();
  }
}

const nowhere: AddressInfo = { address: "", family: "", port: 0 };
