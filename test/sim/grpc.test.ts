/** The simulator over gRPC, asked by a client that shares nothing with it but the protos. */
import {
  create,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  type GenerateContentRequestSchema,
  type GenerateContentResponse,
  GenerativeService,
} from "../../gen/google/ai/generativelanguage/v1beta/generative_service_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import {
  Chat,
  type GetChatCompletionChunk,
  type GetChatCompletionResponse,
  type GetCompletionsRequestSchema,
  MessageRole,
} from "../../gen/xai/api/v1/chat_pb.ts";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";

let sim: SimServer;
let client: grpc.Client;
beforeAll(async () => {
  sim = await startSim({ port: 0 });
  client = new grpc.Client(new URL(sim.grpcUrl).host, grpc.credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await sim.close();
});
beforeEach(() => sim.clear());

type Method = DescMethodUnary | DescMethodServerStreaming;

/** Messages until the end; a failure is thrown. */
async function call<Message>(method: Method, request: unknown, key = "Bearer xai-anything"): Promise<Message[]> {
  const metadata = new grpc.Metadata();
  if (key !== "") metadata.set(key.startsWith("Bearer") ? "authorization" : "x-goog-api-key", key);
  const bytes = Buffer.from(toBinary(method.input, create(method.input, request as never)));
  const stream = client.makeServerStreamRequest<Buffer, Message>(
    `/${method.parent.typeName}/${method.name}`,
    (value) => value,
    (value) => fromBinary(method.output, value) as Message,
    bytes,
    metadata,
  );
  const messages: Message[] = [];
  for await (const message of stream) messages.push(message as Message);
  return messages;
}

const xai = (text: string, rest: MessageInitShape<typeof GetCompletionsRequestSchema> = {}) => ({
  model: "grok-4",
  messages: [{ role: MessageRole.ROLE_USER, content: [{ content: { case: "text", value: text } }] }],
  ...rest,
});
const gemini = (text: string, rest: MessageInitShape<typeof GenerateContentRequestSchema> = {}) => ({
  model: "models/gemini-2.5-flash",
  contents: [{ role: "user", parts: [{ data: { case: "text", value: text } }] }],
  ...rest,
});

describe("xAI", () => {
  test("streams and answers whole, and bills", async () => {
    const chunks = await call<GetChatCompletionChunk>(Chat.method.getCompletionChunk, xai("hello there"));
    expect(chunks.map(({ outputs }) => outputs[0]?.delta?.content ?? "").join("")).toBe("hello there");
    expect(chunks.every(({ usage }) => usage !== undefined)).toBe(true);
    const [whole] = await call<GetChatCompletionResponse>(Chat.method.getCompletion, xai("hello there"));
    expect(whole?.outputs[0]?.message?.content).toBe("hello there");
    await sim.settled();
    expect(
      sim.bill().map(({ format, key, inputTokens, outputTokens, completed }) => ({ format, key, inputTokens, outputTokens, completed })),
    ).toEqual(Array(2).fill({ format: "xai", key: "hing", inputTokens: 7, outputTokens: 3, completed: true }));
  });

  test.each([
    ["no key", xai("hi"), "", grpc.status.UNAUTHENTICATED],
    ["a bad key", xai("hi"), "Bearer bad-key-1234", grpc.status.UNAUTHENTICATED],
    ["a message without content", xai("hi", { messages: [{ role: MessageRole.ROLE_USER }] }), undefined, grpc.status.INVALID_ARGUMENT],
    ["too many stop texts", xai("hi", { stop: [..."123456789"] }), undefined, grpc.status.INVALID_ARGUMENT],
    [
      "a forged ciphertext",
      xai("hi", {
        messages: [
          { role: MessageRole.ROLE_ASSISTANT, content: [{ content: { case: "text", value: "a" } }], encryptedContent: "Zm9yZ2Vk" },
          { role: MessageRole.ROLE_USER, content: [{ content: { case: "text", value: "b" } }] },
        ],
      }),
      undefined,
      grpc.status.INVALID_ARGUMENT,
    ],
    ["a missing model", xai("hi", { model: "sim-missing" }), undefined, grpc.status.NOT_FOUND],
    ["a scripted error", xai("hi", { model: "sim-status-429" }), undefined, grpc.status.RESOURCE_EXHAUSTED],
  ])("refuses %s", async (_what, request, key, code) => {
    await expect(call(Chat.method.getCompletionChunk, request, key)).rejects.toMatchObject({ code });
    expect(sim.bill().every(({ outputTokens }) => outputTokens === 0)).toBe(true);
  });
});

describe("Gemini", () => {
  test("streams, and shares the HTTP API's checks and words", async () => {
    const chunks = await call<GenerateContentResponse>(
      GenerativeService.method.streamGenerateContent,
      gemini("hello there"),
      "AIza-anything",
    );
    const text = chunks
      .flatMap(({ candidates }) => candidates[0]?.content?.parts ?? [])
      .map(({ data }) => (data.case === "text" ? data.value : ""));
    expect(text.join("")).toBe("hello there");
    await expect(
      call(GenerativeService.method.generateContent, { model: "models/gemini-2.5-flash" }, "AIza-anything"),
    ).rejects.toMatchObject({
      code: grpc.status.INVALID_ARGUMENT,
      details: expect.stringContaining("contents is not specified"),
    });
  });

  test("says what is wrong with a key in its details", async () => {
    const failure = await call(GenerativeService.method.generateContent, gemini("hi"), "AIza-bad-key").catch(
      (error: grpc.ServiceError) => error,
    );
    if (Array.isArray(failure)) throw new Error("it answered");
    expect(failure.code).toBe(grpc.status.INVALID_ARGUMENT);
    const status = fromBinary(StatusSchema, failure.metadata.get("grpc-status-details-bin")[0] as Buffer);
    expect(status.details.map(({ typeUrl }) => typeUrl)).toContain("type.googleapis.com/google.rpc.ErrorInfo");
  });
});

test("a method that no vendor has", async () => {
  const unknown = { ...Chat.method.getCompletion, name: "Nothing" };
  await expect(call(unknown, xai("hi"))).rejects.toMatchObject({ code: grpc.status.UNIMPLEMENTED });
});
