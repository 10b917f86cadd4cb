/** Clients that send what no library would. */
import net from "node:net";

/** Sends text or bytes and gives everything that comes back until the server closes (or `untilText` was seen). */
export function exchange(port: number, send: string | Buffer, untilText?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1", () => socket.write(send));
    let received = "";
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end after 3 s; received: ${received.slice(0, 300)}`));
    }, 3_000);
    const end = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(received);
    };
    socket.setEncoding("latin1");
    socket.on("data", (text) => {
      received += text;
      if (untilText !== undefined && received.includes(untilText)) end();
    });
    socket.on("error", end);
    socket.on("close", end);
  });
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
}

export function parseAnswer(received: string): RawAnswer {
  const split = received.indexOf("\r\n\r\n");
  return {
    status: Number(/^HTTP\/1\.1 (\d+)/.exec(received)?.[1]),
    headers: received.slice(0, split).toLowerCase(),
    body: received.slice(split + 4),
  };
}

const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/** One HTTP/2 frame (RFC 9113 section 4.1). */
export function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** The preface and empty SETTINGS. */
export const opening = Buffer.concat([Buffer.from(preface), frame(4, 0, 0)]);

/** Header fields as literals without indexing (RFC 7541 section 6.2.2). Names and values up to 126 bytes. */
export function literals(fields: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]),
  );
}

export interface RawFrame {
  readonly type: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A connection that speaks frames; `frames` grows as the server answers. */
export function connectFrames(port: number): { socket: net.Socket; frames: RawFrame[]; closed: Promise<void> } {
  const socket = net.connect(port, "127.0.0.1");
  const frames: RawFrame[] = [];
  let buffer = Buffer.alloc(0);
  socket.on("data", (bytes) => {
    buffer = Buffer.concat([buffer, bytes]);
    while (buffer.length >= 9) {
      const length = buffer.readUIntBE(0, 3);
      if (buffer.length < 9 + length) return;
      frames.push({ type: buffer[3] as number, stream: buffer.readUInt32BE(5), payload: buffer.subarray(9, 9 + length) });
      buffer = buffer.subarray(9 + length);
    }
  });
  socket.on("error", () => {});
  return { socket, frames, closed: new Promise((resolve) => socket.once("close", () => resolve())) };
}
