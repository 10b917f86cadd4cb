/** The dialect behind a tiny server, asked by OpenAI's own client. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import OpenAI, { BadRequestError } from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BlockKind, FinishReason, type TokenLogprob } from "../../../gen/dragoman/v1/generate_pb.ts";
import { UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import {
  openAiCompletionsDialect as dialect,
  joinCompletions,
  readCompletionRequests,
} from "../../../src/codecs/openai-completions/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, startedEvent, usageEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { parseJson } from "../../../src/core/json.ts";

const facts = { generationId: "01GEN", created: 1_700_000_000 };
const logprob = (token: string, value: number): TokenLogprob => ({
  $typeName: "dragoman.v1.TokenLogprob",
  token,
  logprob: value,
  bytes: new Uint8Array(),
  top: [{ $typeName: "dragoman.v1.TopLogprob", token: "other", logprob: -3, bytes: new Uint8Array() }],
});

/** What a model answers: one text for each candidate, in pieces, after a thought. */
function eventsOf(texts: readonly (readonly string[])[], reason: FinishReason = FinishReason.STOP, logprobs = false): GenerateEvent[] {
  const builder = new EventBuilder();
  builder.push(startedEvent({ servedModel: "served", upstreamId: "resp_1" }));
  texts.forEach((pieces, candidate) => {
    const thought = builder.startBlock(candidate, BlockKind.REASONING);
    builder.text(candidate, thought, "hm");
    builder.endBlock(candidate, thought);
    const index = builder.startBlock(candidate, BlockKind.TEXT);
    for (const piece of pieces) builder.delta(candidate, index, { case: "text", value: piece }, [], logprobs ? [logprob(piece, -1)] : []);
    builder.endBlock(candidate, index);
    builder.push(finishedEvent({ candidate, reason }));
  });
  builder.push(usageEvent(create(UsageSchema, { inputTokens: 3, outputTokens: 4, cacheReadTokens: 1, basis: UsageBasis.PROVIDER })));
  return builder.take();
}

