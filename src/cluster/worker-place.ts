/** What a worker is told when it is started, in one variable of its environment. */
import type { AddressInfo } from "node:net";

/** The two ports by their names. */
export const portNames = ["data", "admin"] as const;
export type PortName = (typeof portNames)[number];

export interface WorkerPlace {
  /** From 1. */
  readonly worker: number;
  /** Where the primary accepts, with the ports that the system gave. */
  readonly addresses: Readonly<Record<PortName, AddressInfo>>;
}

export const placeVariable = "DRAGOMAN_WORKER";

export function writePlace(place: WorkerPlace): string {
  return JSON.stringify(place);
}

/** Undefined where this process is no worker. The primary alone sets the variable, so its text is not doubted. */
export function readPlace(env: NodeJS.ProcessEnv): WorkerPlace | undefined {
  const text = env[placeVariable];
  return text === undefined || text === "" ? undefined : (JSON.parse(text) as WorkerPlace);
}

/**
 * How a worker ends. `drain`: the whole gateway stops; readiness goes off and the ports stay open for the notice. `replaced`:
 * others serve on; it takes no further connection, and those it has are asked to end. `hurry`: at once.
 */
export type StopMode = "drain" | "replaced" | "hurry";

/** What primary and worker say to each other themselves. */
export const topics = {
  /** Worker: I serve. Body: ReadyFacts, told once. */
  ready: "cluster.ready",
  /** Worker: no more connections of this port. Body: PortName. The answer comes after the last of them. */
  leave: "cluster.leave",
  /** Worker: I have this connection. Body: its number. */
  taken: "cluster.taken",
  /** Worker: ask all. Body: AllQuestion. */
  askAll: "cluster.ask-all",
  /** Worker: my memory is used up; put another one in my place. No body. */
  wornOut: "cluster.worn-out",
  /** Primary: end. Body: StopMode. */
  stop: "cluster.stop",
} as const;

export interface AllQuestion {
  readonly topic: string;
  readonly body: unknown;
  readonly timeoutMs: number;
}

/** What travels beside a connection. */
export interface HandedConnection {
  readonly connection: PortName;
  readonly number: number;
}
