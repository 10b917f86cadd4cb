import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { BlockKind, FinishReason, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { createGeminiCodec, geminiDialect } from "../../../src/codecs/gemini/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, opaqueEvent, startedEvent, usageEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { parseJson } from "../../../src/core/json.ts";
import { chunksOf, eventsOf, partsOf, readStream, readWhole, type Step, writerOf, writeStream, writeWhole } from "./answers.ts";

const text = (...pieces: string[]): Step => ({ kind: "text", pieces });
const call = (name: string, ...pieces: string[]): Step => ({ kind: "call", id: `id_${name}`, name, pieces });
const oneByOne = (events: readonly GenerateEvent[]) => events.map((event) => [event]);
type CountName = "inputTokens" | "outputTokens" | "reasoningTokens" | "cacheReadTokens" | "toolUseInputTokens" | "imageInputTokens";
/** As JSON.parse reads the 20 digits that the answers hold. */
const large = Number("12345678901234567890");
const usage = (init: Partial<Record<CountName, number>>) => usageEvent(create(UsageSchema, { basis: UsageBasis.PROVIDER, ...init }));

describe("a stream of text", () => {
  const events = eventsOf({ steps: [text("Hel", "lo ", "wörld")] });

  test("has one chunk per batch, and the finish reason with the counts in the last", () => {
    const counted = [...events, usage({ inputTokens: 10, outputTokens: 7, reasoningTokens: 3, cacheReadTokens: 4 })];
    const chunks = chunksOf(writeStream(oneByOne(counted)));
    const head = { modelVersion: "served", responseId: "up1" };
    expect(chunks).toEqual([
      { candidates: [{ content: { parts: [{ text: "Hel" }], role: "model" }, index: 0 }], ...head },
      { candidates: [{ content: { parts: [{ text: "lo " }], role: "model" }, index: 0 }], ...head },
      { candidates: [{ content: { parts: [{ text: "wörld" }], role: "model" }, index: 0 }], ...head },
      {
        candidates: [{ content: { parts: [{ text: "" }], role: "model" }, finishReason: "STOP", index: 0 }],
        usageMetadata: {
          promptTokenCount: 10,
          candidatesTokenCount: 4,
          totalTokenCount: 17,
          cachedContentTokenCount: 4,
          thoughtsTokenCount: 3,
        },
        ...head,
      },
    ]);
    expect(chunksOf(writeStream([counted])).map((chunk) => partsOf([chunk]))).toEqual([[{ text: "Hello wörld" }], []]);
  });

  test("as one array parses at the end, and closed at any write before it", () => {
    const writer = writerOf("array");
    expect(writer.contentType).toBe("application/json; charset=utf-8");
    let stream = "";
    for (const batch of oneByOne(events)) {
      stream += writer.write({ events: batch });
      if (stream !== "") expect(() => JSON.parse(`${stream}]`)).not.toThrow();
    }
    stream += writer.end();
    expect(JSON.parse(stream)).toEqual(chunksOf(writeStream(oneByOne(events))));
    expect(writerOf("sse").contentType).toBeUndefined();
  });

  test("that fails ends in an error record, and nothing after it", () => {
    const error = new GatewayError("rate_limited", "slow down", { retryAfterMs: 1500 });
    const record = {
      error: {
        code: 429,
        message: "slow down",
        status: "RESOURCE_EXHAUSTED",
        details: [
          { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason: "RATE_LIMITED", domain: "dragoman" },
          { "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "1.5s" },
        ],
      },
    };
    const sse = writerOf("sse");
    const failed = chunksOf(sse.write({ events }) + sse.error(error));
    expect(failed.at(-1)).toEqual(record);
    expect(JSON.stringify(failed)).not.toContain("finishReason");
    expect(() => readStream(failed.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join(""))).toThrow(GatewayError);

    const array = writerOf("array");
    expect((JSON.parse(array.write({ events }) + array.error(error)) as unknown[]).at(-1)).toEqual(record);
    expect(JSON.parse(writerOf("array").error(error))).toEqual([record]);
  });
});

describe("calls", () => {
  test("are written whole, with their signature, whatever pieces they came in", () => {
    const events = eventsOf({
      steps: [
        text("Let me see."),
        {
          kind: "call",
          id: "a",
          name: "f",
          pieces: ['{"x"', ":[1,", "12345678901234567890]}"],
          signature: { value: "S1", format: "gemini" },
        },
        call("g"),
      ],
      reason: FinishReason.TOOL_CALLS,
      rawReason: "STOP",
    });
    const stream = writeStream(oneByOne(events));
    expect(stream).toContain('"args":{"x":[1,12345678901234567890]}');
    expect(partsOf(chunksOf(stream))).toEqual([
      { text: "Let me see." },
      { functionCall: { id: "a", name: "f", args: { x: [1, large] } }, thoughtSignature: "S1" },
      { functionCall: { id: "id_g", name: "g", args: {} } },
    ]);
    expect(chunksOf(stream).at(-1)?.candidates?.[0]?.finishReason).toBe("STOP");
  });

  test("whose arguments hold line breaks do not break the stream", () => {
    const stream = writeStream([eventsOf({ steps: [call("f", '{\n  "a": "b\\n",\r\n "n": 12345678901234567890\n}')] })]);
    expect(partsOf(chunksOf(stream))).toEqual([{ functionCall: { id: "id_f", name: "f", args: { a: "b\n", n: large } } }]);
  });

  test("that are no object are carried as text; cut ones are left out", () => {
    expect(partsOf(chunksOf(writeStream([eventsOf({ steps: [call("f", "[1]"), call("g", "oops")] })])))).toEqual([
      { functionCall: { id: "id_f", name: "f", args: { _raw: "[1]" } } },
      { functionCall: { id: "id_g", name: "g", args: { _raw: "oops" } } },
    ]);
    const builder = new EventBuilder();
    const toolCall = {
      $typeName: "dragoman.v1.ToolCall",
      id: "c",
      name: "f",
      kind: ToolKind.FUNCTION,
      argumentsJson: "",
      inputText: "",
    } as const;
    builder.argumentsJson(0, builder.startBlock(0, BlockKind.TOOL_CALL, { toolCall }), '{"a":');
    builder.endOpenBlocks({ incomplete: true });
    builder.push(finishedEvent({ reason: FinishReason.LENGTH }));
    const chunks = chunksOf(writeStream([builder.take()]));
    expect(partsOf(chunks)).toEqual([]);
    expect(chunks[0]?.candidates?.[0]?.finishReason).toBe("MAX_TOKENS");
  });

  test("of parallel, interleaved blocks come each in one piece", () => {
    const builder = new EventBuilder();
    const start = (id: string) => {
      const toolCall = {
        $typeName: "dragoman.v1.ToolCall",
        id,
        name: id,
        kind: ToolKind.FUNCTION,
        argumentsJson: "",
        inputText: "",
      } as const;
      return builder.startBlock(0, BlockKind.TOOL_CALL, { toolCall });
    };
    const [first, second] = [start("a"), start("b")];
    builder.argumentsJson(0, first, '{"x":');
    builder.argumentsJson(0, second, '{"y":2');
    builder.argumentsJson(0, first, "1}");
    builder.argumentsJson(0, second, "}");
    builder.endOpenBlocks();
    expect(partsOf(chunksOf(writeStream(oneByOne(builder.take()))))).toEqual([
      { functionCall: { id: "a", name: "a", args: { x: 1 } } },
      { functionCall: { id: "b", name: "b", args: { y: 2 } } },
    ]);
  });
});

describe("thoughts", () => {
  test("of another vendor bear their signature on the last piece, and come back whole", () => {
    const signature = { value: "not/base64: ü", format: "anthropic", provider: "claude" };
    const events = eventsOf({ steps: [{ kind: "reasoning", pieces: ["I ", "th", "ink"], signature }, text("Hi")] });
    const chunks = chunksOf(writeStream(oneByOne(events)));
    const parts = partsOf(chunks);
    expect(parts.map(({ text: said, thought }) => [said, thought])).toEqual([
      ["I ", true],
      ["th", true],
      ["ink", true],
      ["Hi", undefined],
    ]);
    expect(parts.map(({ thoughtSignature }) => typeof thoughtSignature)).toEqual(["undefined", "undefined", "string", "undefined"]);
    expect(String(parts[2]?.thoughtSignature)).toMatch(/^[A-Za-z0-9+/]+={0,2}$/);

    // A chat helper sends back the contents of the chunks as they came.
    const contents = [{ role: "user", parts: [{ text: "x" }] }, ...chunks.flatMap(({ candidates }) => candidates?.[0]?.content ?? [])];
    const { generate } = geminiDialect.readRequest(parseJson(JSON.stringify({ contents })), { model: "m" });
    expect(generate.messages[1]?.parts[0]).toMatchObject({
      part: { case: "reasoning", value: { text: "I think", redacted: false } },
      signature: { value: "not/base64: ü", format: "anthropic" },
    });
  });

  test.each([
    [
      { value: "cipher", format: "anthropic" },
      { redacted: true, text: "", summaries: [] },
    ],
    [
      { value: "S", format: "gemini" },
      { redacted: true, text: "", summaries: [] },
    ],
  ])("without text keep %j", (signature, reasoning) => {
    for (const reply of [
      chunksOf(writeStream([eventsOf({ steps: [{ kind: "reasoning", pieces: [], signature }] })]))[0],
      JSON.parse(writeWhole(eventsOf({ steps: [{ kind: "reasoning", pieces: [], signature }] }))) as ReturnType<typeof chunksOf>[number],
    ]) {
      const contents = [reply?.candidates?.[0]?.content];
      const { generate } = geminiDialect.readRequest(parseJson(JSON.stringify({ contents })), { model: "m" });
      expect(generate.messages[0]?.parts[0]).toMatchObject({ part: { case: "reasoning", value: reasoning }, signature });
    }
  });

  test("that were not hidden but have no text are not taken for ciphertext", () => {
    const builder = new EventBuilder();
    const index = builder.startBlock(0, BlockKind.REASONING, { id: "rs_1" });
    builder.endBlock(0, index, { signature: { $typeName: "dragoman.v1.Signature", value: "v", format: "openai", provider: "" } });
    const contents = [chunksOf(writeStream([builder.take()]))[0]?.candidates?.[0]?.content];
    const { generate } = geminiDialect.readRequest(parseJson(JSON.stringify({ contents })), { model: "m" });
    expect(generate.messages[0]?.parts[0]).toMatchObject({
      id: "rs_1",
      part: { value: { redacted: false } },
      signature: { value: "v", format: "openai" },
    });
  });

  test("that are summaries come back as summaries", () => {
    const builder = new EventBuilder();
    const index = builder.startBlock(0, BlockKind.REASONING);
    builder.delta(0, index, { case: "summary", value: "one" }, [], [], 0);
    builder.delta(0, index, { case: "summary", value: "two" }, [], [], 1);
    builder.endBlock(0, index, { signature: { $typeName: "dragoman.v1.Signature", value: "v", format: "openai", provider: "" } });
    const parts = partsOf(chunksOf(writeStream(oneByOne(builder.take()))));
    expect(parts.map(({ text: said }) => said)).toEqual(["one", "\n\ntwo"]);
    const { generate } = geminiDialect.readRequest(parseJson(JSON.stringify({ contents: [{ role: "model", parts }] })), { model: "m" });
    expect(generate.messages[0]?.parts).toMatchObject([{ part: { value: { text: "", summaries: ["one\n\ntwo"] } } }]);
  });
});

describe("other content", () => {
  test("pictures are whole parts, sound comes in pieces, blocks of this API as they were", () => {
    const builder = new EventBuilder();
    builder.push(startedEvent({}));
    const image = builder.startBlock(0, BlockKind.IMAGE, { mimeType: "image/png" });
    builder.delta(0, image, { case: "data", value: new Uint8Array([1]) });
    builder.delta(0, image, { case: "data", value: new Uint8Array([2]) });
    builder.endBlock(0, image);
    const sound = builder.startBlock(0, BlockKind.AUDIO, { mimeType: "audio/L16;rate=24000" });
    builder.delta(0, sound, { case: "data", value: new Uint8Array([3]) });
    builder.delta(0, sound, { case: "data", value: new Uint8Array([4]) });
    builder.endBlock(0, sound);
    for (const format of ["gemini", "anthropic-messages"]) {
      const opaque = {
        $typeName: "dragoman.v1.OpaquePart",
        format,
        type: "executableCode",
        dataJson: '{"executableCode":{"code":"1"}}',
      } as const;
      const block = builder.startBlock(0, BlockKind.OPAQUE, { opaque });
      builder.endBlock(0, block, { opaque });
    }
    expect(partsOf(chunksOf(writeStream(oneByOne(builder.take()))))).toEqual([
      { inlineData: { mimeType: "image/png", data: "AQI=" } },
      { inlineData: { mimeType: "audio/L16;rate=24000", data: "Aw==" } },
      { inlineData: { mimeType: "audio/L16;rate=24000", data: "BA==" } },
      { executableCode: { code: "1" } },
    ]);
  });

  test("fields that are not modelled come back in their places", () => {
    const events: GenerateEvent[] = [
      startedEvent({ servedModel: "m", upstreamId: "r" }, { gemini: '{"modelStatus":{"a":1}}', "openai-chat": '{"x":1}' }),
      ...eventsOf({ steps: [text("a")], extras: { gemini: '{"safetyRatings":[1]}' } }).slice(1),
      usageEvent(create(UsageSchema, { inputTokens: 1, extrasJson: { gemini: '{"trafficType":"ON_DEMAND"}' } }), {
        gemini: '{"modelStatus":{"a":1},"late":true}',
      }),
      opaqueEvent("gemini", "chunk", '{"other":2}'),
    ];
    const chunks = chunksOf(writeStream(oneByOne(events)));
    expect(chunks[0]).toMatchObject({ modelStatus: { a: 1 } });
    expect(chunks.at(-1)).toMatchObject({
      candidates: [{ safetyRatings: [1] }],
      usageMetadata: { promptTokenCount: 1, trafficType: "ON_DEMAND" },
      late: true,
      other: 2,
    });
    expect(JSON.stringify(chunks)).not.toContain('"x"');
    const whole = JSON.parse(writeWhole(events)) as object;
    expect(whole).toMatchObject({
      modelStatus: { a: 1 },
      candidates: [{ safetyRatings: [1] }],
      usageMetadata: { trafficType: "ON_DEMAND" },
      other: 2,
    });
  });

  test("log probabilities stand beside the text that they are of", () => {
    const builder = new EventBuilder();
    builder.push(startedEvent({}));
    const logprob = (token: string) => ({
      $typeName: "dragoman.v1.TokenLogprob" as const,
      token,
      logprob: -0.5,
      bytes: new Uint8Array(),
      tokenId: 7,
      top: [{ $typeName: "dragoman.v1.TopLogprob" as const, token: "z", logprob: -1, bytes: new Uint8Array() }],
    });
    for (const words of [["a", "b"], ["c"]]) {
      const index = builder.startBlock(0, BlockKind.TEXT);
      for (const word of words) builder.delta(0, index, { case: "text", value: word }, [], [logprob(word)]);
      builder.endBlock(
        0,
        index,
        words.length === 2 ? { signature: { $typeName: "dragoman.v1.Signature", value: "S", format: "gemini", provider: "google" } } : {},
      );
    }
    builder.push(finishedEvent({ reason: FinishReason.STOP, rawReason: "STOP", meanLogprob: -0.25 }));
    const events = builder.take();
    const before = new Fold().addAll(events).response().candidates[0];
    for (const read of [readStream(writeStream([events])), readStream(writeStream(oneByOne(events)))]) {
      const texts = read.candidates[0]?.message?.parts.filter(({ part }) => part.value !== "");
      expect(texts?.map(({ logprobs }) => logprobs)).toEqual(before?.message?.parts.map(({ logprobs }) => logprobs));
      expect(read.candidates[0]?.finished?.meanLogprob).toBe(-0.25);
    }
    expect(
      readWhole(writeWhole(events)).candidates[0]?.message?.parts.flatMap(({ logprobs }) => logprobs.map(({ token }) => token)),
    ).toEqual(["a", "b", "c"]);
  });
});

describe("citations (case 39)", () => {
  const builder = () => {
    const made = new EventBuilder();
    made.push(startedEvent({}));
    const cite = (index: number, said: string, [start, end]: readonly [number, number], url: string, score?: number) => {
      made.text(0, index, said);
      const source = { case: "url", value: { $typeName: "dragoman.v1.UrlSource", url, title: "t", encryptedIndex: "" } } as const;
      const annotation = {
        $typeName: "dragoman.v1.Annotation",
        startIndex: start,
        endIndex: end,
        citedText: "",
        source,
        extrasJson: {},
      } as const;
      made.delta(0, index, { case: undefined }, [score === undefined ? annotation : { ...annotation, score }]);
      made.endBlock(0, index);
    };
    cite(made.startBlock(0, BlockKind.TEXT), "Grüße 👋 Welt. ", [6, 7], "https://a.example", 0.5);
    cite(made.startBlock(0, BlockKind.TEXT), "Ünd öfter.", [4, 9], "https://a.example");
    made.push(finishedEvent({ reason: FinishReason.STOP, rawReason: "STOP" }));
    return made.take();
  };
  const metadata = {
    groundingChunks: [{ web: { uri: "https://a.example", title: "t" } }],
    groundingSupports: [
      { segment: { startIndex: 8, endIndex: 12, text: "👋" }, groundingChunkIndices: [0], confidenceScores: [0.5] },
      { segment: { startIndex: 24, endIndex: 30, text: "öfter" }, groundingChunkIndices: [0] },
    ],
  };

  test("count bytes of the text as readers join it", () => {
    expect(Buffer.from("Grüße 👋 Welt. Ünd öfter.").subarray(24, 30).toString()).toBe("öfter");
    for (const stream of [writeStream([builder()]), writeStream(oneByOne(builder()))]) {
      expect(chunksOf(stream).at(-1)?.candidates?.[0]?.groundingMetadata).toEqual(metadata);
      const part = readStream(stream).candidates[0]?.message?.parts[0];
      expect(part?.annotations.map(({ startIndex, endIndex, score }) => [startIndex, endIndex, score])).toEqual([
        [6, 7, 0.5],
        [18, 23, undefined],
      ]);
    }
    const whole = JSON.parse(writeWhole(builder())) as { candidates: { groundingMetadata: unknown }[] };
    expect(whole.candidates[0]?.groundingMetadata).toEqual(metadata);
  });

  test("of this API's own come back as they were, and once", () => {
    const own = '{"groundingMetadata":{"webSearchQueries":["q"],"groundingSupports":[]}}';
    const events = builder();
    const finished = events.at(-1);
    if (finished !== undefined) finished.extrasJson = { gemini: own };
    expect(chunksOf(writeStream([events])).at(-1)?.candidates?.[0]?.groundingMetadata).toEqual({
      webSearchQueries: ["q"],
      groundingSupports: [],
    });
  });
});

describe("ends", () => {
  test.each([
    [FinishReason.STOP, "end_turn", "STOP"],
    [FinishReason.STOP_SEQUENCE, "stop_sequence", "STOP"],
    [FinishReason.TOOL_CALLS, "tool_use", "STOP"],
    [FinishReason.LENGTH, "length", "MAX_TOKENS"],
    [FinishReason.CONTEXT_EXCEEDED, "x", "MAX_TOKENS"],
    [FinishReason.CONTENT_FILTER, "content_filter", "SAFETY"],
    [FinishReason.CONTENT_FILTER, "BLOCKLIST", "BLOCKLIST"],
    [FinishReason.REFUSAL, "refusal", "SAFETY"],
    [FinishReason.GUARDRAIL, "guardrail_intervened", "SAFETY"],
    [FinishReason.RECITATION, "RECITATION", "RECITATION"],
    [FinishReason.PAUSE, "pause_turn", "CONTINUATION"],
    [FinishReason.MALFORMED, "UNEXPECTED_TOOL_CALL", "UNEXPECTED_TOOL_CALL"],
    [FinishReason.MALFORMED, "malformed_tool_use", "MALFORMED_FUNCTION_CALL"],
    [FinishReason.TIME_LIMIT, "TIMEOUT", "OTHER"],
    [FinishReason.OTHER, "LANGUAGE", "LANGUAGE"],
    [FinishReason.UNSPECIFIED, "novel", "STOP"],
  ])("%i (%s) is %s", (reason, rawReason, word) => {
    const events = eventsOf({ steps: [text("a")], reason, rawReason });
    expect(chunksOf(writeStream([events])).at(-1)?.candidates?.[0]?.finishReason).toBe(word);
    expect(JSON.parse(writeWhole(events))).toMatchObject({ candidates: [{ finishReason: word }] });
  });

  test("of a blocked prompt are feedback without candidates", () => {
    const events = [
      startedEvent({ servedModel: "m", upstreamId: "r" }, { gemini: '{"promptFeedback":{"blockReason":"OTHER","safetyRatings":[1]}}' }),
      finishedEvent({ reason: FinishReason.CONTENT_FILTER, rawReason: "OTHER", message: "no", promptBlocked: true }),
      usage({ inputTokens: 5 }),
    ];
    const blocked = {
      promptFeedback: { blockReason: "OTHER", blockReasonMessage: "no", safetyRatings: [1] },
      usageMetadata: { promptTokenCount: 5, totalTokenCount: 5 },
      modelVersion: "m",
      responseId: "r",
    };
    expect(chunksOf(writeStream([events]))).toEqual([blocked]);
    expect(JSON.parse(writeWhole(events))).toEqual(blocked);
  });

  test("of several candidates stand together in the last chunk", () => {
    const events = eventsOf({ steps: [text("a")], reason: FinishReason.LENGTH }, { steps: [text("b")] });
    const chunks = chunksOf(writeStream([events]));
    expect(chunks).toMatchObject([
      {
        candidates: [
          { index: 0, content: { parts: [{ text: "a" }] } },
          { index: 1, content: { parts: [{ text: "b" }] } },
        ],
      },
      {
        candidates: [
          { index: 0, finishReason: "MAX_TOKENS" },
          { index: 1, finishReason: "STOP" },
        ],
      },
    ]);
    expect(readStream(writeStream(oneByOne(events))).candidates.map(({ finished }) => finished?.rawReason)).toEqual(["MAX_TOKENS", "STOP"]);
  });
});

describe("counts (case 20)", () => {
  test("keep thoughts apart, sum totals anew, and name kinds of content", () => {
    const events = [
      ...eventsOf({ steps: [text("a")] }),
      usage({ inputTokens: 100, outputTokens: 1, toolUseInputTokens: 10, imageInputTokens: 30 }),
      usage({ inputTokens: 100, outputTokens: 20, reasoningTokens: 20, toolUseInputTokens: 10, imageInputTokens: 30 }),
    ];
    const metadata = {
      promptTokenCount: 90,
      toolUsePromptTokenCount: 10,
      candidatesTokenCount: 0,
      thoughtsTokenCount: 20,
      totalTokenCount: 120,
      promptTokensDetails: [
        { modality: "TEXT", tokenCount: 60 },
        { modality: "IMAGE", tokenCount: 30 },
      ],
    };
    expect(chunksOf(writeStream([events])).map((chunk) => chunk.usageMetadata)).toEqual([undefined, metadata]);
    expect(JSON.parse(writeWhole(events))).toMatchObject({ usageMetadata: metadata });
    expect(readStream(writeStream([events])).usage).toMatchObject({
      inputTokens: 100,
      outputTokens: 20,
      reasoningTokens: 20,
      imageInputTokens: 30,
    });
  });
});

describe("an answer of this API", () => {
  test("keeps counts of kinds that the core does not count", () => {
    const promptTokensDetails = [
      { modality: "TEXT", tokenCount: 2 },
      { modality: "DOCUMENT", tokenCount: 8 },
    ];
    const usageMetadata = { promptTokenCount: 10, candidatesTokenCount: 1, totalTokenCount: 11, promptTokensDetails };
    const chunks = through(chunk([{ text: "a" }], { finishReason: "STOP" }, { usageMetadata }));
    expect(chunks.at(-1)?.usageMetadata).toEqual(usageMetadata);
  });

  const codec = createGeminiCodec();
  const through = (...chunks: object[]) => {
    const reader = codec.eventReader("google");
    const batches = chunks.map((chunk) => reader.read({ event: "", data: JSON.stringify(chunk) }));
    return chunksOf(writeStream([...batches, reader.end()]));
  };
  const chunk = (parts: object[], more: object = {}, top: object = {}) => ({
    candidates: [{ content: { parts, role: "model" }, index: 0, ...more }],
    ...top,
  });

  test("keeps calls of separate chunks apart, and its reason after them (cases 3, 9, 10)", () => {
    const f = { functionCall: { id: "1", name: "f", args: {} }, thoughtSignature: "S" };
    const g = { functionCall: { id: "2", name: "g", args: {} } };
    for (const finishReason of ["STOP", "MAX_TOKENS", "SAFETY"]) {
      const chunks = through(chunk([f]), chunk([g]), chunk([], { finishReason }));
      expect(partsOf(chunks)).toEqual([f, g]);
      expect(chunks.at(-1)?.candidates?.[0]?.finishReason).toBe(finishReason);
    }
    const early = through(chunk([{ text: "a" }], { finishReason: "STOP" }), chunk([{ text: "b" }]));
    expect(early.map(({ candidates }) => candidates?.[0]?.finishReason)).toEqual([undefined, undefined, "STOP"]);
    expect(partsOf(early)).toEqual([{ text: "a" }, { text: "b" }]);
  });

  test("keeps chunks of metadata and of counts alone (case 11)", () => {
    const chunks = through(
      { modelVersion: "m", responseId: "r" },
      chunk([{ text: "a" }]),
      { usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 2 } },
      chunk([], { finishReason: "STOP", safetyRatings: [1] }),
    );
    expect(chunks.at(-1)).toMatchObject({
      candidates: [{ finishReason: "STOP", safetyRatings: [1] }],
      usageMetadata: { promptTokenCount: 3, candidatesTokenCount: 2, totalTokenCount: 5 },
      modelVersion: "m",
      responseId: "r",
    });
  });

  test("keeps the signature of the first of two calls on that one (case 25), and of a text that is empty", () => {
    const parts = [
      { functionCall: { id: "1", name: "f", args: {} }, thoughtSignature: "S1" },
      { functionCall: { id: "2", name: "f", args: {} } },
      { text: "", thoughtSignature: "S2" },
    ];
    expect(partsOf(through(chunk(parts, { finishReason: "STOP" })))).toEqual(parts);
  });
});
