/** A plain HTTP server for one test: it listens on loopback, remembers what it saw and is closed with its sockets. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { onTestFinished } from "vitest";

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface LocalServer {
  readonly origin: string;
  readonly port: number;
  readonly seen: SeenRequest[];
  /** Every connection ever made. */
  readonly sockets: Socket[];
  readonly server: Server;
}

export type Answer = (request: SeenRequest, response: ServerResponse) => void | Promise<void>;

export async function startServer(answer: Answer): Promise<LocalServer> {
  const seen: SeenRequest[] = [];
  const sockets: Socket[] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const request = {
        method: incoming.method ?? "",
        url: incoming.url ?? "",
        headers: incoming.headers,
        body: Buffer.concat(chunks).toString("utf8"),
      };
      seen.push(request);
      void answer(request, response);
    });
    incoming.on("error", () => {});
    response.on("error", () => {});
  });
  server.on("connection", (socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const { port } = server.address() as AddressInfo;
  return { origin: `http://127.0.0.1:${port}`, port, seen, sockets, server };
}

/** Resolves when a condition holds; fails the test when it does not within the time. */
export async function until(holds: () => boolean, ms = 5_000): Promise<void> {
  const end = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > end) throw new Error("the condition did not come to hold in time");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export function json(response: ServerResponse, value: unknown, status = 200, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}
