import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DocumentNames } from "../../../src/codecs/bedrock-converse/document-names.ts";
import { createBedrockConverseCodec } from "../../../src/codecs/bedrock-converse/index.ts";
import { legalName } from "../../../src/codecs/bedrock-converse/legal-names.ts";
import { Fold } from "../../../src/core/fold.ts";
import { describeConversations } from "../conversations.ts";
import { problemsOf } from "./validity.ts";
import { type PartInit, reasoning, request, result, user, writeMessage } from "./written.ts";

const picture = fc.constant({
  part: { case: "image", value: { source: { case: "url", value: "s3://bucket/i.png" } } },
} as PartInit);
const paper = fc.constantFrom("a.pdf", "a.txt", "über.csv", "").map(
  (filename) =>
    ({
      part: { case: "file", value: { source: { case: "data", value: new Uint8Array([65]) }, mimeType: "text/plain", filename } },
    }) as PartInit,
);

describeConversations({ media: [picture, paper], reasoning, request, write: writeMessage, problemsOf });

describe("names", () => {
  test("are legal, stable and apart from one another", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: "binary", maxLength: 100 }), { maxLength: 8 }), (names) => {
        const legal = names.map(legalName);
        for (const name of legal) expect(name).toMatch(/^[a-zA-Z0-9_-]{1,64}$/);
        expect(new Set(legal).size).toBe(names.length);
        expect(names.map(legalName)).toEqual(legal);
      }),
    );
  });

  test("that are legal stay as they are", () => {
    fc.assert(fc.property(fc.stringMatching(/^[a-zA-Z0-9_-]{1,64}$/), (name) => legalName(name) === name));
  });

  test("of documents are legal and apart from one another", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: "binary", maxLength: 250 }), fc.constantFrom("report.pdf", "report.txt", "report (2)")), {
          maxLength: 12,
        }),
        (wanted) => {
          const documents = new DocumentNames();
          const names = wanted.map((name) => documents.claim(name).name);
          for (const name of names) expect(name).toMatch(/^(?!.*\s\s)[a-zA-Z0-9\s()[\]-]{1,200}$/);
          expect(new Set(names).size).toBe(names.length);
        },
      ),
    );
  });
});

describe("an answer sent back", () => {
  const codec = createBedrockConverseCodec();
  const load = (name: string) => readFileSync(new URL(`../../fixtures/bedrock-converse/${name}/response.json`, import.meta.url), "utf8");

  test.each([
    ["thinking-and-calls", ["tooluse_A", "tooluse_B"]],
    ["citations", []],
    ["text", []],
  ])("%s: stands in the history as it was received", (name, callIds) => {
    const answer = new Fold().addAll(codec.readResponse(load(name), "bedrock")).response().candidates[0]?.message;
    if (answer === undefined) throw new Error("no answer");
    const { json, refused } = writeMessage(
      request({ messages: [user("q"), answer, ...callIds.map((id) => result(id, "r")), user("next")] }),
    );
    expect(refused).toEqual([]);
    expect(json.messages[1]?.content).toEqual(JSON.parse(load(name)).output.message.content);
  });

  test("another provider does not get its reasoning", () => {
    const answer = new Fold().addAll(codec.readResponse(load("thinking-and-calls"), "elsewhere")).response().candidates[0]?.message;
    if (answer === undefined) throw new Error("no answer");
    const { json } = writeMessage(request({ messages: [user("q"), answer, result("tooluse_A", "r"), result("tooluse_B", "r")] }));
    expect(json.messages[1]?.content.flatMap((block) => Object.keys(block))).toEqual(["toolUse", "toolUse"]);
  });
});
