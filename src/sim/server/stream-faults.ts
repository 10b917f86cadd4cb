/** Faults in the middle of a stream. */
import type { Fault } from "../faults.ts";
import { pause } from "../pace.ts";
import type { Exchange } from "./exchange.ts";
import { playFramedFault } from "./framed-faults.ts";
import type { Outlet } from "./outlet.ts";
import type { AnswerWriter } from "./wire.ts";

export interface StreamPlace {
  readonly exchange: Exchange;
  readonly outlet: Outlet;
  readonly writer: AnswerWriter;
  /** The block that grows, if any. */
  readonly growing: { readonly candidate: number; readonly block: number } | undefined;
}

/** Gives false where the stream is over. Never returns where the connection is. */
export async function playStreamFault(fault: Fault, place: StreamPlace): Promise<boolean> {
  const { outlet, exchange, writer, growing } = place;
  const framed = outlet.framing === undefined ? undefined : await playFramedFault(fault, outlet, outlet.framing, writer.keepAlive());
  if (framed !== undefined) return framed;
  switch (fault.name) {
    case "reset":
      if (fault.bytes === undefined || fault.bytes === 0) await outlet.reset();
      else outlet.resetAfter = fault.bytes;
      return true;
    case "stall":
      await pause(Number.POSITIVE_INFINITY, exchange.signal);
      return false;
    case "malformed":
      await outlet.frames([{ data: '{"sim": this is no JSON' }]);
      return true;
    case "truncated_json":
      await outlet.text(outlet.isArray ? ',\r\n{"sim": {"cut' : `data: {"sim": {"cut`);
      return false;
    case "bad_utf8":
      await outlet.bytes(
        Buffer.concat([
          Buffer.from('data: {"sim": "'),
          Buffer.from([0xff, 0xfe, 0xc3, 0x28]),
          Buffer.from(`"}${outlet.lineEnd.repeat(2)}`),
        ]),
      );
      return true;
    case "half_surrogate":
      if (growing === undefined) await outlet.frames([{ data: '{"sim": "\\ud83d"}' }]);
      else await outlet.frames(writer.write({ is: "grow", ...growing, text: "\ud83d", hidden: false, paced: false }));
      return true;
    case "huge_event":
      await outlet.text('data: {"sim": "');
      await repeat(outlet, "x", fault.bytes ?? (16 << 20) + 1);
      await outlet.text(`"}${outlet.lineEnd.repeat(2)}`);
      return true;
    case "endless_line":
      await outlet.text("data: ");
      await repeat(outlet, "x", fault.bytes ?? 256 << 20);
      return false;
    case "empty_lines":
      await repeat(outlet, outlet.isArray ? "\n" : `data:${outlet.lineEnd}`, fault.count ?? 100_000);
      await outlet.text(outlet.lineEnd);
      return true;
    case "comment_flood":
      await repeat(outlet, outlet.isArray ? "\n" : `: sim${outlet.lineEnd}`, fault.count ?? 100_000);
      await outlet.text(outlet.lineEnd);
      return true;
    case "ping_flood": {
      const frames = writer.keepAlive();
      for (let sent = 0; sent < (fault.count ?? 10_000); sent++) {
        if (frames.length > 0) await outlet.frames(frames);
        else await outlet.text(outlet.isArray ? "\n" : `: ping${outlet.lineEnd.repeat(2)}`);
      }
      return true;
    }
    case "error_event":
      await outlet.frames(writer.error({ status: 529 }));
      return false;
    case "unknown_event":
      await outlet.frames([{ event: "sim.unknown", data: { type: "sim.unknown", object: "sim.unknown", choices: [] } }]);
      return true;
    default:
      return false;
  }
}

const batchLength = 64 << 10;

async function repeat(outlet: Outlet, text: string, times: number): Promise<void> {
  const perBatch = Math.ceil(batchLength / text.length);
  for (let left = times; left > 0; left -= perBatch) await outlet.text(text.repeat(Math.min(left, perBatch)));
}
