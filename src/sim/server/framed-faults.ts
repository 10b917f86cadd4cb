/** Faults in the middle of a stream whose records are no lines: what breaks SSE, in the form that such records have. */
import type { Fault } from "../faults.ts";
import type { Outlet } from "./outlet.ts";
import type { Frame, Framing } from "./wire.ts";

/** Gives false where the stream is over; undefined for faults that are the same in every format. */
export async function playFramedFault(
  { name, bytes, count }: Fault,
  outlet: Outlet,
  framing: Framing,
  keepAlive: readonly Frame[],
): Promise<boolean | undefined> {
  switch (name) {
    case "truncated_json": {
      const whole = framing.encode({ data: { sim: { cut: true } } });
      await outlet.bytes(whole.subarray(0, Math.floor(whole.length / 2)));
      return false;
    }
    case "bad_utf8":
      await outlet.bytes(
        framing.encodeBytes(
          "contentBlockDelta",
          Buffer.concat([Buffer.from('{"sim": "'), Buffer.from([0xff, 0xfe, 0xc3, 0x28]), Buffer.from('"}')]),
        ),
      );
      return true;
    case "huge_event":
      await outlet.bytes(framing.encodeBytes("contentBlockDelta", Buffer.alloc(bytes ?? (16 << 20) + 1, "x")));
      return true;
    case "endless_line": {
      // A record whose end never comes.
      const promised = bytes ?? 256 << 20;
      await outlet.bytes(framing.begin(promised));
      for (let left = promised - 1; left > 0; left -= filler.length) await outlet.bytes(filler.subarray(0, left));
      return false;
    }
    case "empty_lines":
    case "comment_flood":
      await repeat(outlet, Buffer.concat(keepAlive.map((frame) => framing.encode(frame))), count ?? 100_000);
      return true;
    case "unknown_event":
      await outlet.frames([{ event: "simUnknown", data: { sim: "unknown" } }]);
      return true;
    default:
      return undefined;
  }
}

const filler = Buffer.alloc(64 << 10, "x");

async function repeat(outlet: Outlet, record: Buffer, times: number): Promise<void> {
  const perBatch = Math.ceil(filler.length / record.length);
  const batch = Buffer.concat(Array.from({ length: perBatch }, () => record));
  for (let left = times; left > 0; left -= perBatch) await outlet.bytes(batch.subarray(0, Math.min(left, perBatch) * record.length));
}
