/** What the vendor's own client and the AI SDK make of written answers. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createAnthropic } from "@ai-sdk/anthropic";
import Anthropic from "@anthropic-ai/sdk";
import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AnnotationSchema, BlockKind, FinishReason, OpaquePartSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { anthropicCountTokensDialect, anthropicMessagesDialect as dialect } from "../../../src/codecs/anthropic-messages/index.ts";
import { GatewayError, invalidField } from "../../../src/core/error.ts";
import type { GenerateEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { answer, asked, facts, signature, startCall, usage, writeText } from "./answers.ts";

type Stream = Awaited<ReturnType<ReturnType<ReturnType<typeof createAnthropic>>["doStream"]>>["stream"];
type StreamPart = Stream extends ReadableStream<infer Part> ? Part : never;

interface Reply {
  readonly status?: number;
  readonly type?: string;
  readonly body: string;
}

let server: Server;
let client: Anthropic;
let baseURL: string;
let reply: Reply = { body: "" };

beforeAll(async () => {
  server = createServer((request, response) => {
    request.resume();
    response.writeHead(reply.status ?? 200, { "content-type": reply.type ?? "text/event-stream; charset=utf-8" });
    const bytes = Buffer.from(reply.body);
    // In pieces that cut records and characters.
    for (let at = 0; at < bytes.length; at += 37) response.write(bytes.subarray(at, at + 37));
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  baseURL = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  client = new Anthropic({ apiKey: "k", baseURL, maxRetries: 0 });
});

afterAll(() => new Promise((resolve) => server.close(resolve)));

const params = { model: "claude", max_tokens: 99, messages: [{ role: "user" as const, content: "hi" }] };

/** Thinking of another vendor, citations, a hosted tool, and two calls whose pieces come in turn. */
function events(): GenerateEvent[] {
  return answer((builder) => {
    const reasoning = builder.startBlock(0, BlockKind.REASONING);
    builder.text(0, reasoning, "Für 👋, ");
    builder.text(0, reasoning, "hm.");
    builder.endBlock(0, reasoning, { signature: signature("gAAA+/=", "openai", "openai") });
    const redacted = builder.startBlock(0, BlockKind.REASONING);
    builder.endBlock(0, redacted, { signature: signature("EmwK=="), redacted: true });
    const opaque = create(OpaquePartSchema, {
      format: "anthropic-messages",
      type: "server_tool_use",
      dataJson: '{"type":"server_tool_use","id":"srv_1","name":"web_search","input":{"query":"q"}}',
    });
    builder.endBlock(0, builder.startBlock(0, BlockKind.OPAQUE, { opaque }), { opaque });
    const text = builder.startBlock(0, BlockKind.TEXT);
    builder.delta(0, text, { case: "text", value: "It runs." }, [
      create(AnnotationSchema, { citedText: "runs", source: { case: "url", value: { url: "https://a.example", title: "A" } } }),
    ]);
    builder.endBlock(0, text);
    const first = startCall(builder, "functions.f:0", "weather");
    const second = startCall(builder, "call_2", "clock");
    builder.argumentsJson(0, first, '{"city":');
    builder.argumentsJson(0, first, '"Ōsaka"}');
    builder.endBlock(0, second);
    builder.endBlock(0, first);
    builder.push(usage({ inputTokens: 30, cacheReadTokens: 10, outputTokens: 12, reasoningTokens: 5 }));
  }, FinishReason.TOOL_CALLS);
}

const content = [
  { type: "thinking", thinking: "Für 👋, hm.", signature: "gAAA+/=" },
  { type: "redacted_thinking", data: "EmwK==" },
  { type: "server_tool_use", id: "srv_1", name: "web_search", input: { query: "q" } },
  {
    type: "text",
    text: "It runs.",
    citations: [{ type: "web_search_result_location", cited_text: "runs", url: "https://a.example", title: "A", encrypted_index: "" }],
  },
  { type: "tool_use", id: "functions.f:0", name: "weather", input: { city: "Ōsaka" } },
  { type: "tool_use", id: "call_2", name: "clock", input: {} },
];

