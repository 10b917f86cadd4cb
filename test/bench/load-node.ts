/**
 * The load of the bench where there is no C compiler: takes the arguments of load.c, makes the same checks, prints the
 * same line. Timers of Node are late by up to a millisecond, so a request at a constant rate counts from when it was sent.
 */
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { MarkerCheck, microseconds, readSettings, Tally } from "./tally.ts";

const settings = readSettings(process.argv.slice(2));
const number = (key: string, absent: number) => Number(settings.get(key) ?? absent);
const file = (key: string) => (settings.has(key) ? readFileSync(settings.get(key) ?? "") : undefined);
const request = file("request") ?? Buffer.alloc(0);
const contains = file("contains");
const countText = settings.get("count");
const markers = number("markers", 0);
const doneMark = file("end")?.toString("latin1").slice(-14) ?? "data: [DONE]\n\n";
const tally = new Tally();

function bodyFault(status: number, body: Buffer): string {
  if (status !== 200) return `wrong status; status ${status}; ${body.toString("latin1", 0, 160)}`;
  if (body.length < number("least", 0)) return `body too short: ${body.length} bytes`;
  if (contains && !body.includes(contains)) return "expected text not in the body";
  if (countText !== undefined && body.toString("latin1").split(countText).length - 1 !== number("times", 0)) {
    return "wrong number of parts in the body";
  }
  return "";
}

/** Takes the bytes of one answer as they come; knows when it is complete. */
class Answer {
  status = 0;
  bytes = 0;
  complete = false;
  closes = false;
  readonly #began: number;
  readonly #check = new MarkerCheck(tally);
  readonly #kept: Buffer[] = [];
  #head = "";
  #framing: "head" | "length" | "size" | "chunk" | "chunk-end" | "trailer" | "close" = "head";
  #left = 0;
  #line = "";
  #tail = "";

  constructor(began: number) {
    this.#began = began;
  }

  fault(): string {
    if (!this.complete) return "connection closed inside an answer";
    if (markers === 0 || this.status !== 200) return bodyFault(this.status, Buffer.concat(this.#kept));
    return this.#check.fault(markers) || (this.#tail === doneMark ? "" : "stream without its last record");
  }

  end(): void {
    if (this.#framing === "close") this.complete = true;
  }

  take(data: Buffer): void {
    let at = 0;
    while (at < data.length && !this.complete) {
      if (this.#framing === "head") {
        const before = this.#head.length;
        this.#head += data.toString("latin1", at);
        const end = this.#head.indexOf("\r\n\r\n");
        if (end === -1) return;
        at += end + 4 - before;
        this.#readHead(this.#head.slice(0, end));
      } else if (this.#framing === "length" || this.#framing === "chunk" || this.#framing === "close") {
        const part = data.subarray(at, this.#framing === "close" ? data.length : at + this.#left);
        this.#takeBody(part);
        at += part.length;
        this.#left -= part.length;
        if (this.#framing === "close" || this.#left > 0) continue;
        if (this.#framing === "length") this.complete = true;
        else this.#framing = "chunk-end";
      } else {
        const end = data.indexOf(10, at);
        this.#line += data.toString("latin1", at, end === -1 ? data.length : end);
        if (end === -1) return;
        at = end + 1;
        this.#takeLine(this.#line.trim());
        this.#line = "";
      }
    }
  }

  #readHead(head: string): void {
    this.status = Number(/^HTTP\/1\.\d (\d+)/.exec(head)?.[1] ?? 0);
    const length = /^content-length: *(\d+)/im.exec(head)?.[1];
    this.#left = Number(length ?? 0);
    this.#framing = length !== undefined ? "length" : /^transfer-encoding: *chunked/im.test(head) ? "size" : "close";
    this.closes = this.#framing === "close" || /^connection: *close/im.test(head);
    this.complete = this.#framing === "length" && this.#left === 0;
  }

  #takeLine(line: string): void {
    if (this.#framing === "chunk-end") this.#framing = "size";
    else if (this.#framing === "trailer") this.complete = line === "";
    else {
      this.#left = Number.parseInt(line, 16);
      this.#framing = this.#left > 0 ? "chunk" : "trailer";
    }
  }

  #takeBody(part: Buffer): void {
    if (this.bytes === 0) tally.firstByte(this.#began);
    this.bytes += part.length;
    if (markers === 0 || this.status !== 200) {
      this.#kept.push(Buffer.from(part));
      return;
    }
    const text = part.toString("latin1");
    this.#tail = (this.#tail + text).slice(-doneMark.length);
    this.#check.take(text);
  }
}

/** One connection with one request at a time; opens anew when it was closed. */
class Connection {
  #socket: Socket | undefined;
  #answer: Answer | undefined;
  #answered: () => void = () => {};

  async ask(): Promise<void> {
    const socket = this.#socket ?? (await this.#open());
    const began = microseconds();
    const answer = new Answer(began);
    this.#answer = answer;
    socket.write(request);
    await new Promise<void>((resolve) => (this.#answered = resolve));
    const fault = answer.fault();
    tally.answered(began, answer.bytes, fault);
    if (fault !== "" || answer.closes) this.close();
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port: number("port", 0), host: "127.0.0.1", noDelay: true }, () => resolve(socket));
      this.#socket = socket;
      socket.on("data", (data: Buffer) => {
        this.#answer?.take(data);
        if (this.#answer?.complete) this.#answered();
      });
      socket.on("error", reject);
      socket.on("close", () => {
        if (this.#socket === socket) this.#socket = undefined;
        this.#answer?.end();
        this.#answered();
      });
    });
  }
}

const connections = Array.from({ length: number("connections", 1) }, () => new Connection());
const begin = performance.now();
const end = begin + number("seconds", 1) * 1000;
const rate = number("rate", 0);

if (rate > 0) {
  const idle = [...connections];
  const underWay = new Set<Promise<void>>();
  for (let sent = 0; sent < Math.floor(rate * number("seconds", 1)); sent++) {
    const due = begin + (sent * 1000) / rate;
    while (performance.now() < due) await sleep(Math.max(1, due - performance.now()));
    while (idle.length === 0) await Promise.race(underWay);
    const connection = idle.pop() as Connection;
    const asked: Promise<void> = connection.ask().finally(() => {
      idle.push(connection);
      underWay.delete(asked);
    });
    underWay.add(asked);
  }
  await Promise.all(underWay);
} else {
  let left = number("total", Number.POSITIVE_INFINITY);
  const askUntilOver = async (connection: Connection) => {
    while (left-- > 0 && performance.now() < end) await connection.ask();
  };
  await Promise.all(connections.map(askUntilOver));
}
for (const connection of connections) connection.close();
tally.print();
