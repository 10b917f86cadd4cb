import { describe, expect, test } from "vitest";
import { ModelKind } from "../../gen/dragoman/v1/model_pb.ts";
import { createModel, readOpenAiModels } from "../../src/providers/model-list.ts";

describe("readOpenAiModels", () => {
  test("reads OpenAI's list", () => {
    const { models } = readOpenAiModels(
      { object: "list", data: [{ id: "gpt-4o", object: "model", created: 1_715_367_049, owned_by: "system" }] },
      "openai",
    );
    expect(models).toMatchObject([
      {
        id: "gpt-4o",
        ownedBy: "system",
        createdAt: { seconds: 1_715_367_049n },
        kinds: [ModelKind.GENERATE],
        providers: ["openai"],
        available: true,
      },
    ]);
  });

  test("reads a bare array with types, and the limits that vendors add", () => {
    const { models } = readOpenAiModels(
      [
        { id: "BAAI/bge-large-en-v1.5", type: "embedding", organization: "BAAI", context_length: 512 },
        { id: "a/b", context_length: 131_072, top_provider: { max_completion_tokens: 8_192 } },
        { id: "c", max_model_len: 4_096, created: 0 },
      ],
      "p",
    );
    expect(models).toMatchObject([
      { kinds: [ModelKind.EMBED], ownedBy: "BAAI", contextWindow: 512 },
      { contextWindow: 131_072, maxOutputTokens: 8_192, ownedBy: "p" },
      { contextWindow: 4_096 },
    ]);
    expect(models[2]?.createdAt).toBeUndefined();
  });

  test("leaves out ids that no request could name, and numbers that mean nothing", () => {
    const { models } = readOpenAiModels(
      {
        data: [
          { id: "" },
          { id: "a\nb" },
          { id: "x".repeat(257) },
          { id: 7 },
          "m",
          null,
          { id: "ok", context_window: -1, created: "soon" },
        ],
      },
      "p",
    );
    expect(models.map(({ id }) => id)).toEqual(["ok"]);
    expect(models[0]?.contextWindow).toBeUndefined();
  });

  test("refuses what is no list", () => {
    expect(() => readOpenAiModels({ error: "no" }, "p")).toThrow("no list of models");
  });
});

describe("what a model does, by its name", () => {
  test.each([
    ["gpt-5.1", ModelKind.GENERATE],
    ["text-embedding-3-small", ModelKind.EMBED],
    ["nomic-embed-text:latest", ModelKind.EMBED],
    ["BAAI/bge-m3", ModelKind.EMBED],
    ["rerank-v3.5", ModelKind.RERANK],
    ["omni-moderation-latest", ModelKind.MODERATE],
    ["dall-e-3", ModelKind.IMAGE],
    ["whisper-1", ModelKind.TRANSCRIBE],
    ["tts-1-hd", ModelKind.SYNTHESIZE],
  ])("%s", (id, kind) => {
    expect(createModel({ id }, "p")?.kinds).toEqual([kind]);
  });
});
