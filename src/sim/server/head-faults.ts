/** Faults that replace the beginning of an answer. */
import { gzipSync } from "node:zlib";
import type { Fault } from "../faults.ts";
import { pause } from "../pace.ts";
import type { Exchange } from "./exchange.ts";
import { htmlPage, type Problem } from "./problem.ts";
import type { Reading, Vendor } from "./wire.ts";

const elsewhere = "http://sim-elsewhere.invalid/v1/chat/completions";
const metadata = "http://169.254.169.254/latest/meta-data/";
const retryAfters: Readonly<Record<string, () => string | undefined>> = {
  rate_limit: () => "2",
  rate_limit_date: () => new Date(Date.now() + 2000).toUTCString(),
  rate_limit_huge: () => "1000000000",
  rate_limit_negative: () => "-1",
  rate_limit_junk: () => "soon",
  rate_limit_none: () => undefined,
};

/** Answers, or lets the connection go. */
export async function playHeadFault(fault: Fault, exchange: Exchange, vendor: Vendor, { stream }: Reading): Promise<void> {
  const { name } = fault;
  const retryAfter = retryAfters[name];
  if (retryAfter !== undefined) return sendProblem(exchange, vendor, rateLimit(fault.retryAfter ?? retryAfter()));
  const [kind, detail] = name.split("_");
  if (kind === "status") return sendProblem(exchange, vendor, { status: Number(detail) });
  if (kind === "html") return exchange.send(Number(detail), { "content-type": "text/html" }, htmlPage(Number(detail), "sim"));
  if (kind === "redirect") {
    const status = fault.status ?? (/^\d+$/.test(detail ?? "") ? Number(detail) : 307);
    const location = fault.location ?? (name === "redirect_metadata" ? metadata : elsewhere);
    return exchange.send(status, { location, "content-type": "text/plain" }, "");
  }
  const type = stream ? (vendor.streamType ?? "text/event-stream") : "application/json";
  switch (name) {
    case "stall_before":
      return pause(Number.POSITIVE_INFINITY, exchange.signal);
    case "quota":
      return sendProblem(exchange, vendor, quota(vendor));
    case "error_in_200":
      return exchange.json(200, vendor.error({ status: 500 }));
    case "empty_stream":
      return exchange.send(200, { "content-type": type }, "");
    case "compression_bomb":
      return sendBomb(exchange, type, fault.bytes ?? 512 << 20);
    case "stacked_encodings":
      return exchange.send(
        200,
        {
          "content-type": type,
          "content-encoding": Array(fault.count ?? 1000)
            .fill("gzip")
            .join(","),
        },
        gzipSync("{}"),
      );
    case "length_long":
      return exchange.raw(rawHead(type, "content-length: 1000") + '{"sim":', true);
    case "length_short":
      return exchange.raw(rawHead(type, "content-length: 5") + `{"sim": "${"x".repeat(100)}"}`, true);
    case "chunk_junk":
      return exchange.raw(`${rawHead(type, "transfer-encoding: chunked")}zzz\r\n{"sim":1}\r\n0\r\n\r\n`, true);
    case "repeated_headers":
      return exchange.raw(`${rawHead(type, "content-length: 2\r\nContent-Length: 11")}{"sim": 1}\n`, true);
    case "informational_flood":
      return exchange.raw(
        "HTTP/1.1 103 Early Hints\r\nlink: </sim>\r\n\r\n".repeat(fault.count ?? 10_000) + `${rawHead(type, "content-length: 2")}{}`,
        true,
      );
    default:
      exchange.reset();
  }
}

export function sendProblem(exchange: Exchange, vendor: Vendor, problem: Problem): Promise<void> {
  const { retryAfter, status } = problem;
  const headers = { ...vendor.errorHeaders?.(problem), ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }) };
  return exchange.json(status, vendor.error(problem), headers);
}

function rateLimit(retryAfter: string | undefined): Problem {
  return retryAfter === undefined ? { status: 429 } : { status: 429, retryAfter };
}

function quota({ name }: Vendor): Problem {
  if (name === "anthropic") return { status: 402, type: "billing_error", message: "Your credit balance is too low to access the API." };
  if (name === "bedrock") return { status: 429, message: "Too many tokens per day, please wait before trying again." };
  if (name === "cohere") return { status: 402 };
  const message = "You exceeded your current quota, please check your plan and billing details.";
  if (name === "openai") return { status: 429, type: "insufficient_quota", code: "insufficient_quota", message };
  return { status: 429, message, reason: "GenerateRequestsPerDayPerProjectPerModel-FreeTier" };
}

function rawHead(type: string, headers: string): string {
  return `HTTP/1.1 200 OK\r\ncontent-type: ${type}\r\n${headers}\r\n\r\n`;
}

const memberSize = 16 << 20;
let member: Buffer | undefined;

/** Gzip members one after the other are one stream to whoever opens them, so one member serves for any size. */
async function sendBomb(exchange: Exchange, type: string, bytes: number): Promise<void> {
  member ??= gzipSync(Buffer.alloc(memberSize, " "), { level: 9 });
  exchange.head(200, { "content-type": type, "content-encoding": "gzip" });
  for (let sent = 0; sent < bytes; sent += memberSize) await exchange.write(member);
  exchange.end();
}
