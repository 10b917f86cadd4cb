/**
 * Cuts a streamed answer for its codec, and where the client speaks the same format gives the bytes for it as well: the
 * upstream's own chunk wherever a chunk ends with a record and the client gets all of it.
 */
import type { AnswerRelay, EventReader, FrameReader } from "../core/dialect.ts";
import type { EventBatch, GenerateEvent } from "../core/event.ts";
import { SseReader } from "../core/sse.ts";

export interface StreamCutter {
  /** Reads what one chunk completes, up to the end mark. Throws GatewayError; what was read until then is still taken. */
  read(chunk: Uint8Array): void;
  /** The stream is complete, by its end mark or because the connection ended. Throws GatewayError where it is not. */
  end(): void;
  /** The stream broke. */
  abandon(): void;
  /** What has come since the last take; undefined where nothing has. */
  take(): EventBatch | undefined;
}

/** Events alone. */
export function cutFrames(frames: FrameReader, reader: EventReader): StreamCutter {
  let events: GenerateEvent[] = [];
  return {
    read(chunk) {
      for (const frame of frames.read(chunk)) {
        for (const event of reader.read(frame)) events.push(event);
        if (reader.done) return;
      }
    },
    end() {
      for (const event of reader.end()) events.push(event);
    },
    abandon() {
      for (const event of reader.abandon()) events.push(event);
    },
    take() {
      const taken = events;
      events = [];
      return taken.length === 0 ? undefined : { events: taken };
    },
  };
}

/** Events and the client's bytes. A record that is an error or cannot be read is not relayed; those before it are. */
export function cutRecords(relay: AnswerRelay, reader: EventReader): StreamCutter {
  const records = new SseReader();
  let events: GenerateEvent[] = [];
  let text = "";
  let chunk: Uint8Array | undefined;
  return {
    read(bytes) {
      let isWhole = records.isBetweenRecords;
      for (const record of records.readRecords(bytes)) {
        const read = record.frame === undefined ? [] : reader.read(record.frame);
        for (const event of read) events.push(event);
        const written = relay.writeRecord(record, read);
        if (written !== record.source) isWhole = false;
        text += written;
        if (reader.done) break;
      }
      // What follows the end mark is nothing of the answer.
      if (isWhole && records.isBetweenRecords && !reader.done) chunk = bytes;
    },
    end() {
      for (const event of reader.end()) events.push(event);
      text += relay.end();
      chunk = undefined;
    },
    abandon() {
      for (const event of reader.abandon()) events.push(event);
    },
    take() {
      if (events.length === 0 && text === "") return undefined;
      const taken = { events, raw: chunk ?? Buffer.from(text) };
      events = [];
      text = "";
      chunk = undefined;
      return taken;
    },
  };
}