/** The model answers with the prompt's words, in capitals. */
let server: Server;
let client: OpenAI;
beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      try {
        const requests = readCompletionRequests(parseJson(Buffer.concat(chunks).toString()));
        const answers = requests.each.map(({ generate }) => {
          const prompt = String(generate.messages[0]?.parts[0]?.part.value);
          const count = generate.sampling?.candidateCount ?? 1;
          const reason = generate.sampling?.maxOutputTokens === 1 ? FinishReason.LENGTH : FinishReason.STOP;
          const words = prompt.toUpperCase().split(/(?= )/);
          return eventsOf(
            Array.from({ length: count }, () => words),
            reason,
            generate.sampling?.logprobs,
          );
        });
        if (requests.answer.stream === true) {
          const writer = dialect.eventWriter(requests.answer, facts);
          response.writeHead(200, { "content-type": "text/event-stream" });
          for (const event of answers[0] ?? []) response.write(writer.write({ events: [event] }));
          response.end(
            requests.each[0]?.generate.model === "breaks" ? writer.error(new GatewayError("provider_error", "gone")) : writer.end(),
          );
        } else {
          const folded = answers.map((events) => new Fold().addAll(events).response());
          response.writeHead(200, { "content-type": "application/json" });
          response.end(dialect.writeResponse(joinCompletions(folded, requests), facts, requests.answer));
        }
      } catch (thrown) {
        const error = GatewayError.from(thrown);
        response.writeHead(error.status, { "content-type": "application/json" });
        response.end(JSON.stringify(dialect.writeError(error)));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  client = new OpenAI({ apiKey: "k", baseURL: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, maxRetries: 0 });
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

describe("buffered", () => {
  test("one prompt", async () => {
    const answer = await client.completions.create({ model: "m", prompt: "hi there" });
    expect(answer).toEqual({
      id: "cmpl-01GEN",
      object: "text_completion",
      created: 1_700_000_000,
      model: "served",
      choices: [{ text: "HI THERE", index: 0, logprobs: null, finish_reason: "stop" }],
      usage: {
        prompt_tokens: 3,
        completion_tokens: 4,
        total_tokens: 7,
        prompt_tokens_details: { cached_tokens: 1 },
      },
    });
  });

  test("several prompts with several answers each: choices by prompt, echoes of their own, counts together", async () => {
    const { choices, usage } = await client.completions.create({ model: "m", prompt: ["a b", "c"], n: 2, echo: true });
    expect(choices.map(({ index, text }) => [index, text])).toEqual([
      [0, "a bA B"],
      [1, "a bA B"],
      [2, "cC"],
      [3, "cC"],
    ]);
    expect(usage).toMatchObject({ prompt_tokens: 6, completion_tokens: 8, total_tokens: 14 });
  });

  test("log probabilities in lists side by side", async () => {
    const { choices } = await client.completions.create({ model: "m", prompt: "ä b", logprobs: 1, max_tokens: 1 });
    expect(choices).toEqual([
      {
        text: "Ä B",
        index: 0,
        finish_reason: "length",
        logprobs: {
          tokens: ["Ä", " B"],
          token_logprobs: [-1, -1],
          top_logprobs: [
            { other: -3, Ä: -1 },
            { other: -3, " B": -1 },
          ],
          text_offset: [0, 1],
        },
      },
    ]);
  });

  test("errors in OpenAI's envelope", async () => {
    const thrown = await client.completions.create({ model: "m", prompt: [1, 2] as never }).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(BadRequestError);
    expect(thrown).toMatchObject({ status: 400, param: "prompt", type: "invalid_request_error" });
  });
});

describe("streamed", () => {
  test("frames, with the echo first and the counts last", async () => {
    const chunks = [];
    const stream = await client.completions.create({
      model: "m",
      prompt: "a b",
      stream: true,
      echo: true,
      stream_options: { include_usage: true },
    });
    for await (const chunk of stream) chunks.push(chunk);
    expect(chunks.every(({ id, object }) => id === "cmpl-01GEN" && object === "text_completion")).toBe(true);
    expect(chunks.map(({ choices }) => choices.map(({ text, finish_reason }) => [text, finish_reason]))).toEqual([
      [["a b", null]],
      [["A", null]],
      [[" B", null]],
      [["", "stop"]],
      [],
    ]);
    expect(chunks.map(({ usage }) => usage ?? null)).toEqual([null, null, null, null, expect.objectContaining({ total_tokens: 7 })]);
  });

  test("without usage where it was not asked for; a failure ends it visibly", async () => {
    const plain = await client.completions.create({ model: "m", prompt: "a", stream: true });
    for await (const chunk of plain) expect(chunk).not.toHaveProperty("usage");
    const broken = await client.completions.create({ model: "breaks", prompt: "a", stream: true });
    await expect(
      (async () => {
        for await (const _ of broken);
      })(),
    ).rejects.toThrow(/gone/);
  });

  test("adds up to the buffered answer, however the model cuts its text", () => {
    const request = dialect.readRequest(parseJson('{"model":"m","prompt":"p 👋","n":2,"echo":true}'));
    fc.assert(
      fc.property(fc.array(fc.array(fc.string({ unit: "grapheme" }), { maxLength: 4 }), { minLength: 1, maxLength: 2 }), (texts) => {
        const events = eventsOf(texts);
        const whole = JSON.parse(dialect.writeResponse(new Fold().addAll(events).response(), facts, request));
        const writer = dialect.eventWriter(request, facts);
        const wire = events.map((event) => writer.write({ events: [event] })).join("") + writer.end();
        const frames = wire.split("\n\n").filter((frame) => frame.startsWith("data: {"));
        expect(wire.endsWith("data: [DONE]\n\n")).toBe(true);
        const added = new Map<number, { text: string; finish: string }>();
        for (const frame of frames) {
          for (const { index, text, finish_reason } of JSON.parse(frame.slice(6)).choices) {
            const choice = added.get(index) ?? { text: "", finish: "" };
            added.set(index, { text: choice.text + text, finish: choice.finish + (finish_reason ?? "") });
          }
        }
        expect([...added].map(([index, { text, finish }]) => ({ text, index, logprobs: null, finish_reason: finish }))).toEqual(
          whole.choices,
        );
      }),
      { numRuns: 200 },
    );
  });
});
