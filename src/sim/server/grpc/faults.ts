/** Faults in the form that gRPC has for them. One that has none fails the call and says so. */
import { gzipSync } from "node:zlib";
import type { Fault } from "../../faults.ts";
import { pause } from "../../pace.ts";
import { htmlPage, type Problem } from "../problem.ts";
import type { GrpcExchange } from "./exchange.ts";
import type { GrpcVendor } from "./vendor.ts";

const retryAfters: Readonly<Record<string, string | undefined>> = {
  rate_limit: "2",
  rate_limit_huge: "1000000000",
  rate_limit_none: undefined,
};

/** Instead of an answer. */
export async function playHeadFault(fault: Fault, exchange: GrpcExchange, vendor: GrpcVendor): Promise<void> {
  const { name } = fault;
  if (Object.hasOwn(retryAfters, name)) return fail(exchange, vendor, rateLimit(fault.retryAfter ?? retryAfters[name]));
  const [kind, detail] = name.split("_");
  if (kind === "status") return fail(exchange, vendor, { status: Number(detail) });
  if (kind === "html") return exchange.plain(Number(detail), { "content-type": "text/html" }, htmlPage(Number(detail), "sim"));
  if (kind === "redirect") return exchange.plain(307, { location: "http://elsewhere.invalid/" }, "");
  switch (name) {
    case "refuse":
    case "reset_before":
      return exchange.reset();
    case "stall_before":
      return pause(Number.POSITIVE_INFINITY, exchange.signal);
    case "quota":
      return fail(exchange, vendor, quota(vendor));
    case "error_in_200":
      return fail(exchange, vendor, { status: 500 });
    case "empty_stream":
      exchange.begin();
      return exchange.end({ code: 0, message: "" });
    case "compression_bomb": {
      exchange.begin({ "grpc-encoding": "gzip" });
      const packed = packSpaces(fault.bytes ?? 128 << 20);
      await exchange.bytes(frame(packed, 1, packed.length));
      return exchange.end({ code: 0, message: "" });
    }
    case "length_long":
      exchange.begin();
      await exchange.bytes(frame(Buffer.from("{}"), 0, 1_000));
      return exchange.end({ code: 0, message: "" });
    default:
      return fail(exchange, vendor, { status: 500, message: `The fault ${name} has no form in gRPC.` });
  }
}

/** In the middle of a stream. Gives false where the stream is over. */
export async function playStreamFault(fault: Fault, exchange: GrpcExchange, vendor: GrpcVendor): Promise<boolean> {
  switch (fault.name) {
    case "reset":
      // What was written before is given time to leave.
      await pause(20, exchange.signal);
      exchange.reset();
      return false;
    case "stall":
      await pause(Number.POSITIVE_INFINITY, exchange.signal);
      return false;
    case "malformed":
    case "bad_utf8":
    case "half_surrogate":
      await exchange.message(new Uint8Array([0xff, 0xff, 0xff, 0xff, 0xff]));
      return true;
    case "truncated_json":
      await exchange.bytes(frame(Buffer.from("cut"), 0, 1_000));
      exchange.end({ code: 0, message: "" });
      return false;
    case "huge_event":
    case "endless_line":
      await exchange.bytes(frame(Buffer.alloc(0), 0, fault.bytes ?? 256 << 20));
      for (let sent = 0; sent < (fault.bytes ?? 256 << 20); sent += blanks.length) await exchange.bytes(blanks);
      return false;
    case "empty_lines":
    case "comment_flood":
    case "ping_flood":
      for (let sent = 0; sent < (fault.count ?? 10_000); sent++) await exchange.message(new Uint8Array());
      return true;
    case "error_event":
      exchange.end(vendor.status({ status: 503 }));
      return false;
    case "unknown_event":
      await exchange.message(unknownField);
      return true;
    default:
      // The end of a stream without a status.
      exchange.cutStream();
      return false;
  }
}

/** Field 15000, which no message has: the varint 1. */
export const unknownField = new Uint8Array([0xc0, 0xa9, 0x07, 0x01]);

const blanks = Buffer.alloc(64 << 10, " ");

export function fail(exchange: GrpcExchange, vendor: GrpcVendor, problem: Problem): void {
  exchange.end(vendor.status(problem));
}

function rateLimit(retryAfter: string | undefined): Problem {
  return retryAfter === undefined ? { status: 429 } : { status: 429, retryAfter };
}

function quota({ name }: GrpcVendor): Problem {
  if (name === "gemini") return { status: 429, reason: "GenerateRequestsPerDayPerProjectPerModel-FreeTier" };
  return { status: 429, message: "Your team has used all available credits or reached its monthly spending limit." };
}

function frame(bytes: Uint8Array, flag: number, length: number): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(flag);
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, bytes]);
}

const memberSize = 1 << 20;

/** Spaces by the mebibyte as gzip, member after member (RFC 1952, 2.2): to pack them all takes seconds. */
function packSpaces(bytes: number): Buffer {
  const member = gzipSync(Buffer.alloc(memberSize, " "));
  return Buffer.concat(Array<Buffer>(Math.ceil(bytes / memberSize)).fill(member));
}
