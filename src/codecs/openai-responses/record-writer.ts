/** The records of a stream, numbered; neighbouring deltas of one shape share a record. */
import { type Writable, writeJson } from "../../core/json.ts";

/** What stands around the text of a block's deltas: built once, and told apart by identity. */
export interface DeltaShape {
  readonly type: string;
  /** Up to the number of the record. */
  readonly head: string;
  /** From there to the text. */
  readonly tail: string;
}

/** `place`: JSON text of the members that say where the delta belongs, each after a comma. */
export function deltaShape(type: string, place: string): DeltaShape {
  return { type, head: `event: ${type}\ndata: {"type":"${type}","sequence_number":`, tail: `${place},"delta":` };
}

export class RecordWriter {
  #sequence = 0;
  #pending: DeltaShape | undefined;
  #pendingText = "";
  #out = "";

  write(type: string, members: { readonly [key: string]: Writable }): void {
    this.flush();
    this.#out += `event: ${type}\ndata: ${writeJson({ type, sequence_number: this.#sequence++, ...members })}\n\n`;
  }

  /** Text that waits for its neighbours until something else is written, or `flush`. */
  append(shape: DeltaShape, text: string): void {
    if (text === "") return;
    if (this.#pending !== shape) {
      this.flush();
      this.#pending = shape;
    }
    this.#pendingText += text;
  }

  flush(): void {
    if (this.#pending === undefined) return;
    const { head, tail } = this.#pending;
    this.#out += `${head}${this.#sequence++}${tail}${JSON.stringify(this.#pendingText)}}\n\n`;
    this.#pending = undefined;
    this.#pendingText = "";
  }

  /** What was written since the last time, without text that still waits. */
  take(): string {
    const out = this.#out;
    this.#out = "";
    return out;
  }

  /** Goes on after records that were written elsewhere: with the number after their highest. */
  continueAfter(records: Uint8Array): void {
    // Inside a JSON string the quotes would be escaped.
    const numbers = Buffer.from(records)
      .toString("latin1")
      .matchAll(/"sequence_number":\s*(\d+)/g);
    this.#sequence = Math.max(-1, ...Array.from(numbers, ([, number]) => Number(number))) + 1;
  }
}
