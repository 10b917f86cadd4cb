import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FinishReason } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createGeminiCodec, geminiDialect } from "../../../src/codecs/gemini/index.ts";
import type { GenerateEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { parseJson } from "../../../src/core/json.ts";
import { type CandidateInit, eventsOf, plain, readStream, readWhole, type Step, writeStream, writeWhole } from "./answers.ts";

const codec = createGeminiCodec({ signatureBypass: false, labels: true });
const target = { id: "google/m", provider: "google", model: "m", traits: { reasoning: "both", prefill: true } } as const;
const facts = { model: "m", stream: false };

const text = fc.string({ unit: "grapheme", maxLength: 12 });
const someText = text.filter((value) => value !== "");
const word = fc.stringMatching(/^[a-z][a-zA-Z0-9]{0,8}$/);
const json = fc.dictionary(word, fc.oneof(text, fc.integer(), fc.boolean(), fc.constant(null), fc.array(fc.integer(), { maxLength: 3 })), {
  maxKeys: 3,
});
const extra = fc.dictionary(
  word.map((name) => `x${name}`),
  fc.oneof(text, fc.integer(), json),
  { maxKeys: 2 },
);
const bytes = fc.uint8Array({ minLength: 1, maxLength: 8 }).map((data) => Buffer.from(data).toString("base64"));
const signature = fc
  .option(fc.base64String({ minLength: 4, maxLength: 12 }), { nil: undefined })
  .map((value) => (value === undefined ? {} : { thoughtSignature: value }));

const mediaPart = fc.oneof(
  fc.tuple(bytes, extra).map(([data, more]) => ({ inlineData: { mimeType: "application/x-own", data, ...more } })),
  fc
    .tuple(fc.constantFrom("image/png", "video/mp4", "audio/wav", "application/pdf"), fc.constantFrom("gs://b/x", "https://e.com/x"))
    .map(([mimeType, fileUri]) => ({ fileData: { mimeType, fileUri } })),
  fc.nat(99_999).map((at) => ({
    fileData: { mimeType: "video/mp4", fileUri: "gs://b/v" },
    videoMetadata: { startOffset: `${at / 1000}s`, fps: 1.5 },
    mediaResolution: { level: "MEDIA_RESOLUTION_LOW" },
  })),
);
const textPart = fc.tuple(someText, extra).map(([value, more]) => ({ text: value, ...more }));
const ownPart = fc.tuple(word, json, signature).map(([name, value, signed]) => ({ [`x${name}`]: value, ...signed }));
const modelPart = fc.oneof(
  fc.tuple(textPart, signature).map(([part, signed]) => ({ ...part, ...signed })),
  mediaPart,
  ownPart,
);

const exchange = fc
  .tuple(
    fc.array(fc.oneof(textPart, mediaPart, ownPart), { minLength: 1, maxLength: 3 }),
    fc.array(modelPart, { maxLength: 2 }),
    fc.array(fc.tuple(word, json, json, signature, extra), { maxLength: 3 }),
    fc.boolean(),
    extra,
  )
  .map(([asked, said, calls, withIds, more]) => {
    const called = calls.map(([name, args, , signed, beside], at) => ({
      functionCall: { ...(withIds ? { id: `${name}${at}` } : {}), name, args, ...beside },
      ...signed,
    }));
    const answered = calls.map(([name, , response, , beside], at) => ({
      functionResponse: { ...(withIds ? { id: `${name}${at}` } : {}), name, response, ...beside },
    }));
    const answers =
      answered.length === 0
        ? []
        : [
            { role: "user", parts: answered },
            { role: "model", parts: [{ text: "ok" }] },
          ];
    const parts = [...said, ...called];
    return [
      { role: "user", parts: asked, ...more },
      { role: "model", parts: parts.length === 0 ? [{ text: "-" }] : parts, ...more },
      ...answers,
    ];
  });

const declaration = fc.tuple(word, someText, json, extra).map(([name, description, schema, more]) => ({
  name,
  description,
  parametersJsonSchema: schema,
  responseJsonSchema: schema,
  ...more,
}));
const settings = fc.record(
  {
    generationConfig: fc
      .record(
        {
          temperature: fc.integer({ min: 0, max: 2 }),
          topP: fc.double({ min: 0, max: 1, noNaN: true }).filter((value) => !Object.is(value, -0)),
          topK: fc.nat(100),
          maxOutputTokens: fc.nat(9999),
          candidateCount: fc.integer({ min: 2, max: 8 }),
          stopSequences: fc.array(someText, { minLength: 1, maxLength: 5 }),
          seed: fc.integer(),
          presencePenalty: fc.integer({ min: -2, max: 2 }),
          frequencyPenalty: fc.integer({ min: -2, max: 2 }),
          responseLogprobs: fc.constant(true),
          thinkingConfig: fc.oneof(
            fc.record(
              { thinkingBudget: fc.integer({ min: 1, max: 9999 }), includeThoughts: fc.boolean() },
              { requiredKeys: ["thinkingBudget"] },
            ),
            fc.record(
              { thinkingLevel: fc.constantFrom("MINIMAL", "LOW", "MEDIUM", "HIGH"), includeThoughts: fc.boolean() },
              { requiredKeys: ["thinkingLevel"] },
            ),
            fc.constant({ thinkingBudget: 0 }),
          ),
          responseModalities: fc.constantFrom(["TEXT", "IMAGE"], ["AUDIO"]),
          speechConfig: fc.record({ voiceConfig: fc.constant({ prebuiltVoiceConfig: { voiceName: "Kore" } }), languageCode: word }),
          mediaResolution: word,
        },
        { requiredKeys: [] },
      )
      .filter((config) => Object.keys(config).length > 0),
    systemInstruction: fc.array(textPart, { minLength: 1, maxLength: 2 }).map((parts) => ({ parts })),
    cachedContent: word,
    serviceTier: fc.constantFrom("standard", "flex", "priority"),
    store: fc.boolean(),
    labels: fc.dictionary(word, text, { minKeys: 1, maxKeys: 3 }),
    safetySettings: fc.array(json, { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: [] },
);
const body = fc
  .tuple(
    fc.array(exchange, { minLength: 1, maxLength: 3 }),
    fc.uniqueArray(declaration, { maxLength: 3, selector: ({ name }) => name }),
    fc.array(fc.tuple(fc.constantFrom("googleSearch", "urlContext", "fileSearch"), json), { maxLength: 2 }),
    fc.constantFrom("AUTO", "NONE", "ANY"),
    settings,
    extra,
  )
  .map(([exchanges, declarations, hosted, mode, facts, more]) => {
    const tools = [
      ...(declarations.length === 0 ? [] : [{ functionDeclarations: declarations }]),
      ...hosted.map(([name, config]) => ({ [name]: config })),
    ];
    return {
      contents: [...exchanges.flat(), { role: "user", parts: [{ text: "go on" }] }],
      ...(tools.length === 0 ? {} : { tools }),
      ...(declarations.length === 0 ? {} : { toolConfig: { functionCallingConfig: { mode } } }),
      ...facts,
      ...more,
    };
  });

describe("a client's request", () => {
  test("is read, written, and read again as the same request, and nothing is lost on the wire", () => {
    fc.assert(
      fc.property(body, (sent) => {
        const { generate } = geminiDialect.readRequest(parseJson(JSON.stringify(sent)), facts);
        const { body: written, report } = codec.writeRequest(generate, target, { stream: false });
        expect(report.notes).toEqual([]);
        report.settle(true);
        expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(sent)));
        expect(geminiDialect.readRequest(parseJson(written), facts).generate).toEqual(generate);
      }),
      { numRuns: 150 },
    );
  });
});

const signedBy = fc.option(
  fc.record({ value: fc.base64String({ minLength: 4, maxLength: 8 }), format: fc.constant("gemini"), provider: fc.constant("google") }),
  {
    nil: undefined,
  },
);
const pieces = fc.array(someText, { minLength: 1, maxLength: 3 });
const step = fc.oneof(
  fc.record({ kind: fc.constantFrom("text" as const, "reasoning" as const), pieces, signature: signedBy }),
  fc.tuple(word, word, json, signedBy, fc.nat(20)).map(([id, name, args, signature, cut]) => ({
    kind: "call" as const,
    id,
    name,
    signature,
    pieces: splitAt(JSON.stringify(args), cut),
  })),
);
const reasons = fc.constantFrom<[FinishReason, string]>(
  [FinishReason.LENGTH, "MAX_TOKENS"],
  [FinishReason.CONTENT_FILTER, "SAFETY"],
  [FinishReason.OTHER, "LANGUAGE"],
);
const candidate = fc.tuple(fc.array(step, { minLength: 1, maxLength: 4 }), reasons).map(
  ([steps, [reason, rawReason]]): CandidateInit => ({
    steps: bordered(steps),
    reason,
    rawReason,
  }),
);

/** The format has no borders between texts of a kind: only a signature ends one. */
function bordered(steps: readonly Step[]): Step[] {
  const kept: Step[] = [];
  for (const step of steps) {
    const last = kept.at(-1);
    if (last === undefined || step.kind === "call" || last.kind !== step.kind || last.signature !== undefined) kept.push(step);
  }
  return kept;
}

function splitAt(value: string, cut: number): string[] {
  return [value.slice(0, cut), value.slice(cut)].filter((piece) => piece !== "");
}

function fold(events: readonly GenerateEvent[]) {
  return new Fold().addAll(events).response();
}

describe("an answer", () => {
  test("written whole, or as a stream in one batch per block, is read as it was", () => {
    fc.assert(
      fc.property(fc.array(candidate, { minLength: 1, maxLength: 3 }), (candidates) => {
        const events = eventsOf(...candidates);
        const answer = plain(fold(events));
        expect(plain(readWhole(writeWhole(events)))).toEqual(answer);
        expect(plain(readStream(writeStream(batchedByBlock(events))))).toEqual(answer);
      }),
      { numRuns: 200 },
    );
  });

  test("written event by event has the same content; only a text's signature may come behind it", () => {
    fc.assert(
      fc.property(fc.array(candidate, { minLength: 1, maxLength: 3 }), fc.boolean(), (candidates, isArray) => {
        const events = eventsOf(...candidates);
        const batches = events.map((event) => [event]);
        const read = isArray ? readWhole(writeStream(batches, "array")) : readStream(writeStream(batches));
        expect(contents(read)).toEqual(contents(fold(events)));
      }),
      { numRuns: 200 },
    );
  });
});

function batchedByBlock(events: readonly GenerateEvent[]): GenerateEvent[][] {
  const batches: GenerateEvent[][] = [[]];
  for (const event of events) {
    batches.at(-1)?.push(event);
    if (event.event.case === "blockEnded") batches.push([]);
  }
  return batches;
}

function contents(response: ReturnType<typeof fold>) {
  return response.candidates.map(({ message, finished }) => ({
    reason: finished?.reason,
    parts: (message?.parts ?? []).flatMap(({ part, signature }) => {
      const value =
        part.case === "text" && part.value === ""
          ? []
          : [part.case === "toolCall" || part.case === "reasoning" ? { ...part.value } : part.value];
      return [...value, ...(signature === undefined ? [] : [signature.value])];
    }),
  }));
}
