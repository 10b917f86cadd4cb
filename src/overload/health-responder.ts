/** The thread of health-thread.ts. */
import { createServer } from "node:http";
import { parentPort, workerData } from "node:worker_threads";
import { type HealthThreadData, monotonicMs } from "./health-thread.ts";

const { host, port, stallMs, beats: shared } = workerData as HealthThreadData;
const beats = new BigInt64Array(shared);

const server = createServer((request, response) => {
  const { status, text } = answer(request.method, request.url);
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" });
  response.end(request.method === "HEAD" ? "" : text);
});
server.maxConnections = 100;
server.listen(port, host, () => parentPort?.postMessage(server.address()));

function answer(method: string | undefined, url = ""): { status: number; text: string } {
  if (url.split("?", 1)[0] !== "/healthz") return { status: 404, text: "there is only /healthz" };
  if (method !== "GET" && method !== "HEAD") return { status: 405, text: "/healthz is read with GET" };
  const silentMs = Number(monotonicMs() - Atomics.load(beats, 0));
  return silentMs < stallMs ? { status: 200, text: "OK" } : { status: 503, text: "stalled" };
}