describe("the vendor's client", () => {
  test.each([[true], [false]])("adds a stream up to the whole message, batches together: %s", async (together) => {
    reply = { body: writeText(events(), { together }) };
    const stream = client.messages.stream(params);
    const texts: string[] = [];
    stream.on("text", (piece) => texts.push(piece));
    const message = await stream.finalMessage();
    expect(message).toMatchObject({ id: "msg_9", model: "served", role: "assistant", stop_reason: "tool_use" });
    expect(message.content).toEqual(content);
    expect(message.usage).toMatchObject({ input_tokens: 20, cache_read_input_tokens: 10, output_tokens: 12 });
    expect(texts.join("")).toBe("It runs.");
  });

  test("reads the whole answer as the same message", async () => {
    reply = { type: "application/json", body: dialect.writeResponse(new Fold().addAll(events()).response(), facts, asked) };
    const message = await client.messages.create(params);
    expect(message.content).toEqual(content);
    expect(message).toMatchObject({ stop_reason: "tool_use", usage: { input_tokens: 20, output_tokens_details: { thinking_tokens: 5 } } });
  });

  test("throws for a failure inside the stream, and has no end", async () => {
    const writer = dialect.eventWriter(asked, facts);
    const [before] = [events().slice(0, 3)];
    reply = { body: writer.write({ events: before }) + writer.error(new GatewayError("provider_error", "the provider went away")) };
    await expect(client.messages.stream(params).finalMessage()).rejects.toThrow("the provider went away");
  });

  test.each([
    [invalidField("max_tokens", "must be a whole number"), Anthropic.BadRequestError],
    [new GatewayError("unauthenticated", "no key"), Anthropic.AuthenticationError],
    [new GatewayError("model_not_found", "no model"), Anthropic.NotFoundError],
    [new GatewayError("rate_limited", "slow down"), Anthropic.RateLimitError],
    [new GatewayError("no_target", "nobody is there"), Anthropic.InternalServerError],
  ])("knows the kind of %s", async (error, kind) => {
    reply = { status: error.status, type: "application/json", body: JSON.stringify(dialect.writeError(error, { requestId: "01REQ" })) };
    const failure = await client.messages.create(params).catch((thrown: unknown) => thrown);
    expect(failure).toBeInstanceOf(kind);
    expect((failure as Error).message).toContain(error.message);
  });

  test("counts tokens", async () => {
    const body = anthropicCountTokensDialect.writeResponse({
      $typeName: "dragoman.v1.CountTokensResponse",
      inputTokens: 14,
      basis: 1,
      servedModel: "m",
      provider: "p",
      translation: [],
      extrasJson: {},
    });
    reply = { type: "application/json", body };
    expect(await client.messages.countTokens({ model: "m", messages: params.messages })).toEqual({ input_tokens: 14 });
  });
});

describe("the AI SDK", () => {
  const model = () => createAnthropic({ apiKey: "k", baseURL })("claude");
  const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "hi" }] }];

  test("reads a stream: thinking, text, calls, counts, reason", async () => {
    reply = { body: writeText(events()) };
    const { stream } = await model().doStream({ prompt });
    const parts: StreamPart[] = [];
    for await (const part of stream) parts.push(part);
    expect(parts.filter(({ type }) => type === "error")).toEqual([]);
    const joined = (kind: "reasoning-delta" | "text-delta") => parts.map((part) => (part.type === kind ? part.delta : "")).join("");
    expect(joined("reasoning-delta")).toBe("Für 👋, hm.");
    expect(joined("text-delta")).toBe("It runs.");
    const calls = parts.flatMap((part) =>
      part.type === "tool-call" && part.providerExecuted !== true ? [[part.toolCallId, JSON.parse(part.input)]] : [],
    );
    expect(calls).toEqual([
      ["functions.f:0", { city: "Ōsaka" }],
      ["call_2", {}],
    ]);
    const finish = parts.find((part) => part.type === "finish");
    expect(finish).toMatchObject({ finishReason: { unified: "tool-calls", raw: "tool_use" } });
    expect(JSON.stringify(parts)).toContain("gAAA+/=");
  });

  test("reads a whole answer", async () => {
    reply = { type: "application/json", body: dialect.writeResponse(new Fold().addAll(events()).response(), facts, asked) };
    const { content: parts, finishReason } = await model().doGenerate({ prompt });
    expect(parts.flatMap((part) => (part.type === "text" ? [part.text] : []))).toEqual(["It runs."]);
    expect(finishReason).toMatchObject({ unified: "tool-calls" });
  });
});
