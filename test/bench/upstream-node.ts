/** The upstream of the bench where there is no C compiler: the same answers as upstream.c, for more CPU time. */
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { microseconds } from "./tally.ts";

const recordsPerWrite = 4;
const directory = process.argv[2];
if (directory === undefined) throw new Error("usage: upstream-node.ts DIRECTORY");
const read = (name: string) => readFileSync(join(directory, name));
const whole = { chat: read("chat.json"), float: read("float.json"), base64: read("base64.json") };
const first = read("first.txt");
const last = read("last.txt");
const [beforeMarker = "", afterMarker = ""] = read("record.txt").toString().split("~0000.000000000000");
let streams = 0;

function record(number: number): string {
  const written = String(Math.floor(microseconds() % 1e12)).padStart(12, "0");
  return `${beforeMarker}~${String(number % 10000).padStart(4, "0")}.${written}${afterMarker}`;
}

function answerWhole(response: ServerResponse, body: Buffer): void {
  response.writeHead(200, { "content-type": "application/json", "x-request-id": "req_bench", "content-length": body.length });
  response.end(body);
}

/** `pace` records a second; 0 is a burst. */
function answerStream(response: ServerResponse, total: number, pace: number): void {
  response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", "x-request-id": "req_bench" });
  response.write(first);
  let sent = 0;
  const send = (count: number): boolean => {
    let text = "";
    for (const end = Math.min(total, sent + count); sent < end; sent++) text += record(sent);
    const hasRoom = response.write(text);
    if (sent === total) response.end(last);
    return hasRoom;
  };
  if (pace === 0) {
    const goOn = () => {
      if (sent === total || response.destroyed) return;
      if (send(recordsPerWrite)) setImmediate(goOn);
      else response.once("drain", goOn);
    };
    goOn();
    return;
  }
  const interval = 1000 / pace;
  // Streams that begin together are spread over the interval by the golden ratio.
  const begin = performance.now() + ((streams++ * 0.6180339887) % 1) * interval;
  const tick = () => {
    if (response.destroyed) return;
    while (sent < total && performance.now() >= begin + sent * interval) send(1);
    if (sent < total) setTimeout(tick, Math.max(0, begin + sent * interval - performance.now()));
  };
  tick();
}

const server = createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts).toString("latin1");
    if (request.url?.includes("/embeddings")) return answerWhole(response, body.includes('"base64"') ? whole.base64 : whole.float);
    if (!/"stream": ?true/.test(body)) return answerWhole(response, whole.chat);
    const [, total = "32", pace = "0"] = /"bench-sse-(\d+)-(\d+)/.exec(body) ?? [];
    answerStream(response, Number(total), Number(pace));
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", 1024, () => console.log(`listening ${(server.address() as AddressInfo).port}`));
