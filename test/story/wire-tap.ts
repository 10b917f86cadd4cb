/** A tap on the wire: what goes through to another port, written down byte by byte. */

import type { AddressInfo } from "node:net";
import { connect, createServer, type Socket } from "node:net";

export interface WireTap {
  readonly url: string;
  /** Where it leads; to be set before the first connection. */
  target: number;
  /** What clients sent, a text for each connection, a character for each byte. */
  sent(): string[];
  clear(): void;
  close(): Promise<void>;
}

export interface SentRequest {
  readonly method: string;
  readonly path: string;
  /** As they were written, in order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

export async function startWireTap(): Promise<WireTap> {
  const sockets = new Set<Socket>();
  let connections: Buffer[][] = [];
  const server = createServer((client) => {
    const pieces: Buffer[] = [];
    connections.push(pieces);
    const upstream = connect(tap.target, "127.0.0.1");
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket)).on("error", () => socket.destroy());
    }
    client.on("data", (piece: Buffer) => pieces.push(piece)).pipe(upstream);
    upstream.pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const tap: WireTap = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    target: 0,
    sent: () => connections.map((pieces) => Buffer.concat(pieces).toString("latin1")),
    clear() {
      // Connections that stay open go on being written down.
      for (const pieces of connections) pieces.length = 0;
      connections = connections.slice(-1_000);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
  return tap;
}

/** The requests of one connection. Throws where they cannot be told apart. */
export function readRequests(text: string): SentRequest[] {
  const requests: SentRequest[] = [];
  let at = 0;
  while (at < text.length) {
    const end = text.indexOf("\r\n\r\n", at);
    if (end === -1) throw new Error(`no end of the head: ${text.slice(at, at + 80)}`);
    const [first = "", ...lines] = text.slice(at, end).split("\r\n");
    const [method = "", path = ""] = first.split(" ");
    const headers = lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
    });
    requests.push({ method, path, headers });
    at = endOfBody(text, end + 4, headers);
  }
  return requests;
}

function endOfBody(text: string, start: number, headers: SentRequest["headers"]): number {
  const header = (wanted: string) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1];
  if (header("transfer-encoding") === undefined) return start + Number(header("content-length") ?? 0);
  for (let at = start; ; ) {
    const line = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, line), 16);
    at = line + 2 + size + 2;
    if (size === 0) return at;
    if (!(size > 0)) throw new Error("no length of a chunk");
  }
}
