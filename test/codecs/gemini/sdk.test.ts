/** The unmodified client libraries against a server that answers with what our writers write. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { create } from "@bufbuild/protobuf";
import { ApiError, GoogleGenAI } from "@google/genai";
import { generateText, jsonSchema, streamText, type ToolSet } from "ai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddingType, EmbedResponseSchema } from "../../../gen/dragoman/v1/embed_pb.ts";
import { FinishReason, type GenerateRequest, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { CountTokensResponseSchema } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { UsageBasis, UsageSchema } from "../../../gen/dragoman/v1/usage_pb.ts";
import { geminiBatchEmbedDialect, geminiCountTokensDialect, geminiDialect, geminiEmbedDialect } from "../../../src/codecs/gemini/index.ts";
import type { RequestFacts } from "../../../src/core/dialect.ts";
import { GatewayError } from "../../../src/core/error.ts";
import { type GenerateEvent, usageEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import { type JsonValue, parseJson } from "../../../src/core/json.ts";
import { eventsOf, facts, type Step } from "./answers.ts";

/** What the next answers are, and what was asked. */
let answers: (GenerateEvent[] | GatewayError)[];
let asked: GenerateRequest[];
let paths: string[];
let breaksAfter: number | undefined;
let server: Server;
let address: string;

interface Reply {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

const failure = new GatewayError("rate_limited", "slow down", { retryAfterMs: 1000 });

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) text += String(chunk);
  return text;
}

function answer(method: string, body: JsonValue, request: RequestFacts): Reply {
  const json = (text: string): Reply => ({ status: 200, type: "application/json", body: text });
  switch (method) {
    case "countTokens":
      asked.push(geminiCountTokensDialect.readRequest(body, request).generate);
      return json(geminiCountTokensDialect.writeResponse(create(CountTokensResponseSchema, { inputTokens: 31 })));
    case "embedContent":
    case "batchEmbedContents": {
      const dialect = method === "embedContent" ? geminiEmbedDialect : geminiBatchEmbedDialect;
      const { embed } = dialect.readRequest(body, request);
      const embeddings = embed.inputs.map((_, index) => ({ index, type: EmbeddingType.FLOAT, values: [index, 0.5] }));
      return json(dialect.writeResponse(create(EmbedResponseSchema, { embeddings })));
    }
    default:
      return generate(body, { ...request, stream: method === "streamGenerateContent" });
  }
}

function generate(body: JsonValue, request: RequestFacts): Reply {
  const read = geminiDialect.readRequest(body, request);
  asked.push(read.generate);
  const next = answers.shift() ?? [];
  if (next instanceof GatewayError) throw next;
  if (read.stream !== true) {
    return { status: 200, type: "application/json", body: geminiDialect.writeResponse(new Fold().addAll(next).response(), facts, read) };
  }
  const writer = geminiDialect.eventWriter(read, facts);
  let text = "";
  for (const event of next.slice(0, breaksAfter)) text += writer.write({ events: [event] });
  text += breaksAfter === undefined ? writer.end() : writer.error(failure);
  return { status: 200, type: writer.contentType ?? "text/event-stream", body: text };
}

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const url = new URL(request.url ?? "/", "http://localhost");
    paths.push(url.pathname + url.search);
    const [, model, method] = /\/models\/([^/:]+):(\w+)$/.exec(url.pathname) ?? [];
    let reply: Reply;
    try {
      reply = answer(method ?? "", parseJson(await textOf(request)), { model, query: url.searchParams });
    } catch (thrown) {
      const error = GatewayError.from(thrown);
      reply = { status: error.status, type: "application/json", body: JSON.stringify(geminiDialect.writeError(error, { requestId: "r" })) };
    }
    response.writeHead(reply.status, { "content-type": reply.type }).end(reply.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => new Promise((resolve) => server.close(resolve)));

beforeEach(() => {
  answers = [];
  asked = [];
  paths = [];
  breaksAfter = undefined;
});

