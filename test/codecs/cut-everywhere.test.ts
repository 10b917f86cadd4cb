/**
 * Every stream of every fixture, cut at every byte: the readers give the same events, and the records put together are the
 * very bytes that came.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createAnthropicMessagesCodec } from "../../src/codecs/anthropic-messages/index.ts";
import { createGeminiCodec } from "../../src/codecs/gemini/index.ts";
import { createOpenAiChatCodec } from "../../src/codecs/openai-chat/index.ts";
import type { UpstreamCodec } from "../../src/core/dialect.ts";
import type { GenerateEvent } from "../../src/core/event.ts";
import { SseReader } from "../../src/core/sse.ts";

const fixtures = join(import.meta.dirname, "../fixtures");
const codecs: readonly UpstreamCodec[] = [createOpenAiChatCodec(), createAnthropicMessagesCodec(), createGeminiCodec()];

const streams = codecs.flatMap((codec) =>
  readdirSync(join(fixtures, codec.format))
    .map((name) => ({ name: `${codec.format}/${name}`, codec, file: join(fixtures, codec.format, name, "stream.sse") }))
    .map((entry) => ({ ...entry, bytes: readFileSync(entry.file) })),
);

interface Read {
  readonly events: string;
  readonly text: string;
}

function read(codec: UpstreamCodec, chunks: readonly Uint8Array[]): Read {
  const records = new SseReader();
  const reader = codec.eventReader("p");
  const events: GenerateEvent[] = [];
  let text = "";
  for (const chunk of chunks) {
    for (const { frame, source } of records.readRecords(chunk)) {
      text += source;
      if (frame !== undefined) events.push(...reader.read(frame));
    }
  }
  events.push(...reader.end());
  expect(records.isBetweenRecords).toBe(true);
  return { events: steady(events), text };
}

/** As text, without ids that are made anew each time. */
function steady(events: readonly GenerateEvent[]): string {
  return JSON.stringify(events, (_, value) => (typeof value === "bigint" ? String(value) : value)).replace(/dgm_\w+/g, "dgm_");
}

function framesOnly(codec: UpstreamCodec, bytes: Uint8Array): string {
  const reader = codec.eventReader("p");
  const events = new SseReader().read(bytes).flatMap((frame) => reader.read(frame));
  return steady([...events, ...reader.end()]);
}

describe.each(streams)("$name", ({ codec, bytes }) => {
  test("gives the same events and the same bytes for every cut", () => {
    const whole = read(codec, [bytes]);
    expect(whole.text).toBe(bytes.toString());
    expect(whole.events).toBe(framesOnly(codec, bytes));
    for (let cut = 1; cut < bytes.length; cut++) {
      const halves = read(codec, [bytes.subarray(0, cut), bytes.subarray(cut)]);
      if (halves.events !== whole.events || halves.text !== whole.text) throw new Error(`differs when cut at byte ${cut}`);
    }
    expect(
      read(
        codec,
        Array.from(bytes, (byte) => Uint8Array.of(byte)),
      ),
    ).toEqual(whole);
  });

  test("gives the same events with CRLF, however it is cut", () => {
    const crlf = Buffer.from(bytes.toString().replaceAll("\n", "\r\n"));
    const events = framesOnly(codec, bytes);
    for (let cut = 1; cut < crlf.length; cut++) {
      const halves = read(codec, [crlf.subarray(0, cut), crlf.subarray(cut)]);
      if (halves.events !== events || halves.text !== crlf.toString()) throw new Error(`differs when cut at byte ${cut}`);
    }
  });
});
