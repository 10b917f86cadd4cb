import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createAnthropicMessagesCodec } from "../../../src/codecs/anthropic-messages/index.ts";
import { legalId, legalToolName } from "../../../src/codecs/anthropic-messages/legal-names.ts";
import { Fold } from "../../../src/core/fold.ts";
import { SseReader } from "../../../src/core/sse.ts";
import { describeConversations } from "../conversations.ts";
import { problemsOf } from "./validity.ts";
import { type PartInit, reasoning, request, result, user, writeMessage } from "./written.ts";

const picture = fc.constant({
  part: { case: "image", value: { source: { case: "url", value: "https://example.com/i.png" } } },
} as PartInit);

describeConversations({ media: [picture], reasoning, request, write: writeMessage, problemsOf });

describe("names", () => {
  test("are legal, stable and apart from one another", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: "binary", maxLength: 100 }), { maxLength: 8 }), (names) => {
        const ids = names.map(legalId);
        for (const id of ids) expect(id).toMatch(/^[a-zA-Z0-9_-]+$/);
        for (const name of names.map(legalToolName)) expect(name).toMatch(/^[a-zA-Z0-9_-]{1,128}$/);
        expect(new Set(ids).size).toBe(names.length);
        expect(new Set(names.map(legalToolName)).size).toBe(names.length);
        expect(names.map(legalId)).toEqual(ids);
      }),
    );
  });

  test("that are legal stay as they are", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-zA-Z0-9_-]{1,128}$/), (name) => {
        expect(legalId(name)).toBe(name);
        expect(legalToolName(name)).toBe(name);
      }),
    );
  });
});

describe("an answer sent back", () => {
  const codec = createAnthropicMessagesCodec();
  const load = (name: string, file: string) =>
    readFileSync(new URL(`../../fixtures/anthropic-messages/${name}/${file}`, import.meta.url), "utf8");

  test.each([
    ["thinking", ["toolu_02A"]],
    ["server-tools-and-citations", []],
    ["text-then-parallel-calls", ["toolu_01A", "toolu_01B", "toolu_01C"]],
  ])("%s: stands in the history as it was received, streamed or whole", (name, callIds) => {
    const reader = codec.eventReader("anthropic");
    const streamed = new SseReader().read(Buffer.from(load(name, "stream.sse"))).flatMap((frame) => reader.read(frame));
    const received = JSON.parse(load(name, "message.json")).content;
    for (const events of [streamed, codec.readResponse(load(name, "message.json"), "anthropic")]) {
      const answer = new Fold().addAll(events).response().candidates[0]?.message;
      if (answer === undefined) throw new Error("no answer");
      const { json, refused } = writeMessage(
        request({ messages: [user("q"), answer, ...callIds.map((id) => result(id, "r")), user("next")] }),
      );
      expect(refused).toEqual([]);
      expect(json.messages[1]?.content).toEqual(received);
    }
  });

  test("another provider does not get its reasoning", () => {
    const answer = new Fold().addAll(codec.readResponse(load("thinking", "message.json"), "elsewhere")).response().candidates[0]?.message;
    if (answer === undefined) throw new Error("no answer");
    const { json } = writeMessage(request({ messages: [user("q"), answer, result("toolu_02A", "r")] }));
    expect(json.messages[1]?.content.map(({ type }) => type)).toEqual(["tool_use"]);
  });
});
