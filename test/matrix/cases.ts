/** What is asked of every dialect and every format (issue's list, in its order). */
import { deflateSync } from "node:zlib";
import type { AnswerCandidate, AnswerUsage, Received, Scene, SceneTool } from "./scene.ts";
import { unknownValue } from "./scene.ts";

/** One thing that is tried in every cell. */
export interface Case {
  readonly name: string;
  /** What the simulated model does: the value of `sim_script`, without `id`. */
  readonly script: Readonly<Record<string, unknown>>;
  readonly scene: Scene;
  /** Earlier asks of the conversation; the scene's first user turn is theirs too. */
  readonly replays?: boolean;
  /** What the upstream must have been told, else it must have been reported. */
  readonly sent?: Received;
  /** What the client must find in the first candidate, if its dialect has a place for it. */
  readonly got?: Partial<AnswerCandidate>;
  readonly usage?: Partial<AnswerUsage>;
  /** Texts of all candidates, where there are several. */
  readonly texts?: readonly string[];
  /** The call fails: at once with one of these statuses (in the order of preference of surfaces.md), or inside the stream. */
  readonly fails?: { readonly reasons: readonly string[]; readonly partial?: string };
  /** Another key for the upstream, which refuses it. */
  readonly badKey?: boolean;
  /** The upstream's model takes unknown fields. */
  readonly lenient?: boolean;
  /** The provider's answer holds a field that nobody knows. */
  readonly unknownAnswer?: boolean;
}

const nested: SceneTool = {
  name: "search_flights",
  description: "Finds flights.",
  schema: {
    type: "object",
    properties: {
      origin: { type: "string", description: "IATA code" },
      legs: {
        type: "array",
        items: {
          type: "object",
          properties: { date: { type: "string" }, cabin: { type: "string", enum: ["economy", "business"] } },
          required: ["date"],
        },
      },
    },
    required: ["origin", "legs"],
  },
};

const weather: SceneTool = {
  name: "get_weather",
  description: "Tells the weather.",
  schema: { type: "object", properties: { place: { type: "string" } }, required: ["place"] },
};

const flight = { origin: "ZRH", legs: [{ date: "2026-12-24", cabin: "economy" }] };
const place = { place: "東京, 日本" };

const citySchema = {
  type: "object",
  properties: { city: { type: "string" }, population: { type: "integer" } },
  required: ["city", "population"],
  additionalProperties: false,
};

/** A PNG of one colour. */
const png = makePng(8, 8);
const pdf = Buffer.from("%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n");
const wav = makeWav();

const ask = (text = "(script)"): Scene["turns"][number] => ({ role: "user", text });
const say = (text: string) => ({ steps: [{ text }] });
const stopped = (text: string): Partial<AnswerCandidate> => ({ text, finish: "stop" });
const failing = (reasons: readonly string[], partial?: string) => ({
  fails: partial === undefined ? { reasons } : { reasons, partial },
});
const vendorError = (status: number, reasons: readonly string[]): Case => ({
  name: `vendor ${status} before the stream`,
  script: { steps: [{ error: { status, message: "the simulator was told to" } }] },
  scene: { turns: [ask()] },
  ...failing(reasons),
});