const counted = usageEvent(create(UsageSchema, { basis: UsageBasis.PROVIDER, inputTokens: 10, outputTokens: 8, reasoningTokens: 3 }));
const signed = { value: "claude's own: ü", format: "anthropic", provider: "claude" };
const weather: Step = { kind: "call", id: "toolu_1", name: "weather", pieces: ['{"city":', '"Köln"}'] };
const thought: Step = { kind: "reasoning", pieces: ["Let me ", "think."], signature: signed };
const callAnswer = () => [...eventsOf({ steps: [thought, weather], reason: FinishReason.TOOL_CALLS }), counted];
const textAnswer = () => [...eventsOf({ steps: [thought, { kind: "text", pieces: ["It ", "rains 🌧."] }] }), counted];

/** That the reasoning came back to us whole, signed as it was. */
function expectThoughtBack(request: GenerateRequest | undefined): void {
  const parts = request?.messages.filter(({ role }) => role === Role.ASSISTANT).flatMap((message) => message.parts) ?? [];
  const reasoning = parts.filter(({ part }) => part.case === "reasoning");
  expect(reasoning).toMatchObject([
    { part: { value: { text: "Let me think." } }, signature: { value: signed.value, format: "anthropic" } },
  ]);
}

describe("@google/genai", () => {
  const client = () => new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: address, retryOptions: { attempts: 1 } } });

  test("generates", async () => {
    answers = [textAnswer()];
    const reply = await client().models.generateContent({
      model: "m",
      contents: "Hi",
      config: { systemInstruction: "be kind", temperature: 0.5 },
    });
    expect(reply.text).toBe("It rains 🌧.");
    expect(reply.candidates?.[0]?.finishReason).toBe("STOP");
    expect(reply.usageMetadata).toMatchObject({
      promptTokenCount: 10,
      candidatesTokenCount: 5,
      thoughtsTokenCount: 3,
      totalTokenCount: 18,
    });
    expect(reply.modelVersion).toBe("served");
    expect(asked[0]).toMatchObject({ model: "m", messages: [{ role: Role.SYSTEM }, { role: Role.USER }], sampling: { temperature: 0.5 } });
  });

  test("streams", async () => {
    answers = [textAnswer()];
    const texts: (string | undefined)[] = [];
    let last: Awaited<ReturnType<ReturnType<typeof client>["models"]["generateContent"]>> | undefined;
    for await (const chunk of await client().models.generateContentStream({ model: "m", contents: "Hi" })) {
      texts.push(chunk.text);
      last = chunk;
    }
    expect(texts.join("")).toBe("It rains 🌧.");
    expect(last?.candidates?.[0]?.finishReason).toBe("STOP");
    expect(last?.usageMetadata?.totalTokenCount).toBe(18);
    expect(paths[0]).toContain(":streamGenerateContent?alt=sse");
  });

  test("calls a function and sends everything back, in a chat, streamed and whole", async () => {
    for (const streamed of [true, false]) {
      asked = [];
      answers = [callAnswer(), textAnswer()];
      const parametersJsonSchema = { type: "object", properties: { city: { type: "string" } } };
      const chat = client().chats.create({
        model: "m",
        config: { tools: [{ functionDeclarations: [{ name: "weather", parametersJsonSchema }] }] },
      });
      const send = async (message: Parameters<typeof chat.sendMessage>[0]["message"]) => {
        if (!streamed) return (await chat.sendMessage({ message })).functionCalls ?? [];
        const calls = [];
        for await (const chunk of await chat.sendMessageStream({ message })) calls.push(...(chunk.functionCalls ?? []));
        return calls;
      };
      const [call] = await send("Weather?");
      expect(call).toEqual({ id: "toolu_1", name: "weather", args: { city: "Köln" } });
      await send([{ functionResponse: { id: call?.id ?? "", name: "weather", response: { output: "rain" } } }]);
      expectThoughtBack(asked[1]);
      const parts = asked[1]?.messages.flatMap((message) => message.parts.map(({ part }) => part)) ?? [];
      expect(parts.find(({ case: kind }) => kind === "toolCall")?.value).toMatchObject({ id: "toolu_1", argumentsJson: '{"city":"Köln"}' });
      expect(parts.find(({ case: kind }) => kind === "toolResult")?.value).toMatchObject({ toolCallId: "toolu_1", name: "weather" });
    }
  });

  test("throws for an error, before and inside a stream", async () => {
    answers = [failure];
    const thrown = await client()
      .models.generateContent({ model: "m", contents: "Hi" })
      .catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(ApiError);
    expect((thrown as ApiError).status).toBe(429);
    expect((thrown as ApiError).message).toContain("RESOURCE_EXHAUSTED");

    answers = [textAnswer()];
    breaksAfter = 5;
    const texts: string[] = [];
    const read = async () => {
      for await (const chunk of await client().models.generateContentStream({ model: "m", contents: "Hi" })) texts.push(chunk.text ?? "");
    };
    await expect(read()).rejects.toThrow("slow down");
  });

  test("counts and embeds", async () => {
    expect((await client().models.countTokens({ model: "m", contents: "Hi" })).totalTokens).toBe(31);
    expect(asked[0]?.messages).toMatchObject([{ role: Role.USER, parts: [{ part: { value: "Hi" } }] }]);
    const { embeddings } = await client().models.embedContent({
      model: "gemini-embedding-001",
      contents: ["a", "b"],
      config: { outputDimensionality: 2 },
    });
    expect(embeddings?.map(({ values }) => values)).toEqual([
      [0, 0.5],
      [1, 0.5],
    ]);
  });
});

