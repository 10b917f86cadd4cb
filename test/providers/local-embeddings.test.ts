import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, describe, expect, test } from "vitest";
import { EmbeddingType, type EmbedRequest, EmbedRequestSchema, EmbedTask, Truncation } from "../../gen/dragoman/v1/embed_pb.ts";
import { UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import { GatewayError } from "../../src/core/error.ts";
import { createLocalEmbeddings, localEmbeddingsAvailable } from "../../src/providers/local-embeddings.ts";
import { startCall, strict, targetOf } from "./calls.ts";

const provider = createLocalEmbeddings();
const target = targetOf("local", "use-lite");
afterAll(() => provider.close());

function texts(values: readonly string[], rest: Omit<MessageInitShape<typeof EmbedRequestSchema>, "$typeName"> = {}): EmbedRequest {
  return create(EmbedRequestSchema, {
    model: "use-lite",
    inputs: values.map((value) => ({ input: { case: "text" as const, value } })),
    ...rest,
  });
}

function likeness(left: readonly number[], right: readonly number[]): number {
  return left.reduce((sum, value, index) => sum + value * (right[index] ?? 0), 0);
}

describe.runIf(await localEmbeddingsAvailable())("local embeddings", () => {
  test("texts of one meaning are alike, in the order of the inputs", { timeout: 30_000 }, async () => {
    const request = texts(["How do I reset my password?", "I forgot my login credentials", "What is the weather in Paris today?"]);
    const response = await provider.embed?.(request, target, startCall());
    const [a = [], b = [], c = []] = response?.embeddings.map(({ values }) => values) ?? [];
    expect(response).toMatchObject({ dimensions: 512, servedModel: "use-lite", usage: { basis: UsageBasis.ESTIMATED } });
    expect(a).toHaveLength(512);
    expect(likeness(a, b)).toBeGreaterThan(likeness(a, c) + 0.3);
  });

  test("many texts keep their order", { timeout: 30_000 }, async () => {
    const values = Array.from({ length: 70 }, (_, index) => (index === 50 ? "a lonely giraffe" : "money in the bank"));
    const response = await provider.embed?.(texts(values), target, startCall());
    expect(response?.embeddings.map(({ index }) => index)).toEqual(values.map((_, index) => index));
    const first = response?.embeddings[0]?.values ?? [];
    const odd = response?.embeddings.filter(({ values: vector }) => likeness(first, vector) < 0.9).map(({ index }) => index);
    expect(odd).toEqual([50]);
  });

  test("an abort rejects the waiter at once, and the next call is served", { timeout: 30_000 }, async () => {
    const stop = new AbortController();
    const running = provider.embed?.(texts(["long ".repeat(5_000)]), target, startCall({ signal: stop.signal }));
    const reason = new GatewayError("cancelled", "the client went away");
    stop.abort(reason);
    await expect(running).rejects.toBe(reason);
    expect((await provider.embed?.(texts(["short"]), target, startCall()))?.embeddings).toHaveLength(1);
  });

  test.each([
    ["other dimensions", texts(["a"], { dimensions: 256 }), "dimensions"],
    ["other number formats", texts(["a"], { types: [EmbeddingType.INT8] }), "types"],
    ["empty text", texts(["a", ""]), "inputs[1]"],
    ["text that is too long", texts(["a".repeat(40_000)]), "inputs[0]"],
  ])("%s are refused with the path", async (_what, request, field) => {
    await expect(provider.embed?.(request, target, startCall())).rejects.toMatchObject({
      reason: "invalid_request",
      details: { fields: [{ field }] },
    });
  });

  test("text that is too long is cut where that was asked for", { timeout: 30_000 }, async () => {
    const request = texts(["word ".repeat(8_000)], { truncation: Truncation.END });
    expect((await provider.embed?.(request, target, startCall()))?.embeddings).toHaveLength(1);
  });

  test("tells of a task it cannot heed, and refuses it in strict mode", { timeout: 30_000 }, async () => {
    const request = texts(["a"], { task: EmbedTask.SEARCH_QUERY });
    const call = startCall();
    await provider.embed?.(request, target, call);
    expect(call.translation.map(({ path }) => path)).toEqual(["task"]);
    await expect(provider.embed?.(request, target, startCall({ options: strict() }))).rejects.toMatchObject({ reason: "untranslatable" });
  });

  test("another model does not exist", async () => {
    await expect(provider.embed?.(texts(["a"]), targetOf("local", "other"), startCall())).rejects.toMatchObject({
      reason: "model_not_found",
    });
  });

  test("lists its one model", async () => {
    expect(await provider.listModels?.(new AbortController().signal)).toMatchObject([{ id: "use-lite", embeddingDimensions: 512 }]);
  });

  test("after close nothing is served, and waiters are told", { timeout: 30_000 }, async () => {
    const closing = createLocalEmbeddings();
    const waiting = closing.embed?.(texts(["a"]), target, startCall());
    const rejected = expect(waiting).rejects.toMatchObject({ reason: "provider_error" });
    await closing.close();
    await rejected;
    await expect(closing.embed?.(texts(["a"]), target, startCall())).rejects.toMatchObject({ reason: "provider_error" });
  });
});
