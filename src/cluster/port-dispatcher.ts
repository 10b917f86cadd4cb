/**
 * Accepts the connections of one port and hands each to the next worker. The port is bound for as long as the primary lives,
 * so that nothing is refused while workers are replaced or none is there.
 *
 * Not node:cluster's own distribution: there a connection whose worker dies during the hand-over stays open for ever with
 * nobody to serve it (Node closes what it sent only after the other side's word, and a dead one says nothing), and the
 * port is lost with the last worker. So this side keeps every connection open until the worker says that it has it.
 */
import net from "node:net";
import type { Logger } from "../core/log.ts";

/** A process that takes connections. */
export interface Recipient {
  /** Sends it and leaves it open here. Says nothing more once the process has ended. */
  give(socket: net.Socket, hear: HandOver): void;
}

export interface HandOver {
  /** It is on its way, or could not be sent. */
  sent(error: Error | null): void;
  /** The process has it. */
  taken(): void;
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
  /** Given and not known to be taken, with whether it was sent. */
  readonly #given = new Map<Recipient, Map<net.Socket, boolean>>();
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

  /**
   * Its process is gone. What was not sent goes to others; of what was on its way nobody knows what was read, so the client
   * is told by the end of its connection.
   */
  lost(recipient: Recipient): void {
    this.leave(recipient);
    const given = this.#given.get(recipient) ?? [];
    this.#given.delete(recipient);
    for (const [socket, sent] of given) {
      if (sent) socket.destroy();
      else this.#hand(socket);
    }
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
    const given = this.#given.get(recipient) ?? new Map<net.Socket, boolean>();
    this.#given.set(recipient, given.set(socket, false));
    // Closes this side only; the connection lives as long as somebody holds it.
    const letGo = (): void => {
      given.delete(socket);
      socket.destroy();
    };
    recipient.give(socket, {
      sent: (error) => {
        if (error !== null) letGo();
        else if (given.has(socket)) given.set(socket, true);
      },
      taken: letGo,
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
