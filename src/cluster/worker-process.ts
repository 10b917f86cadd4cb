/** One worker as the primary sees it: a child process, its channel, and how far it has come. */
import { type ChildProcess, fork } from "node:child_process";
import type { Socket } from "node:net";
import { Channel } from "./channel.ts";
import type { HandOver } from "./port-dispatcher.ts";
import {
  type HandedConnection,
  type PortName,
  placeVariable,
  type StopMode,
  topics,
  type WorkerPlace,
  writePlace,
} from "./worker-place.ts";

export interface WorkerEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface WorkerProcess {
  /** Of this process: a worker that is started again has another one. */
  readonly id: string;
  readonly worker: number;
  readonly pid: number;
  readonly channel: Channel;
  give(port: PortName, socket: Socket, hear: HandOver): void;
  stop(mode: StopMode): void;
  kill(): void;
  /** What the process ended with. Never rejects. */
  readonly ended: Promise<WorkerEnd>;
}

export type ForkWorker = (place: WorkerPlace) => WorkerProcess;

let processes = 0;

/** Starts this program again, with its own arguments; its output goes where ours goes. */
export function forkWorker(place: WorkerPlace): WorkerProcess {
  const [, script = "", ...words] = process.argv;
  const child = fork(script, words, {
    env: { ...process.env, [placeVariable]: writePlace(place) },
    // Structured cloning: bigints and bytes travel as they are.
    serialization: "advanced",
  });
  return wrapChild(child, place.worker);
}

/** What stands for one that the system did not start: it has ended. */
export function neverStarted(worker: number): WorkerProcess {
  const channel = new Channel({ send: () => undefined });
  channel.close();
  return {
    id: `${worker}.${++processes}`,
    worker,
    pid: 0,
    channel,
    give() {},
    stop() {},
    kill() {},
    ended: Promise.resolve({ code: null, signal: null }),
  };
}

function wrapChild(child: ChildProcess, worker: number): WorkerProcess {
  const channel = new Channel({ send: (message) => send(child, message) });
  const onTaken = new Map<number, () => void>();
  let connections = 0;
  channel.serve(topics.taken, (number) => {
    onTaken.get(number as number)?.();
    onTaken.delete(number as number);
  });
  child.on("message", (message) => void channel.receive(message));
  const ended = new Promise<WorkerEnd>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
    // It could not be started at all, or the pipe broke; where it lives it is of no use any more.
    child.on("error", () => {
      if (child.pid === undefined) resolve({ code: null, signal: null });
      else child.kill("SIGKILL");
    });
  });
  child.once("disconnect", () => channel.close());
  void ended.then(() => channel.close());
  return {
    id: `${worker}.${++processes}`,
    worker,
    pid: child.pid ?? 0,
    channel,
    give(port, socket, { sent, taken }) {
      if (!child.connected) return; // its end is about to be seen; others get the connection then
      onTaken.set(++connections, taken);
      child.send({ connection: port, number: connections } satisfies HandedConnection, socket, { keepOpen: true }, sent);
    },
    stop(mode) {
      channel.tell(topics.stop, mode);
    },
    kill: () => void child.kill("SIGKILL"),
    ended,
  };
}

/** What cannot be sent is lost: the process is ending, and that is seen by itself. */
function send(child: ChildProcess, message: unknown): void {
  if (child.connected) child.send(message as object, () => {});
}
