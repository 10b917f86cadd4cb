import { describe, expect, test } from "vitest";
import { deltaEvent, type GenerateEvent, startedEvent } from "../../src/core/event.ts";
import { mergeDeltas } from "../../src/rpc/merge-deltas.ts";

const numbered = (...events: GenerateEvent[]) => events.map((event, index) => Object.assign(event, { sequence: index + 1 }));
const text = (value: string, index = 0, candidate = 0) => deltaEvent(candidate, index, { case: "text", value });
const shown = (events: readonly GenerateEvent[]) =>
  events.map(({ sequence, event }) =>
    event.case === "blockDelta" ? `${sequence}:${event.value.index}:${String(event.value.delta.value)}` : `${sequence}:${event.case}`,
  );

describe("mergeDeltas", () => {
  test("joins neighbours of one block under the last sequence", () => {
    expect(shown(mergeDeltas(numbered(startedEvent({}), text("a"), text("b"), text("c"))))).toEqual(["1:started", "4:0:abc"]);
  });

  test("keeps blocks, candidates and kinds apart", () => {
    const events = numbered(
      text("a"),
      text("b", 1),
      text("c", 1),
      text("d", 1, 1),
      deltaEvent(1, 1, { case: "argumentsJson", value: "{" }),
    );
    expect(shown(mergeDeltas(events))).toEqual(["1:0:a", "3:1:bc", "4:1:d", "5:1:{"]);
  });

  test("joins fragments of arguments", () => {
    const events = numbered(
      deltaEvent(0, 2, { case: "argumentsJson", value: '{"a"' }),
      deltaEvent(0, 2, { case: "argumentsJson", value: ":1}" }),
    );
    expect(shown(mergeDeltas(events))).toEqual(['2:2:{"a":1}']);
  });

  test("leaves deltas that carry more than text", () => {
    const scored = deltaEvent(
      0,
      0,
      { case: "text", value: "b" },
      [],
      [{ $typeName: "dragoman.v1.TokenLogprob", token: "b", logprob: -1, top: [], bytes: new Uint8Array() } as never],
    );
    const extra = { ...text("d"), extrasJson: { x: "{}" } };
    expect(shown(mergeDeltas(numbered(text("a"), scored, text("c"), extra)))).toEqual(["1:0:a", "2:0:b", "3:0:c", "4:0:d"]);
  });

  test("changes no event: others look at them too", () => {
    const events = numbered(text("a"), text("b"), text("c"));
    mergeDeltas(events);
    expect(shown(events)).toEqual(["1:0:a", "2:0:b", "3:0:c"]);
  });
});