export const cases: readonly Case[] = [
  {
    name: "text",
    script: say("Grüezi, 世界 🌍"),
    scene: { turns: [ask()] },
    sent: { turns: ["user: (script)"] },
    got: stopped("Grüezi, 世界 🌍"),
  },
  {
    name: "system and developer",
    script: say("Yes."),
    scene: { system: "Be brief.", developer: "Use metric units.", turns: [ask()] },
    sent: { system: ["Be brief.", "Use metric units."] },
    got: stopped("Yes."),
  },
  {
    name: "multi-turn",
    script: say("Three."),
    scene: { turns: [ask("One?"), { role: "assistant", text: "Two." }, ask()] },
    sent: { turns: ["user: One?", "assistant: Two.", "user: (script)"] },
    got: stopped("Three."),
  },
  {
    name: "image by URL",
    script: say("A cat."),
    scene: { turns: [{ ...askWith(), media: [{ kind: "image", mimeType: "image/png", url: "https://example.com/cat.png" }] }] },
    sent: { media: ["image url https://example.com/cat.png"] },
    got: stopped("A cat."),
  },
  {
    name: "image by data",
    script: say("A square."),
    scene: { turns: [{ ...askWith(), media: [{ kind: "image", mimeType: "image/png", data: png }] }] },
    sent: { media: [`image data image/png ${png.length}`] },
    got: stopped("A square."),
  },
  {
    name: "audio by data",
    script: say("Silence."),
    scene: { turns: [{ ...askWith(), media: [{ kind: "audio", mimeType: "audio/wav", data: wav }] }] },
    sent: { media: [`audio data audio/wav ${wav.length}`] },
    got: stopped("Silence."),
  },
  {
    name: "file by data",
    script: say("An empty document."),
    scene: { turns: [{ ...askWith(), media: [{ kind: "file", mimeType: "application/pdf", filename: "report.pdf", data: pdf }] }] },
    sent: { media: [`file data application/pdf ${pdf.length}`] },
    got: stopped("An empty document."),
  },
  {
    name: "tools with nested schema",
    script: say("No need."),
    scene: { tools: [nested, weather], turns: [ask()] },
    sent: { tools: [nested, weather] },
    got: stopped("No need."),
  },
  {
    name: "one tool call",
    script: { steps: [{ text: "Let me look." }, { tool_call: { name: "search_flights", arguments: flight } }], delta_size: 3 },
    scene: { tools: [nested], turns: [ask()] },
    got: { text: "Let me look.", calls: [{ id: "", name: "search_flights", arguments: flight }], finish: "tool_calls" },
  },
  {
    name: "two parallel tool calls, interleaved",
    script: {
      steps: [
        {
          parallel: [
            { tool_call: { name: "search_flights", arguments: flight } },
            { tool_call: { name: "get_weather", arguments: place } },
          ],
        },
      ],
      delta_size: 2,
    },
    scene: { tools: [nested, weather], turns: [ask()] },
    got: {
      text: "",
      calls: [
        { id: "", name: "search_flights", arguments: flight },
        { id: "", name: "get_weather", arguments: place },
      ],
      finish: "tool_calls",
    },
  },
  {
    name: "tool results, one an error",
    script: { turns: [{ steps: [] }, say("Snow, and no flights.")] },
    scene: {
      tools: [nested, weather],
      turns: [
        ask(),
        {
          role: "assistant",
          text: "",
          calls: [
            { id: "call_a1", name: "search_flights", arguments: flight },
            { id: "call_b2", name: "get_weather", arguments: place },
          ],
        },
        {
          role: "tool",
          results: [
            { id: "call_a1", name: "search_flights", text: "no such airport", isError: true },
            { id: "call_b2", name: "get_weather", text: '{"sky":"snow"}' },
          ],
        },
      ],
    },
    sent: {
      calls: [
        { name: "search_flights", arguments: flight },
        { name: "get_weather", arguments: place },
      ],
      results: ["no such airport", '{"sky":"snow"}'],
      resultErrors: [true, false],
    },
    got: stopped("Snow, and no flights."),
  },
  {
    name: "tool result with an image",
    script: { turns: [{ steps: [] }, say("It is square.")] },
    scene: {
      tools: [weather],
      turns: [
        ask(),
        { role: "assistant", text: "", calls: [{ id: "call_a1", name: "get_weather", arguments: place }] },
        { role: "tool", results: [{ id: "call_a1", name: "get_weather", text: "the radar", image: png }] },
      ],
    },
    sent: { results: ["the radar"], resultImages: 1 },
    got: stopped("It is square."),
  },
  {
    name: "forced tool choice",
    script: { steps: [{ tool_call: { name: "get_weather", arguments: place } }] },
    scene: { tools: [nested, weather], choice: { name: "get_weather" }, turns: [ask()] },
    sent: { choice: { name: "get_weather" } },
    got: { calls: [{ id: "", name: "get_weather", arguments: place }], finish: "tool_calls" },
  },
  {
    name: "any tool required",
    script: { steps: [{ tool_call: { name: "get_weather", arguments: place } }] },
    scene: { tools: [weather], choice: "required", turns: [ask()] },
    sent: { choice: "required" },
    got: { calls: [{ id: "", name: "get_weather", arguments: place }], finish: "tool_calls" },
  },
  {
    name: "forbidden tool choice",
    script: say("I will not."),
    scene: { tools: [weather], choice: "none", turns: [ask()] },
    sent: { choice: "none" },
    got: stopped("I will not."),
  },
  {
    name: "JSON schema output",
    script: say('{"city":"Zürich","population":447082}'),
    scene: { output: { name: "city", schema: citySchema }, turns: [ask()] },
    sent: { schema: citySchema },
    got: stopped('{"city":"Zürich","population":447082}'),
  },
  {
    name: "JSON mode",
    script: say('{"ok":true}'),
    scene: { system: "Answer in JSON.", output: "json", turns: [ask()] },
    sent: { json: true },
    got: stopped('{"ok":true}'),
  },
  {
    name: "reasoning effort in, reasoning out",
    script: {
      steps: [{ reasoning: "First I think." }, { text: "Then I speak." }],
      usage: { input_tokens: 20, output_tokens: 40, reasoning_tokens: 30 },
    },
    scene: { effort: "low", maxTokens: 4000, turns: [ask()] },
    sent: { effort: "low" },
    got: { text: "Then I speak.", reasoning: "First I think.", finish: "stop" },
    usage: { input: 20, output: 40, reasoning: 30 },
  },
  {
    name: "reasoning replayed with its signature",
    replays: true,
    script: {
      turns: [
        { steps: [{ reasoning: "I need the weather." }, { tool_call: { name: "get_weather", arguments: place } }] },
        { steps: [{ reasoning: "Now I know." }, { text: "It snows." }] },
      ],
    },
    scene: { effort: "low", maxTokens: 4000, tools: [weather], turns: [ask()] },
    got: { text: "It snows.", finish: "stop" },
  },
  {
    name: "cache markers with ttl",
    script: say("Cached."),
    scene: {
      system: "A long preamble.",
      turns: [{ role: "user", text: "A long document.", cacheSeconds: 3600 }, { role: "assistant", text: "Read." }, ask()],
    },
    sent: { cache: [3600] },
    got: stopped("Cached."),
  },
  {
    name: "stop sequences",
    script: say("one two END three"),
    scene: { stop: ["END"], turns: [ask()] },
    sent: { stop: ["END"] },
    got: { text: "one two " },
  },
  { name: "seed", script: say("Always."), scene: { seed: 7, turns: [ask()] }, sent: { seed: 7 }, got: stopped("Always.") },
  {
    name: "logprobs",
    script: say("Probably."),
    scene: { topLogprobs: 2, turns: [ask()] },
    sent: { topLogprobs: 2 },
    got: stopped("Probably."),
  },
  {
    name: "two candidates",
    script: { candidates: [{ steps: [{ text: "heads" }] }, { steps: [{ text: "tails" }] }] },
    scene: { candidates: 2, turns: [ask()] },
    sent: { candidates: 2 },
    texts: ["heads", "tails"],
  },
  {
    name: "max tokens reached",
    script: { steps: [{ text: "I was about to" }], finish: "length" },
    scene: { maxTokens: 1000, turns: [ask()] },
    sent: { maxTokens: 1000 },
    got: { text: "I was about to", finish: "length" },
  },
  {
    name: "refusal",
    script: { steps: [{ refusal: "I cannot help with that." }] },
    scene: { turns: [ask()] },
    got: { refusal: "I cannot help with that." },
  },
  {
    name: "content filter",
    script: { steps: [{ text: "Now you" }], finish: "content_filter" },
    scene: { turns: [ask()] },
    got: { text: "Now you", finish: "content_filter" },
  },
  {
    name: "citations",
    script: {
      steps: [{ text: "Bern ist schön.", citations: [{ url: "https://example.com/bern", title: "Bern", start: 0, end: 4 }] }],
    },
    scene: { turns: [ask()] },
    got: { text: "Bern ist schön.", citations: ["https://example.com/bern"] },
  },
  {
    name: "usage with cache and reasoning tokens",
    script: {
      steps: [{ text: "cheap" }],
      usage: { input_tokens: 2000, output_tokens: 70, cache_read_tokens: 1500, cache_write_tokens: 200, reasoning_tokens: 60 },
    },
    scene: { turns: [ask()] },
    got: stopped("cheap"),
    usage: { input: 2000, output: 70, cacheRead: 1500, cacheWrite: 200, reasoning: 60 },
  },
  {
    name: "unknown request field",
    script: say("Whatever."),
    scene: { unknown: true, turns: [ask()] },
    lenient: true,
    sent: { unknown: unknownValue },
    got: stopped("Whatever."),
  },
  {
    name: "unknown response field",
    script: { steps: [{ fault: "unknown_field" }, { text: "New things." }] },
    scene: { turns: [ask()] },
    unknownAnswer: true,
    got: stopped("New things."),
  },
  {
    name: "unknown stream event",
    script: { steps: [{ text: "Before" }, { fault: "unknown_event" }, { text: " and after." }] },
    scene: { turns: [ask()] },
    got: stopped("Before and after."),
  },
  vendorError(400, ["invalid_request"]),
  { name: "vendor 401 before the stream", script: say("never"), scene: { turns: [ask()] }, badKey: true, ...failing(["provider_error"]) },
  vendorError(404, ["provider_error"]),
  vendorError(413, ["invalid_request", "too_large"]),
  vendorError(429, ["rate_limited"]),
  vendorError(500, ["provider_error"]),
  vendorError(529, ["provider_error"]),
  {
    name: "vendor error event in the stream",
    script: { steps: [{ text: "half of what I wanted to say" }, { fault: "error_event" }] },
    scene: { turns: [ask()] },
    ...failing(["provider_error", "rate_limited"], "half of what I wanted to say"),
  },
  {
    name: "cut connection",
    script: { steps: [{ text: "half of what I wanted to say" }, { fault: "reset" }] },
    scene: { turns: [ask()] },
    ...failing(["provider_error"], "half of what I wanted to say"),
  },
  { name: "empty stream", script: { steps: [{ fault: "empty_stream" }] }, scene: { turns: [ask()] }, ...failing(["provider_error"]) },
  {
    name: "ping and comment frames",
    script: { steps: [{ text: "Still" }, { fault: "ping_flood", count: 3 }, { fault: "comment_flood", count: 3 }, { text: " here." }] },
    scene: { turns: [ask()] },
    got: stopped("Still here."),
  },
  {
    name: "unicode split across chunks",
    script: { steps: [{ fault: "split_utf8" }, { text: "Grüße aus 東京 👩‍👩‍👧" }], delta_size: 1 },
    scene: { turns: [ask()] },
    got: stopped("Grüße aus 東京 👩‍👩‍👧"),
  },
];

