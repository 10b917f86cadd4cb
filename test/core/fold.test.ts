import { describe, expect, test } from "vitest";
import { BlockKind, FinishReason } from "../../gen/dragoman/v1/generate_pb.ts";
import { EventBuilder, finishedEvent, startedEvent } from "../../src/core/event.ts";
import { Fold } from "../../src/core/fold.ts";

describe("Fold", () => {
  test("puts interleaved blocks of two candidates together, in the order in which they started", () => {
    const events = new EventBuilder();
    events.push(startedEvent({ upstreamId: "x" }, { "openai-chat": '{"a":1}' }));
    const thinking = events.startBlock(0, BlockKind.REASONING);
    events.text(0, thinking, "hm");
    events.endBlock(0, thinking, { signature: { value: "sig", format: "anthropic" } as never });
    const first = events.startBlock(0, BlockKind.TOOL_CALL, { toolCall: { id: "1", name: "f" } as never });
    const second = events.startBlock(0, BlockKind.TOOL_CALL, { toolCall: { id: "2", name: "g" } as never });
    const other = events.startBlock(1, BlockKind.TEXT);
    events.argumentsJson(0, second, '{"b":');
    events.text(1, other, "Hal");
    events.argumentsJson(0, first, "{}");
    events.argumentsJson(0, second, "2}");
    events.text(1, other, "lo");
    events.endOpenBlocks();
    events.push(finishedEvent({ candidate: 1, reason: FinishReason.STOP }));
    events.push(finishedEvent({ candidate: 0, reason: FinishReason.TOOL_CALLS }));

    const answer = new Fold().addAll(events.take()).response();

    expect(answer.started?.upstreamId).toBe("x");
    expect(answer.extrasJson).toEqual({ "openai-chat": '{"a":1}' });
    expect(answer.candidates.map(({ index, finished }) => [index, finished?.reason])).toEqual([
      [0, FinishReason.TOOL_CALLS],
      [1, FinishReason.STOP],
    ]);
    const parts = answer.candidates[0]?.message?.parts ?? [];
    expect(parts.map(({ part }) => part.case)).toEqual(["reasoning", "toolCall", "toolCall"]);
    expect(parts[0]?.signature?.value).toBe("sig");
    expect(parts.slice(1).map(({ part }) => part.case === "toolCall" && [part.value.id, part.value.argumentsJson])).toEqual([
      ["1", "{}"],
      ["2", '{"b":2}'],
    ]);
    expect(answer.candidates[1]?.message?.parts[0]?.part).toEqual({ case: "text", value: "Hallo" });
  });

  test("a block that the stream cut off keeps what had come", () => {
    const events = new EventBuilder();
    const text = events.startBlock(0, BlockKind.TEXT);
    events.text(0, text, "half");
    expect(new Fold().addAll(events.take()).response().candidates[0]?.message?.parts[0]?.part.value).toBe("half");
  });
});
