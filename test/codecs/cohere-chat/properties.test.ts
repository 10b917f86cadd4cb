/** What the codec writes for any conversation is what the simulated vendor, with code of its own, takes. */
import { toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GenerateRequestSchema, OutputKind, ReasoningMode, Role, ToolChoiceMode, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { legalToolName } from "../../../src/codecs/cohere-chat/legal-names.ts";
import type { ModelTraits } from "../../../src/core/target.ts";
import { readChat } from "../../../src/sim/server/cohere/read.ts";
import { Refusal } from "../../../src/sim/server/problem.ts";
import {
  assistant,
  call,
  type MessageInit,
  media,
  opaque,
  type PartInit,
  type RequestInit,
  reasoning,
  request,
  result,
  system,
  text,
  tool,
  user,
  writeMessage,
} from "./written.ts";

const words = fc.oneof(fc.constantFrom("", " ", "hello", "süß 👋"), fc.string());
const textPart = words.map((value) => text(value));
const picture = fc.constantFrom(
  media("image", { source: { case: "url", value: "https://example.com/i.png" } }),
  media("file", { source: { case: "data", value: new Uint8Array([0x61]) }, mimeType: "text/plain" }),
);
const modelPart = fc.oneof(
  textPart,
  picture,
  words.map((value) => reasoning(value)),
  words.map((value) => reasoning(value, { value: "s", format: "gemini", provider: "gemini" })),
  fc.constant(opaque("web_search_call", { id: "ws" }, "openai-responses")),
);
const aCall = fc.record({
  name: fc.constantFrom("f", "shell.run", "ü-x"),
  args: fc.constantFrom("", "{}", '{"a":[1]}', "broken"),
  custom: fc.boolean(),
});

/** A turn of the model with calls, and their results in any order, together or apart, between other messages. */
const modelTurn = fc
  .record({
    parts: fc.array(modelPart, { maxLength: 3 }),
    calls: fc.array(aCall, { maxLength: 3 }),
    split: fc.boolean(),
    together: fc.boolean(),
    between: fc.array(
      fc.oneof(
        words.map((value) => user(value)),
        words.map((value) => system(value)),
      ),
      { maxLength: 2 },
    ),
    results: fc.array(fc.tuple(words, fc.boolean(), fc.boolean()), { minLength: 3, maxLength: 3 }),
    seed: fc.nat(),
  })
  .map(({ parts, calls, split, together, between, results, seed }): MessageInit[] => {
    const id = (index: number) => `call:${seed}.${index}`;
    const written = calls.map(({ name, args, custom }, index) =>
      call(id(index), name, args, custom ? { kind: ToolKind.CUSTOM, inputText: args } : {}),
    );
    const asked = split ? [assistant(...parts), ...written.map((part) => assistant(part))] : [assistant(...parts, ...written)];
    const answers = calls.map((_, index): PartInit => {
      const [value, isError, hasImage] = results[index] ?? ["", false, false];
      const image = media("image", { source: { case: "url", value: "https://example.com/r.png" } });
      return result(id(index), "", { isError, content: [text(value), ...(hasImage ? [image] : [])] });
    });
    const turned = answers.map((_, index) => answers[(index + seed) % answers.length] as PartInit);
    const messages =
      together && turned.length > 0 ? [user(...turned)] : turned.map((part) => ({ role: Role.TOOL, parts: [part] }) as MessageInit);
    return [...asked, ...between.slice(0, 1), ...messages, ...between.slice(1)];
  });
const userTurn = fc.array(fc.oneof(textPart, picture), { maxLength: 3 }).map((parts): MessageInit[] => [user(...parts)]);
const systemTurn = fc.array(textPart, { maxLength: 2 }).map((parts): MessageInit[] => [system(...parts)]);
const conversation = fc.array(fc.oneof(userTurn, systemTurn, modelTurn), { maxLength: 6 }).map((turns) => [...turns.flat(), user("go on")]);
const traits: fc.Arbitrary<ModelTraits> = fc.record(
  { reasoning: fc.constantFrom("none", "budget", "both"), structuredOutput: fc.boolean(), sampling: fc.boolean(), tools: fc.boolean() },
  { requiredKeys: [] },
);
const maybe = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined });
const settings = fc.record(
  {
    tools: fc.constantFrom([], ["ping"], ["shell.run", "ping"]).map((names) => names.map((name) => tool(name))),
    toolChoice: maybe(
      fc.record({
        mode: fc.constantFrom(...Object.values(ToolChoiceMode)),
        toolName: fc.constantFrom("ping", "absent"),
        parallel: fc.boolean(),
      }),
    ),
    reasoning: maybe(fc.record({ mode: fc.constantFrom(...Object.values(ReasoningMode)), budgetTokens: maybe(fc.nat(40_000)) })),
    sampling: fc.record(
      {
        temperature: fc.double({ min: 0, max: 3, noNaN: true }),
        topP: fc.double({ min: 0, max: 1, noNaN: true }),
        topK: fc.nat(1_000),
        frequencyPenalty: fc.double({ min: -3, max: 3, noNaN: true }),
        presencePenalty: fc.double({ min: -3, max: 3, noNaN: true }),
        maxOutputTokens: fc.nat(100_000),
        stop: fc.array(fc.string({ minLength: 1 }), { maxLength: 8 }),
        seed: fc.bigInt({ min: 0n, max: 2n ** 53n }),
        logprobs: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
    outputFormat: maybe(
      fc.constantFrom({ kind: OutputKind.JSON_OBJECT }, { kind: OutputKind.JSON_SCHEMA, schemaJson: '{"type":"object","properties":{}}' }),
    ),
  },
  { requiredKeys: [] },
);

function vendorSays(body: string): string | undefined {
  try {
    readChat({ body: JSON.parse(body), headers: {}, model: "", stream: false, sse: false, lenient: false });
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error.message;
    throw error;
  }
}

describe("any conversation", () => {
  test("is written as the vendor takes it, the same every time, and left as it was", () => {
    fc.assert(
      fc.property(conversation, settings, traits, (messages, more, facts) => {
        const message = request({ messages, ...more } as RequestInit);
        const before = toBinary(GenerateRequestSchema, message);
        const { body, refused } = writeMessage(message, facts);
        expect(refused).toEqual([]);
        expect(vendorSays(body)).toBeUndefined();
        expect(writeMessage(message, facts).body).toBe(body);
        expect(Buffer.compare(toBinary(GenerateRequestSchema, message), before)).toBe(0);
      }),
      { numRuns: 500 },
    );
  });
});

test("any tool's name becomes a legal one, always the same, and different ones stay different", () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.string({ minLength: 1, maxLength: 100 }), { minLength: 2, maxLength: 5 }), (names) => {
      const legal = names.map(legalToolName);
      for (const name of legal) expect(name).toMatch(/^[a-zA-Z0-9_]{1,64}$/);
      expect(new Set(legal).size).toBe(names.length);
      expect(names.map(legalToolName)).toEqual(legal);
    }),
  );
});
