import { create, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { FinishReason, GenerateRequestSchema, HostedToolKind, Role, ToolChoiceMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import {
  GetChatCompletionChunkSchema,
  GetChatCompletionResponseSchema,
  GetCompletionsRequestSchema,
  ToolCallStatus,
  ToolCallType,
} from "../../../gen/xai/api/v1/chat_pb.ts";
import { createXaiCodec } from "../../../src/codecs/xai/index.ts";
import type { GenerateEvent } from "../../../src/core/event.ts";
import { Fold } from "../../../src/core/fold.ts";
import type { Target } from "../../../src/core/target.ts";

const codec = createXaiCodec();
const target: Target = { id: "x/grok", provider: "x", model: "grok", traits: {} };
const user = (text: string) => ({ role: Role.USER, parts: [{ part: { case: "text" as const, value: text } }] });

interface Written {
  readonly messages: object[];
  readonly tools: object[];
}

type Init = Exclude<MessageInitShape<typeof GenerateRequestSchema>, { $typeName: string }>;

function write(init: Init) {
  const { message, report, state } = codec.writeRequest(
    create(GenerateRequestSchema, { model: "m", messages: [user("hi")], ...init }),
    target,
  );
  const notes = report.notes.map(({ path, action }) => `${["", "D", "K", "E", "F"][action]} ${path}`);
  return { json: toJson(GetCompletionsRequestSchema, message) as unknown as Written, report, notes, state };
}

type Chunk = Exclude<MessageInitShape<typeof GetChatCompletionChunkSchema>, { $typeName: string }>;

function read(chunks: readonly Chunk[], state?: unknown) {
  const reader = codec.eventReader("x", state);
  const events: GenerateEvent[] = chunks.flatMap((chunk) => reader.read(create(GetChatCompletionChunkSchema, chunk)));
  events.push(...reader.end());
  return { events, response: new Fold().addAll(events).response() };
}

describe("requests", () => {
  test("sampling is carried, clamped, cut or refused", () => {
    const { json, notes, report } = write({
      sampling: { temperature: 3, topK: 5, maxOutputTokens: 9, stop: [..."abcdefghi"], topLogprobs: 20, logprobs: true, seed: 2n ** 40n },
    });
    expect(json).toMatchObject({ temperature: 2, maxTokens: 9, stop: [..."abcdefgh"], logprobs: true, topLogprobs: 8 });
    expect(notes).toEqual(["K sampling.temperature", "D sampling.top_k", "K sampling.stop", "K sampling.top_logprobs"]);
    expect(() => report.settle(false)).toThrow("sampling.seed");
  });

  test("tool results are messages of their own, media goes to the user after all of them", () => {
    const { json, notes } = write({
      messages: [
        user("go"),
        {
          role: Role.ASSISTANT,
          parts: [
            { part: { case: "reasoning", value: { text: "Hm." } }, signature: { value: "Y2lwaGVy", format: "xai", provider: "x" } },
            { part: { case: "toolCall", value: { id: "a", name: "f", argumentsJson: '{"n":9007199254740993}' } } },
            { part: { case: "toolCall", value: { id: "b", name: "g" } } },
          ],
        },
        {
          role: Role.USER,
          parts: [
            {
              part: {
                case: "toolResult",
                value: {
                  toolCallId: "a",
                  isError: true,
                  content: [{ part: { case: "image", value: { source: { case: "url", value: "https://e.x/i.png" } } } }],
                },
              },
            },
            { part: { case: "toolResult", value: { toolCallId: "b", resultJson: "{}" } } },
          ],
        },
      ],
    });
    expect(json.messages).toEqual([
      { role: "ROLE_USER", content: [{ text: "go" }] },
      {
        role: "ROLE_ASSISTANT",
        content: [{ text: "" }],
        reasoningContent: "Hm.",
        encryptedContent: "Y2lwaGVy",
        toolCalls: [
          { id: "a", type: "TOOL_CALL_TYPE_CLIENT_SIDE_TOOL", function: { name: "f", arguments: '{"n":9007199254740993}' } },
          { id: "b", type: "TOOL_CALL_TYPE_CLIENT_SIDE_TOOL", function: { name: "g", arguments: "{}" } },
        ],
      },
      { role: "ROLE_TOOL", toolCallId: "a", content: [{ text: "Error: " }] },
      { role: "ROLE_TOOL", toolCallId: "b", content: [{ text: "{}" }] },
      { role: "ROLE_USER", content: [{ imageUrl: { imageUrl: "https://e.x/i.png" } }] },
    ]);
    expect(notes).toEqual(["E messages[2].parts[0].tool_result.content[0]", "E messages[2].parts[0].tool_result.is_error"]);
  });

  test("case 28: calls of one turn that stand in several messages are one message, as their results follow it", () => {
    const call = (id: string) => ({ part: { case: "toolCall" as const, value: { id, name: "f", argumentsJson: "{}" } } });
    const { json, notes } = write({
      messages: [
        user("go"),
        { role: Role.ASSISTANT, parts: [call("a")] },
        { role: Role.ASSISTANT, parts: [call("b")], name: "bot" },
        {
          role: Role.USER,
          parts: ["a", "b"].map((toolCallId) => ({ part: { case: "toolResult" as const, value: { toolCallId, resultJson: "{}" } } })),
        },
      ],
    });
    const roles = (json.messages as readonly { role: string; toolCalls?: readonly { id: string }[] }[]).map(({ role, toolCalls = [] }) => [
      role,
      toolCalls.map(({ id }) => id).join(),
    ]);
    expect(roles).toEqual([
      ["ROLE_USER", ""],
      ["ROLE_ASSISTANT", "a,b"],
      ["ROLE_TOOL", ""],
      ["ROLE_TOOL", ""],
    ]);
    expect(notes).toEqual(["D messages[2].name"]);
  });

  test("reasoning that another provider signed is left out with its text", () => {
    const thought = (provider: string, format: string) => ({
      role: Role.ASSISTANT,
      parts: [
        { part: { case: "reasoning" as const, value: { text: "Hm." } }, signature: { value: "c2ln", format, provider } },
        { part: { case: "text" as const, value: "So." } },
      ],
    });
    const { json, notes } = write({
      messages: [user("a"), thought("y", "xai"), user("b"), thought("x", "anthropic"), user("c"), thought("", "xai"), user("d")],
    });
    expect(notes).toEqual(["D messages[1].parts[0]", "D messages[3].parts[0]"]);
    expect(JSON.stringify(json).match(/encryptedContent/g)).toHaveLength(1);
  });

  test("a named tool, allowed tools and hosted tools", () => {
    const functions = ["f", "g"].map((name) => ({ tool: { case: "function" as const, value: { name } } }));
    const hosted = {
      tool: {
        case: "hosted" as const,
        value: { kind: HostedToolKind.WEB_SEARCH, format: "anthropic-messages", type: "web_search_20260318" },
      },
    };
    const { json, notes } = write({
      tools: [...functions, hosted],
      toolChoice: { mode: ToolChoiceMode.TOOL, toolName: "g", parallel: false },
    });
    expect(json).toMatchObject({ toolChoice: { functionName: "g" }, parallelToolCalls: false });
    expect(json.tools).toHaveLength(3);
    expect(json.tools[2]).toEqual({ webSearch: {} });
    expect(notes).toEqual(["E tools[2]"]);
    expect(write({ tools: functions, toolChoice: { allowedTools: ["g"] } }).json.tools.length).toBe(1);
  });

  test("extras are merged under modelled fields; unknown ones and those of other formats are reported", () => {
    const { json, notes } = write({
      sampling: { temperature: 1 },
      extrasJson: {
        xai: '{"temperature": 0, "max_turns": 3, "include": ["INCLUDE_OPTION_INLINE_CITATIONS"], "later": 1}',
        gemini: '{"safetySettings": []}',
      },
    });
    expect(json).toMatchObject({ temperature: 1, maxTurns: 3, include: ["INCLUDE_OPTION_INLINE_CITATIONS"] });
    expect(notes).toEqual(["D safetySettings", "D later"]);
  });

  test("instructions alone are said by the user; an assistant at the end is refused", () => {
    const alone = write({ messages: [{ role: Role.SYSTEM, parts: [{ part: { case: "text", value: "Be brief." } }] }] });
    expect(alone.json.messages).toEqual([{ role: "ROLE_USER", content: [{ text: "Be brief." }] }]);
    expect(alone.notes).toEqual(["E messages[0]"]);
    const prefill = write({ messages: [user("a"), { role: Role.ASSISTANT, parts: [{ part: { case: "text", value: "b" } }] }] });
    expect(() => prefill.report.settle(false)).toThrow("messages[1]");
  });
});

describe("answers", () => {
  test("case 21: reasoning, text, whole calls and running totals with reasoning outside", () => {
    const usage = (completionTokens: number) => ({
      promptTokens: 10,
      cachedPromptTextTokens: 4,
      completionTokens,
      reasoningTokens: 5,
      costInUsdTicks: 95n,
    });
    const { events, response } = read([
      { id: "r1", model: "grok-4-1", systemFingerprint: "fp", outputs: [{ delta: { reasoningContent: "Hm." } }], usage: usage(0) },
      { outputs: [{ delta: { content: "Look" } }], usage: usage(1) },
      { outputs: [{ delta: { content: "ing." } }], usage: usage(1) },
      {
        outputs: [{ delta: { toolCalls: [{ id: "c", type: 1, tool: { case: "function", value: { name: "f", arguments: "{}" } } }] } }],
        usage: usage(3),
      },
      { outputs: [{ delta: { encryptedContent: "Y2lwaGVy" }, finishReason: 4 }], usage: usage(3) },
    ]);
    expect(response.started).toMatchObject({ upstreamId: "r1", servedModel: "grok-4-1", systemFingerprint: "fp" });
    const parts = response.candidates[0]?.message?.parts ?? [];
    expect(parts.map(({ part }) => part.case)).toEqual(["reasoning", "text", "toolCall", "reasoning"]);
    expect(parts[3]).toMatchObject({ signature: { value: "Y2lwaGVy", format: "xai", provider: "x" }, part: { value: { redacted: true } } });
    expect(response.candidates[0]?.finished).toMatchObject({ reason: FinishReason.TOOL_CALLS, rawReason: "REASON_TOOL_CALLS" });
    expect(response.usage).toMatchObject({
      inputTokens: 10,
      outputTokens: 8,
      reasoningTokens: 5,
      cacheReadTokens: 4,
      providerCostNanoUsd: 10n,
    });
    // Totals that say nothing new are no events.
    expect(events.filter(({ event }) => event.case === "usage")).toHaveLength(3);
  });

  test("tools that the service ran stay whole, in order, and go back", () => {
    const call = {
      id: "s",
      type: ToolCallType.WEB_SEARCH_TOOL,
      status: ToolCallStatus.COMPLETED,
      tool: { case: "function" as const, value: { name: "web_search", arguments: '{"q":"x"}' } },
    };
    const { response } = read([
      { outputs: [{ index: 0, delta: { role: 2, toolCalls: [call] } }] },
      { outputs: [{ index: 1, delta: { role: 5, content: "found", encryptedContent: "b3V0" } }] },
      { outputs: [{ index: 2, delta: { role: 2, content: "So." }, finishReason: 3 }] },
    ]);
    expect(response.candidates).toHaveLength(1);
    const message = response.candidates[0]?.message;
    expect(message?.parts.map(({ part }) => (part.case === "opaque" ? part.value.type : part.case))).toEqual([
      "web_search_tool",
      "tool_output",
      "text",
    ]);
    if (message === undefined) return;
    const { json, notes } = write({ messages: [user("a"), message, user("b")] });
    expect(notes).toEqual([]);
    expect(json.messages.slice(1, 4)).toEqual([
      {
        role: "ROLE_ASSISTANT",
        content: [{ text: "" }],
        toolCalls: [
          {
            id: "s",
            type: "TOOL_CALL_TYPE_WEB_SEARCH_TOOL",
            status: "TOOL_CALL_STATUS_COMPLETED",
            function: { name: "web_search", arguments: '{"q":"x"}' },
          },
        ],
      },
      { role: "ROLE_TOOL", content: [{ text: "found" }], encryptedContent: "b3V0" },
      { role: "ROLE_ASSISTANT", content: [{ text: "So." }] },
    ]);
  });

  test("citations keep their place; pages that none of them names follow", () => {
    const { response } = read([
      { outputs: [{ delta: { content: "é [[1]](u)" } }] },
      {
        outputs: [
          {
            delta: { citations: [{ id: "1", startIndex: 2, endIndex: 10, citation: { case: "webCitation", value: { url: "u" } } }] },
            finishReason: 3,
          },
        ],
        citations: ["u", "https://other.example"],
      },
    ]);
    const annotations = response.candidates[0]?.message?.parts[0]?.annotations;
    expect(
      annotations?.map(({ startIndex, endIndex, source }) => [startIndex, endIndex, source.case === "url" ? source.value.url : ""]),
    ).toEqual([
      [2, 10, "u"],
      [undefined, undefined, "https://other.example"],
    ]);
  });

  test("a free-text tool is undone", () => {
    const { state } = write({ tools: [{ tool: { case: "custom", value: { name: "sql" } } }] });
    const call = { id: "c", tool: { case: "function" as const, value: { name: "sql", arguments: '{"input":"select 1"}' } } };
    const { response } = read([{ outputs: [{ delta: { toolCalls: [call] }, finishReason: 4 }] }], state);
    expect(response.candidates[0]?.message?.parts[0]?.part).toMatchObject({
      case: "toolCall",
      value: { name: "sql", inputText: "select 1", argumentsJson: "" },
    });
  });

  test("several answers are candidates only where they were asked for", () => {
    const chunks: Chunk[] = [
      {
        outputs: [
          { index: 0, delta: { content: "a" }, finishReason: 3 },
          { index: 1, delta: { content: "b" }, finishReason: 1 },
        ],
      },
    ];
    expect(read(chunks).response.candidates).toHaveLength(1);
    const { state } = write({ sampling: { candidateCount: 2 } });
    expect(read(chunks, state).response.candidates.map(({ finished }) => finished?.reason)).toEqual([
      FinishReason.STOP,
      FinishReason.LENGTH,
    ]);
  });

  test("a whole reply gives what its stream would have", () => {
    const reply = create(GetChatCompletionResponseSchema, {
      id: "r1",
      model: "grok",
      outputs: [{ finishReason: 3, message: { role: 2, reasoningContent: "Hm.", content: "Yes.", encryptedContent: "Y2lwaGVy" } }],
      usage: { promptTokens: 3, completionTokens: 2 },
    });
    const whole = new Fold().addAll(codec.readResponse(reply, "x")).response();
    const parts = whole.candidates[0]?.message?.parts;
    expect(parts?.[0]).toMatchObject({
      part: { case: "reasoning", value: { text: "Hm.", redacted: false } },
      signature: { value: "Y2lwaGVy" },
    });
    expect(parts?.[1]?.part).toEqual({ case: "text", value: "Yes." });
  });

  test("nothing at all is no answer, and a break ends what is open", () => {
    expect(() => read([])).toThrow("without any output");
    const reader = codec.eventReader("x");
    reader.read(create(GetChatCompletionChunkSchema, { outputs: [{ delta: { content: "a" } }] }));
    expect(reader.abandon()[0]?.event).toMatchObject({ case: "blockEnded", value: { incomplete: true } });
  });
});