function askWith() {
  return { role: "user", text: "(script)" } as const;
}

function makePng(width: number, height: number): Buffer {
  const crcTable = Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c >>> 0;
  });
  const crc = (bytes: Buffer) => {
    let c = 0xffffffff;
    for (const byte of bytes) c = (crcTable[(c ^ byte) & 0xff] as number) ^ (c >>> 8);
    return (c ^ 0xffffffff) >>> 0;
  };
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length, 0);
    body.copy(out, 4);
    out.writeUInt32BE(crc(body), body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  const rows = Buffer.alloc(height * (width + 1), 0x7f);
  for (let row = 0; row < height; row++) rows[row * (width + 1)] = 0;
  return Buffer.concat([
    Buffer.from("\x89PNG\r\n\x1a\n", "latin1"),
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(rows)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function makeWav(): Buffer {
  const header = Buffer.alloc(44);
  header.write("RIFF", 0);
  header.writeUInt32LE(36 + 16, 4);
  header.write("WAVEfmt ", 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(8_000, 24);
  header.writeUInt32LE(8_000, 28);
  header.writeUInt16LE(1, 32);
  header.writeUInt16LE(8, 34);
  header.write("data", 36);
  header.writeUInt32LE(16, 40);
  return Buffer.concat([header, Buffer.alloc(16, 0x80)]);
}
