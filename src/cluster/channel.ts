/**
 * Questions and answers between two processes over Node's IPC. What is sent in one turn of the event loop travels as one
 * message: a message costs far more than what it carries.
 */
import { type AskOptions, LinkError } from "../core/worker-link.ts";

/** One end of the pipe. `send` may be called after the pipe is closed; it then does nothing. */
export interface Pipe {
  send(message: unknown): void;
}

export type Handler = (body: unknown) => unknown;

interface Question {
  readonly kind: "question";
  readonly id: number;
  readonly topic: string;
  readonly body: unknown;
}

interface Answer {
  readonly kind: "answer";
  readonly id: number;
  readonly body: unknown;
}

interface Refusal {
  readonly kind: "refusal";
  readonly id: number;
  readonly message: string;
}

/** A question whose answer nobody waits for. */
interface Notice {
  readonly kind: "notice";
  readonly topic: string;
  readonly body: unknown;
}

type Packet = Question | Answer | Refusal | Notice;

interface Batch {
  readonly packets: readonly Packet[];
}

interface Waiting {
  resolve(body: unknown): void;
  reject(error: LinkError): void;
  readonly timer: NodeJS.Timeout;
}

const defaultTimeoutMs = 1_000;

export class Channel {
  readonly #pipe: Pipe;
  readonly #handlers = new Map<string, Handler>();
  readonly #waiting = new Map<number, Waiting>();
  #outgoing: Packet[] = [];
  #lastId = 0;
  #closed = false;

  constructor(pipe: Pipe) {
    this.#pipe = pipe;
  }

  /** One handler per topic: a later one replaces an earlier. */
  serve(topic: string, handler: Handler): void {
    this.#handlers.set(topic, handler);
  }

  /** Rejects with LinkError: no answer in time, an unknown topic, a handler that threw, a closed channel. */
  ask(topic: string, body: unknown, { timeoutMs = defaultTimeoutMs }: AskOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.#closed) {
        reject(new LinkError("the other process is gone"));
        return;
      }
      const id = ++this.#lastId;
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(new LinkError(`no answer to ${topic} within ${timeoutMs} ms`));
      }, timeoutMs);
      timer.unref();
      this.#waiting.set(id, { resolve, reject, timer });
      this.#post({ kind: "question", id, topic, body });
    });
  }

  /** What it comes to is not learned. */
  tell(topic: string, body: unknown): void {
    this.#post({ kind: "notice", topic, body });
  }

  /** For the pipe's messages. False where the message is none of ours. */
  receive(message: unknown): boolean {
    if (!isBatch(message)) return false;
    for (const packet of message.packets) this.#take(packet);
    return true;
  }

  /** Sends what waits for the end of the turn now: for last words before the process ends. */
  flush(): void {
    if (this.#outgoing.length === 0) return;
    const packets = this.#outgoing;
    this.#outgoing = [];
    if (this.#closed) return;
    try {
      this.#pipe.send({ packets } satisfies Batch);
    } catch {
      for (const packet of packets) this.#sendAlone(packet);
    }
  }

  /** The pipe is gone: what waits fails. */
  close(): void {
    this.#closed = true;
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new LinkError("the other process is gone"));
    }
    this.#waiting.clear();
  }

  #post(packet: Packet): void {
    this.#outgoing.push(packet);
    if (this.#outgoing.length === 1) setImmediate(() => this.flush());
  }

  /** One body that cannot be cloned must cost neither its neighbours nor the process. */
  #sendAlone(packet: Packet): void {
    try {
      this.#pipe.send({ packets: [packet] } satisfies Batch);
    } catch (thrown) {
      const message = `it cannot be sent: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
      if (packet.kind === "question") this.#take({ kind: "refusal", id: packet.id, message });
      else if (packet.kind === "answer") this.#pipe.send({ packets: [{ kind: "refusal", id: packet.id, message }] } satisfies Batch);
    }
  }

  #take(packet: Packet): void {
    switch (packet.kind) {
      case "question":
        void this.#answer(packet);
        return;
      case "notice":
        void this.#handle(packet.topic, packet.body).catch(() => {});
        return;
      default: {
        const waiting = this.#waiting.get(packet.id);
        if (waiting === undefined) return; // too late
        this.#waiting.delete(packet.id);
        clearTimeout(waiting.timer);
        if (packet.kind === "answer") waiting.resolve(packet.body);
        else waiting.reject(new LinkError(packet.message));
      }
    }
  }

  async #answer({ id, topic, body }: Question): Promise<void> {
    try {
      this.#post({ kind: "answer", id, body: await this.#handle(topic, body) });
    } catch (thrown) {
      this.#post({ kind: "refusal", id, message: thrown instanceof Error ? thrown.message : String(thrown) });
    }
  }

  async #handle(topic: string, body: unknown): Promise<unknown> {
    const handler = this.#handlers.get(topic);
    if (handler === undefined) throw new LinkError(`nobody answers ${topic}`);
    return handler(body);
  }
}

function isBatch(message: unknown): message is Batch {
  return typeof message === "object" && message !== null && "packets" in message && Array.isArray(message.packets);
}
