import { readFileSync } from "node:fs";
import { toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GenerateRequestSchema, ReasoningMode, ToolChoiceMode } from "../../../gen/dragoman/v1/generate_pb.ts";
import { DocumentNames } from "../../../src/codecs/bedrock-converse/document-names.ts";
import { createBedrockConverseCodec } from "../../../src/codecs/bedrock-converse/index.ts";
import { legalName } from "../../../src/codecs/bedrock-converse/legal-names.ts";
import { Fold } from "../../../src/core/fold.ts";
import type { JsonValue } from "../../../src/core/json.ts";
import { adaptSchema } from "../../../src/core/json-schema-subset.ts";
import type { ModelTraits } from "../../../src/core/target.ts";
import { problemsOf } from "./validity.ts";
import {
  assistant,
  call,
  opaque,
  type PartInit,
  type RequestInit,
  reasoning,
  request,
  result,
  system,
  text,
  user,
  writeMessage,
} from "./written.ts";

type MessageInit = NonNullable<RequestInit["messages"]>[number];

const words = fc.oneof(fc.constantFrom("", " ", "\n", "hello", "süß 👋", "  padded  "), fc.string());
const cache = fc.option(fc.record({ ttlSeconds: fc.constantFrom(60, 300, 3600, 86_400) }), { nil: undefined });
const textPart = fc.tuple(words, cache).map(([value, marker]) => text(value, marker === undefined ? {} : { cache: marker }));
const reasoningPart = fc.oneof(
  words.map((value) => reasoning(value)),
  words.map((value) => reasoning(value, { value: "s", format: "gemini", provider: "gemini" })),
);
const picture = fc.constant({
  part: { case: "image", value: { source: { case: "url", value: "s3://bucket/i.png" } } },
} as PartInit);
const paper = fc.constantFrom("a.pdf", "a.txt", "über.csv", "").map(
  (filename) =>
    ({
      part: { case: "file", value: { source: { case: "data", value: new Uint8Array([65]) }, mimeType: "text/plain", filename } },
    }) as PartInit,
);
const foreignPart = fc.constant(opaque("web_search_call", { id: "ws" }, "openai-responses"));
const callId = fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom("call_1", "functions.Bash:0", "functions.Bash_0", "ü"));

/** A user's message, or what a model did and, where it called tools, their results in any order between other messages. */
const userTurn = fc.array(fc.oneof(textPart, picture, paper), { maxLength: 3 }).map((parts): MessageInit[] => [user(...parts)]);
const systemTurn = fc.array(textPart, { maxLength: 2 }).map((parts): MessageInit[] => [system(...parts)]);
const assistantTurn = fc
  .record({
    parts: fc.array(fc.oneof(textPart, reasoningPart, picture, paper, foreignPart), { maxLength: 3 }),
    ids: fc.uniqueArray(callId, { maxLength: 3 }),
    args: fc.constantFrom("", "{}", '{"a":[1]}', "broken", "[]"),
    split: fc.boolean(),
    between: fc.array(
      fc.oneof(
        words.map((value) => user(value)),
        words.map((value) => system(value)),
      ),
      { maxLength: 2 },
    ),
    seed: fc.nat(),
  })
  .map(({ parts, ids, args, split, between, seed }): MessageInit[] => {
    const calls = ids.map((id) => call(id, "shell.run", args));
    const asked = split ? [assistant(...parts), ...calls.map((part) => assistant(part))] : [assistant(...parts, ...calls)];
    const answers = ids.map((id) => result(id, "done"));
    const turned = answers.map((_, index) => answers[(index + seed) % answers.length] as MessageInit);
    return [...asked, ...between.slice(0, 1), ...turned, ...between.slice(1)];
  });
const conversation = fc
  .array(fc.oneof(userTurn, systemTurn, assistantTurn), { minLength: 1, maxLength: 6 })
  .map((turns) => [...turns.flat(), user("go on")]);
const traits: fc.Arbitrary<ModelTraits> = fc.record(
  {
    sampling: fc.boolean(),
    structuredOutput: fc.boolean(),
    alwaysReasons: fc.boolean(),
    toolResultImages: fc.boolean(),
    maxOutputTokens: fc.constantFrom(1000, 8000, 64_000),
    reasoning: fc.constantFrom("none", "effort", "budget", "both", "adaptive"),
  },
  { requiredKeys: [] },
);
const rest = fc.record({
  tools: fc
    .constantFrom([], ["ping"], ["shell.run", "ping"])
    .map((names) => names.map((name) => ({ tool: { case: "function", value: { name } }, cache: {} }))),
  toolChoice: fc.option(
    fc.record({ mode: fc.constantFrom(...Object.values(ToolChoiceMode)), toolName: fc.constant("ping"), parallel: fc.boolean() }),
    { nil: undefined },
  ),
  reasoning: fc.option(
    fc.record({ mode: fc.constantFrom(...Object.values(ReasoningMode)), budgetTokens: fc.option(fc.nat(40_000), { nil: undefined }) }),
    { nil: undefined },
  ),
  sampling: fc.record(
    { temperature: fc.double({ min: 0, max: 2, noNaN: true }), topP: fc.double({ min: 0, max: 1, noNaN: true }), stop: fc.array(words) },
    { requiredKeys: [] },
  ),
  cache: fc.record({ automatic: fc.boolean(), ttlSeconds: fc.constantFrom(300, 3600) }),
});

describe("any conversation", () => {
  const any = fc.tuple(conversation, rest, traits);

  test("is written as the API takes it, the same every time, and left as it was", () => {
    fc.assert(
      fc.property(any, ([messages, more, facts]) => {
        const message = request({ messages, ...more } as RequestInit);
        const before = toBinary(GenerateRequestSchema, message);
        const { json, body, refused } = writeMessage(message, facts);
        expect(refused).toEqual([]);
        expect(problemsOf(json)).toEqual([]);
        expect(writeMessage(message, facts).body).toBe(body);
        expect(Buffer.compare(toBinary(GenerateRequestSchema, message), before)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  test("keeps every text that says something, in order", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom(user, assistant), words), { minLength: 1, maxLength: 8 }), (turns) => {
        const said = [...turns.map(([, value]) => value), "end"].filter((value) => value.trim() !== "");
        const { json } = writeMessage(request({ messages: [...turns.map(([speak, value]) => speak(value)), user("end")] }));
        const written = json.messages.flatMap(({ content }) => content.map((block) => block.text));
        expect(written.slice(written.length - said.length)).toEqual(said);
        expect(written.slice(0, written.length - said.length)).toEqual(
          json.messages.length > 0 && written.length > said.length ? ["."] : [],
        );
      }),
    );
  });
});

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

describe("schemas", () => {
  test("adapting once is enough, and leaves the original alone", () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.dictionary(fc.constantFrom("minimum", "type", "items", "properties", "oneOf", "format"), fc.jsonValue()),
        (value, more) => {
          const schema = { ...more, properties: { a: value, b: more } } as unknown as JsonValue;
          const before = JSON.stringify(schema);
          const once = adaptSchema(schema);
          expect(adaptSchema(once.schema)).toEqual({ schema: once.schema, changed: [] });
          expect(JSON.stringify(schema)).toBe(before);
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
