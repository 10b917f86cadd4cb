/** The answer of a generation as bytes: its events in the batches in which they came, so that a replay is written alike. */
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { GenerateResponseSchema } from "../../gen/dragoman/v1/generate_pb.ts";
import type { EventBatch } from "../core/event.ts";

/** Of a batch its number of events, of an event its length: 32 bits, big-endian. */
const prefixBytes = 4;

/** Takes an answer down while it comes, as long as it is not too large. */
export class AnswerRecording {
  readonly #maxBytes: number;
  #pieces: Uint8Array[] = [];
  #bytes = 0;
  #tooLarge = false;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  add({ events }: EventBatch): void {
    if (this.#tooLarge) return;
    this.#push(prefix(events.length));
    for (const event of events) {
      const bytes = toBinary(GenerateResponseSchema, event);
      this.#push(prefix(bytes.length));
      this.#push(bytes);
    }
    if (this.#bytes <= this.#maxBytes) return;
    this.#tooLarge = true;
    this.#pieces = [];
  }

  /** Undefined where it was too large. */
  take(): Uint8Array | undefined {
    return this.#tooLarge ? undefined : Buffer.concat(this.#pieces);
  }

  #push(bytes: Uint8Array): void {
    this.#pieces.push(bytes);
    this.#bytes += bytes.length;
  }
}

/** What a recording took down. */
export function* readRecording(bytes: Uint8Array): Generator<EventBatch> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const next = (): number => {
    const value = buffer.readUInt32BE(at);
    at += prefixBytes;
    return value;
  };
  while (at < buffer.length) {
    const events = Array.from({ length: next() }, () => {
      const length = next();
      const event = fromBinary(GenerateResponseSchema, buffer.subarray(at, at + length));
      at += length;
      return event;
    });
    yield { events };
  }
}

function prefix(value: number): Uint8Array {
  const bytes = Buffer.alloc(prefixBytes);
  bytes.writeUInt32BE(value);
  return bytes;
}
