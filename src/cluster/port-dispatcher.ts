/**
 * Accepts the connections of one port and hands each to the next worker. The port is bound for as long as the primary lives,
 * so that nothing is refused while workers are replaced or none is there.
 *
 * Not node:cluster's own distribution: there a connection whose worker dies between hand-over and answer stays open for
 * ever with nobody to serve it, and the port is lost with the last worker.
 */
import net from "node:net";
import type { Logger } from "../core/log.ts";

/** A process that takes connections. */
export interface Recipient {
  /** Calls back once it is on its way, with an error where it could not be sent. Not calling back is allowed where the process ends. */
  give(socket: net.Socket, sent: (error: Error | null) => void): void;
}

export interface PortDispatcherOptions {
  /** Most connections that wait for a worker. */
  readonly maxParked: number;
  /** How long one waits before it is closed, in milliseconds. */
  readonly parkMs: number;
  readonly log: Logger;
}

export class PortDispatcher {
  readonly #options: PortDispatcherOptions;
  readonly #server: net.Server;
  /** In the order of their turns: the first is next. */
  readonly #recipients: Recipient[] = [];
  /** Given, and not yet known to be sent. */
  readonly #given = new Map<Recipient, Set<net.Socket>>();
  readonly #parked = new Map<net.Socket, NodeJS.Timeout>();

  constructor(options: PortDispatcherOptions) {
    this.#options = options;
    // Paused: whoever serves a connection reads its first byte.
    this.#server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      this.#hand(socket);
    });
  }

  /** Rejects with Node's error (EADDRINUSE, EACCES). */
  listen(host: string, port: number): Promise<net.AddressInfo> {
    return new Promise((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, host, () => {
        this.#server.off("error", reject);
        this.#server.on("error", (error) => this.#options.log.warn("a connection could not be accepted", { error: error.message }));
        resolve(this.#server.address() as net.AddressInfo);
      });
    });
  }

  /** From now on it has its turns. What waits is handed out. */
  join(recipient: Recipient): void {
    this.#recipients.push(recipient);
    for (const [socket, timer] of [...this.#parked]) {
      clearTimeout(timer);
      this.#parked.delete(socket);
      this.#hand(socket);
    }
  }

  /** It has no more turns. */
  leave(recipient: Recipient): void {
    const at = this.#recipients.indexOf(recipient);
    if (at !== -1) this.#recipients.splice(at, 1);
  }

  /** Its process is gone: what was not sent yet goes to others. */
  lost(recipient: Recipient): void {
    this.leave(recipient);
    const sockets = this.#given.get(recipient) ?? [];
    this.#given.delete(recipient);
    for (const socket of sockets) this.#hand(socket);
  }

  /** Whether somebody has turns. */
  get isServed(): boolean {
    return this.#recipients.length > 0;
  }

  /** Accepts no more, and closes what waits. */
  close(): void {
    this.#server.close();
    for (const [socket, timer] of this.#parked) {
      clearTimeout(timer);
      socket.destroy();
    }
    this.#parked.clear();
  }

  #hand(socket: net.Socket): void {
    if (socket.destroyed) return;
    const recipient = this.#recipients.shift();
    if (recipient === undefined) {
      this.#park(socket);
      return;
    }
    this.#recipients.push(recipient);
    const given = this.#given.get(recipient) ?? new Set();
    this.#given.set(recipient, given.add(socket));
    recipient.give(socket, (error) => {
      given.delete(socket);
      // Node has closed its side then; this lets go of the rest.
      if (error !== null) socket.destroy();
    });
  }

  #park(socket: net.Socket): void {
    const { maxParked, parkMs } = this.#options;
    if (this.#parked.size >= maxParked || !this.#server.listening) {
      socket.destroy();
      return;
    }
    const timer = setTimeout(() => {
      this.#parked.delete(socket);
      socket.destroy();
    }, parkMs);
    this.#parked.set(socket, timer.unref());
  }
}
