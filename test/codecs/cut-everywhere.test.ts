/**
 * Every stream of every fixture, cut at every byte: the readers give the same events, and the records put together are the
 * very bytes that came.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createAnthropicMessagesCodec } from "../../src/codecs/anthropic-messages/index.ts";
import { createGeminiCodec } from "../../src/codecs/gemini/index.ts";
import { createOpenAiChatCodec } from "../../src/codecs/openai-chat/index.ts";
import { createOpenAiResponsesCodec } from "../../src/codecs/openai-responses/index.ts";
import type { UpstreamCodec } from "../../src/core/dialect.ts";
import type { GenerateEvent } from "../../src/core/event.ts";
import { SseReader } from "../../src/core/sse.ts";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";

const fixtures = join(import.meta.dirname, "../fixtures");
const codecs: readonly UpstreamCodec[] = [
  createOpenAiChatCodec(),
  createOpenAiResponsesCodec(),
  createAnthropicMessagesCodec(),
  createGeminiCodec(),
];

interface Stream {
  readonly name: string;
  readonly codec: UpstreamCodec;
  readonly bytes: Buffer;
}

const recorded = codecs.flatMap((codec): Stream[] => {
  const folder = join(fixtures, codec.format);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).map((name) => ({
    name: `${codec.format}/${name}`,
    codec,
    bytes: readFileSync(join(folder, name, "stream.sse")),
  }));
});

/** What the simulator sends for a script with everything that opens and closes a block. */
const script = JSON.stringify({
  sim_script: {
    steps: [{ reasoning: "Hm, 世." }, { text: "Grüezi 🎉" }, { tool_call: { name: "f", arguments: { a: "ü" } } }],
    delta_size: 3,
  },
});
const requests: Readonly<Record<string, { readonly path: string; readonly body: object }>> = {
  "openai-chat": { path: "/v1/chat/completions", body: { model: "gpt-4o", stream: true, messages: [{ role: "user", content: script }] } },
  "openai-responses": { path: "/v1/responses", body: { model: "gpt-5", stream: true, input: script, store: false } },
  "anthropic-messages": {
    path: "/v1/messages",
    body: { model: "claude-opus-4-7", stream: true, max_tokens: 500, messages: [{ role: "user", content: script }] },
  },
  gemini: {
    path: "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse",
    body: { contents: [{ role: "user", parts: [{ text: script }] }] },
  },
};

async function simulate(sim: SimServer, codec: UpstreamCodec): Promise<Stream> {
  const { path, body } = requests[codec.format] ?? { path: "/", body: {} };
  const headers = {
    "content-type": "application/json",
    authorization: "Bearer k",
    "x-api-key": "k",
    "x-goog-api-key": "k",
    "anthropic-version": "2023-06-01",
  };
  const response = await fetch(sim.url + path, { method: "POST", headers, body: JSON.stringify(body) });
  const bytes = Buffer.from(await response.arrayBuffer());
  if (!response.ok) throw new Error(`${codec.format}: ${bytes}`);
  return { name: `${codec.format}, simulated`, codec, bytes };
}

const sim = await startSim({ port: 0 });
const streams = [...recorded, ...(await Promise.all(codecs.map((codec) => simulate(sim, codec))))];
await sim.close();

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
  test("case 17: gives the same events and the same bytes for every cut", () => {
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