describe("@ai-sdk/google", () => {
  const model = () => createGoogleGenerativeAI({ apiKey: "k", baseURL: `${address}/v1beta` })("gemini-2.5-flash");
  const tools: ToolSet = {
    weather: {
      description: "d",
      inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
    },
  };

  test("generates and streams", async () => {
    answers = [textAnswer(), textAnswer()];
    const whole = await generateText({ model: model(), prompt: "Hi", maxRetries: 0 });
    expect(whole).toMatchObject({ text: "It rains 🌧.", finishReason: "stop", reasoningText: "Let me think." });
    expect(whole.usage).toMatchObject({ inputTokens: 10, outputTokens: 8 });
    const streamed = streamText({ model: model(), prompt: "Hi", maxRetries: 0 });
    expect(await streamed.text).toBe("It rains 🌧.");
    expect(await streamed.finishReason).toBe("stop");
    expect(await streamed.usage).toMatchObject({ inputTokens: 10, outputTokens: 8 });
  });

  test("calls a tool and sends everything back", async () => {
    answers = [callAnswer(), textAnswer()];
    const first = streamText({ model: model(), prompt: "Weather?", tools, maxRetries: 0 });
    const [call] = await first.toolCalls;
    expect(call).toMatchObject({ toolName: "weather", input: { city: "Köln" } });
    expect(await first.finishReason).toBe("tool-calls");
    const result = {
      role: "tool" as const,
      content: [
        {
          type: "tool-result" as const,
          toolCallId: call?.toolCallId ?? "",
          toolName: "weather",
          output: { type: "text" as const, value: "rain" },
        },
      ],
    };
    const { messages } = await first.response;
    const second = await generateText({
      model: model(),
      tools,
      maxRetries: 0,
      messages: [{ role: "user", content: "Weather?" }, ...messages, result],
    });
    expect(second.text).toBe("It rains 🌧.");
    expectThoughtBack(asked[1]);
    const parts = asked[1]?.messages.flatMap((message) => message.parts.map(({ part }) => part)) ?? [];
    const called = parts.find(({ case: kind }) => kind === "toolCall")?.value;
    const answered = parts.find(({ case: kind }) => kind === "toolResult")?.value;
    expect(called).toMatchObject({ name: "weather", argumentsJson: '{"city":"Köln"}' });
    expect((answered as { toolCallId: string }).toolCallId).toBe((called as { id: string }).id);
  });

  test("reads errors", async () => {
    answers = [failure];
    await expect(generateText({ model: model(), prompt: "Hi", maxRetries: 0 })).rejects.toMatchObject({
      statusCode: 429,
      message: "slow down",
    });
  });
});
