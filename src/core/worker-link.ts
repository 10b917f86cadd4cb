/**
 * What one of several worker processes may ask of the others. It is undefined where one process serves alone: then
 * everything is in that process's own memory.
 *
 * Bodies and answers are what structured cloning takes: plain objects, bigints, byte arrays, dates; no functions. Topics are
 * words with dots, as `limits.reserve`; whoever owns a topic states the shapes of its bodies.
 */

/** Answers what was asked under one topic. What it throws reaches the asker as LinkError with the message. */
export type LinkHandler = (body: unknown) => unknown;

export interface AskOptions {
  /** How long to wait for the answer; 1,000 by default. */
  readonly timeoutMs?: number;
}

export interface WorkerLink {
  /** Number of this worker, from 1. A worker that is started in the place of another has its number. */
  readonly worker: number;
  /**
   * Asks the primary process. Everything that is asked in one turn of the event loop travels as one message. Throws
   * LinkError where the primary does not answer in time, knows no such topic, or refuses.
   */
  ask(topic: string, body: unknown, options?: AskOptions): Promise<unknown>;
  /** Tells the primary without waiting. Arrives in order with what is asked. */
  tell(topic: string, body: unknown): void;
  /** Asks every worker that serves, this one too. Those that do not answer in time are left out. */
  askAll(topic: string, body: unknown, options?: AskOptions): Promise<readonly unknown[]>;
  /** Says how this worker answers a topic of askAll. One handler per topic: a later one replaces an earlier. */
  serve(topic: string, handler: LinkHandler): void;
}

/** What the primary process holds for all workers, by topic; app/create-shared-services.ts lists all of it. */
export interface SharedService {
  /** `from` names the asking process: a worker that was restarted has another one. */
  readonly handlers: Readonly<Record<string, (body: unknown, from: string) => unknown>>;
  /** The process is gone and gives nothing back: what it held is free. */
  gone?(from: string): void;
}

/** The other process did not answer, or refused. */
export class LinkError extends Error {
  override readonly name = "LinkError";
}
