import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createOpenAI } from "@ai-sdk/openai";
import { create } from "@bufbuild/protobuf";
import { generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AnnotationSchema, BlockKind, FinishReason, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import {
  openAiResponsesDialect as dialect,
  itemReferences,
  resolveItemReferences,
  responseOfItem,
  writeInputItems,
} from "../../../src/codecs/openai-responses/index.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, startedEvent, usageEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { type JsonObject, parseJson } from "../../../src/core/json.ts";
import { SseReader } from "../../../src/core/sse.ts";

const facts = { generationId: "01ARZ3NDEKTSV4RRFFQ69G5FAV", created: 1 };
const ask = (more: object = {}) => dialect.readRequest(parseJson(JSON.stringify({ model: "m", input: "hi", ...more })));
const signature = (format: string, value = "sig") => ({ $typeName: "dragoman.v1.Signature", value, format, provider: "a" }) as const;

function written(events: readonly GenerateEvent[], request = ask()): string {
  const writer = dialect.eventWriter(request, facts);
  return events.map((event) => writer.write({ events: [event] })).join("") + writer.end();
}

function records(stream: string): JsonObject[] {
  return new SseReader().read(Buffer.from(stream)).map(({ data }) => JSON.parse(data) as JsonObject);
}

/** Thinking, text and two calls whose arguments come in turns. */
function answer(): GenerateEvent[] {
  const builder = new EventBuilder();
  builder.push(startedEvent({ upstreamId: "chatcmpl-1", servedModel: "served" }));
  const thought = builder.startBlock(0, BlockKind.REASONING);
  builder.text(0, thought, "let me ");
  builder.text(0, thought, "see");
  builder.endBlock(0, thought, { signature: signature("anthropic") });
  const said = builder.startBlock(0, BlockKind.TEXT);
  builder.text(0, said, "Looking ");
  builder.text(0, said, "up 🙂");
  builder.endBlock(0, said);
  const calls = ["a", "b"].map((id) => {
    const toolCall = {
      $typeName: "dragoman.v1.ToolCall",
      id,
      name: "find",
      argumentsJson: "",
      inputText: "",
      kind: ToolKind.FUNCTION,
    } as const;
    return builder.startBlock(0, BlockKind.TOOL_CALL, { toolCall });
  });
  for (const piece of ['{"q":', '"x"}']) for (const call of calls) builder.argumentsJson(0, call, piece);
  for (const call of calls) builder.endBlock(0, call);
  builder.push(usageEvent(create(UsageSchema, { inputTokens: 7, outputTokens: 9, reasoningTokens: 3 })));
  builder.push(finishedEvent({ candidate: 0, reason: FinishReason.TOOL_CALLS }));
  return builder.take();
}

describe("case 8: reasoning of any server", () => {
  test("is an item of its own, added before its delta, with its signature as encrypted content", () => {
    const types = records(written(answer())).map(({ type }) => type);
    expect(types.slice(0, 5)).toEqual([
      "response.created",
      "response.in_progress",
      "response.output_item.added",
      "response.content_part.added",
      "response.reasoning_text.delta",
    ]);
    const done = records(written(answer())).find(({ type }) => type === "response.output_item.done");
    expect(done?.item).toEqual({
      id: `rs_${facts.generationId}_0`,
      type: "reasoning",
      summary: [],
      content: [{ type: "reasoning_text", text: "let me see" }],
      encrypted_content: "sig",
    });
  });

  test("is a summary for a client that asked for one, and for no other", () => {
    const asked = ask({ reasoning: { summary: "auto" } });
    const whole = JSON.parse(dialect.writeResponse(new Fold().addAll(answer()).response(), facts, asked));
    expect(whole.output[0]).toMatchObject({ summary: [{ type: "summary_text", text: "let me see" }] });
    expect((records(written(answer(), asked)).at(-1) as { response: object }).response).toEqual(whole);
  });

  test("that is hidden comes back as hidden, and one that is only not shown does not", () => {
    for (const redacted of [true, false]) {
      const builder = new EventBuilder();
      const block = builder.startBlock(0, BlockKind.REASONING);
      builder.endBlock(0, block, { signature: signature("anthropic"), redacted });
      const [text] = [builder.startBlock(0, BlockKind.TEXT)];
      builder.text(0, text, "x");
      builder.endOpenBlocks();
      builder.push(finishedEvent({ candidate: 0, reason: FinishReason.STOP }));
      const { response } = records(written(builder.take())).at(-1) as { response: { output: object[] } };
      const again = dialect.readRequest(parseJson(JSON.stringify({ model: "m", input: response.output }))).generate;
      expect(again.messages[0]?.parts[0]?.part.value).toMatchObject({ redacted });
      expect(again.messages[0]?.parts[0]?.signature?.value).toBe("sig");
    }
  });
});

test("case 39: citations count code points, also behind characters of two units", () => {
  const builder = new EventBuilder();
  const block = builder.startBlock(0, BlockKind.TEXT);
  builder.text(0, block, "🙂 日本語");
  const cited = (init: object) => create(AnnotationSchema, { source: { case: "url", value: { url: "https://a.b", title: "t" } }, ...init });
  builder.delta(0, block, { case: "text", value: "" }, [cited({ startIndex: 2, endIndex: 5 }), cited({})]);
  builder.endBlock(0, block);
  builder.push(finishedEvent({ candidate: 0, reason: FinishReason.STOP }));
  const events = builder.take();
  const expected = [
    { type: "url_citation", start_index: 2, end_index: 5, url: "https://a.b", title: "t" },
    { type: "url_citation", start_index: 0, end_index: 5, url: "https://a.b", title: "t" },
  ];
  const added = records(written(events)).filter(({ type }) => type === "response.output_text.annotation.added");
  expect(added.map(({ annotation }) => annotation)).toEqual(expected);
  expect(added.map(({ annotation_index: index }) => index)).toEqual([0, 1]);
  const whole = JSON.parse(dialect.writeResponse(new Fold().addAll(events).response(), facts, ask()));
  expect(whole.output[0].content[0].annotations).toEqual(expected);
});

test("an answer repeats its request, and what is kept has the gateway's ids", () => {
  const more = { instructions: "be brief", temperature: 0.5, metadata: { a: "b" }, previous_response_id: "resp_0", tools: [], user: "u" };
  const events = [startedEvent({ upstreamId: "resp_up" }), finishedEvent({ candidate: 0, reason: FinishReason.STOP })];
  const kept = records(written(events, ask(more))).at(-1) as { response: object };
  expect(kept.response).toMatchObject({ ...more, id: `resp_${facts.generationId}`, store: true, status: "completed" });
  const passed = records(written(events, ask({ store: false }))).at(-1) as { response: object };
  expect(passed.response).toMatchObject({ id: "resp_up", store: false, tool_choice: "auto", parallel_tool_calls: true });
});

test("a failure is told in the stream, with what was said so far", () => {
  const writer = dialect.eventWriter(ask(), facts);
  const begun = answer().slice(0, 7);
  const text = writer.write({ events: begun }) + writer.error(new GatewayError("rate_limited", "slow down"));
  const last = records(text).at(-1) as { type: string; response: { status: string; error: object; output: { status?: string }[] } };
  expect(last).toMatchObject({
    type: "response.failed",
    response: { status: "failed", error: { code: "rate_limit_exceeded", message: "slow down" } },
  });
  expect(last.response.output).toHaveLength(2);
});

test("items are listed with ids, and found again by them", () => {
  const body = {
    input: [
      { role: "user", content: "hi" },
      { type: "function_call_output", call_id: "c", output: "1" },
      { type: "item_reference", id: `fc_${facts.generationId}_2` },
    ],
  };
  const [message, output] = writeInputItems(body).map((json) => JSON.parse(json));
  expect(message).toMatchObject({
    id: expect.stringMatching(/^msg_/),
    type: "message",
    content: [{ type: "input_text", text: "hi" }],
    status: "completed",
  });
  expect(output).toMatchObject({ id: expect.stringMatching(/^fco_/), call_id: "c" });
  const [reference = ""] = itemReferences(body);
  expect(responseOfItem(reference)).toBe(`resp_${facts.generationId}`);
  const call = { type: "function_call", id: reference, call_id: "c", name: "f", arguments: "{}" };
  const resolved = resolveItemReferences(body, (id) => (id === reference ? call : undefined));
  expect((resolved.input as object[])[2]).toEqual(call);
});

describe("clients of the vendor and of others", () => {
  /** Answers every request with the same answer, in the way it was asked for. */
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const read = dialect.readRequest(parseJson(body));
    if (read.stream) {
      response.setHeader("content-type", "text/event-stream");
      response.end(written(answer(), read));
    } else {
      response.setHeader("content-type", "application/json");
      response.end(dialect.writeResponse(new Fold().addAll(answer()).response(), facts, read));
    }
  });
  let baseURL = "";
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  const tools = [{ type: "function" as const, name: "find", parameters: { type: "object", properties: {} }, strict: false }];

  test("openai reads both forms as the same answer", async () => {
    const client = new OpenAI({ apiKey: "k", baseURL, maxRetries: 0 });
    const whole = await client.responses.create({ model: "m", input: "hi", tools });
    expect(whole.output_text).toBe("Looking up 🙂");
    expect(whole.usage).toMatchObject({ input_tokens: 7, output_tokens: 9, total_tokens: 16 });
    const stream = client.responses.stream({ model: "m", input: "hi", tools });
    let said = "";
    stream.on("response.output_text.delta", ({ delta }) => {
      said += delta;
    });
    const final = await stream.finalResponse();
    expect(said).toBe("Looking up 🙂");
    expect(final.output.map(({ type }) => type)).toEqual(["reasoning", "message", "function_call", "function_call"]);
    expect(final.output.map(({ id }) => id)).toEqual(whole.output.map(({ id }) => id));
  });

  test("the AI SDK reads text, reasoning, calls and usage", async () => {
    const provider = createOpenAI({ apiKey: "k", baseURL });
    const options = { model: provider("gpt-5"), prompt: "hi", maxRetries: 0, providerOptions: { openai: { reasoningSummary: "auto" } } };
    const whole = await generateText(options);
    const streamed = streamText(options);
    expect(await streamed.text).toBe("Looking up 🙂");
    expect(whole.text).toBe("Looking up 🙂");
    for (const reasoning of [whole.reasoningText, await streamed.reasoningText]) expect(reasoning).toBe("let me see");
    const calls = [whole.toolCalls, await streamed.toolCalls];
    for (const list of calls) expect(list.map(({ toolCallId }) => toolCallId)).toEqual(["a", "b"]);
    expect(await streamed.finishReason).toBe("tool-calls");
    expect((await streamed.totalUsage).outputTokens).toBe(9);
  });
});
