import { toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GenerateRequestSchema, Role, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { createGeminiCodec } from "../../../src/codecs/gemini/index.ts";
import type { ModelTraits } from "../../../src/core/target.ts";
import { findFaults } from "./validity.ts";
import {
  assistant,
  call,
  opaque,
  type PartInit,
  type RequestInit,
  reasoning,
  request,
  resultPart,
  system,
  text,
  user,
  writeMessage,
} from "./written.ts";

type MessageInit = NonNullable<RequestInit["messages"]>[number];

const words = fc.oneof(fc.constantFrom("", " ", "hello", "süß 👋"), fc.string());
const signature = fc.option(
  fc.record({
    value: fc.constantFrom("s1", "s2"),
    format: fc.constantFrom("gemini", "anthropic"),
    provider: fc.constantFrom("google", "", "other"),
  }),
  { nil: undefined },
);
const textPart = fc.tuple(words, signature).map(([value, signed]) => text(value, { signature: signed }));
const picture = fc.constantFrom(
  { part: { case: "image", value: { source: { case: "url", value: "https://example.com/i.png" } } } } as PartInit,
  { part: { case: "file", value: { source: { case: "data", value: new Uint8Array([1]) }, mimeType: "text/plain" } } } as PartInit,
);
const modelPart = fc.oneof(
  textPart,
  picture,
  fc.tuple(words, signature).map(([value, signed]) => reasoning(value, signed ?? { value: "", format: "", provider: "" })),
  fc.constant(opaque("web_search_call", { id: "ws" }, "openai-responses")),
  fc.constant(opaque("executableCode", { executableCode: { code: "1" } })),
);
const aCall = fc
  .record({
    name: fc.constantFrom("f", "7 up", "ü", "a.b:c-d"),
    args: fc.constantFrom("", "{}", '{"a":[1]}', "broken", "[]"),
    signed: signature,
    custom: fc.boolean(),
  })
  .map(({ name, args, signed, custom }) => ({ name, args, more: custom ? { kind: ToolKind.CUSTOM, inputText: args } : {}, signed }));

/** A turn of the model with calls, and their results in any order, in one message or several, between other messages. */
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
    const written = calls.map(({ name, args, more, signed }, index) => {
      const part = call(`${index % 2 === 0 ? "dgm_" : "call_"}${seed}_${index}`, name, args, more) as object;
      return { ...part, signature: signed } as PartInit;
    });
    const asked = split ? [assistant(...parts), ...written.map((part) => assistant(part))] : [assistant(...parts, ...written)];
    const answers = calls.map((_, index) => {
      const [value, isError, hasImage] = results[index] ?? ["", false, false];
      const content = [
        text(value),
        ...(hasImage ? [{ part: { case: "image", value: { source: { case: "url", value: "gs://b/i.png" } } } }] : []),
      ];
      return resultPart(`${index % 2 === 0 ? "dgm_" : "call_"}${seed}_${index}`, "", { isError, content });
    });
    const turned = answers.map((_, index) => answers[(index + seed) % answers.length] as PartInit);
    const messages =
      together && turned.length > 0 ? [user(...turned)] : turned.map((part) => ({ role: Role.TOOL, parts: [part] }) as MessageInit);
    return [...asked, ...between.slice(0, 1), ...messages, ...between.slice(1)];
  });
const userTurn = fc.array(fc.oneof(textPart, picture), { maxLength: 3 }).map((parts): MessageInit[] => [user(...parts)]);
const systemTurn = fc.array(words, { maxLength: 2 }).map((parts): MessageInit[] => [system(...parts)]);
const conversation = fc
  .array(fc.oneof(userTurn, systemTurn, modelTurn), { minLength: 1, maxLength: 6 })
  .map((turns) => [...turns.flat(), user("go on")]);
const traits: fc.Arbitrary<ModelTraits> = fc.record(
  { toolResultImages: fc.boolean(), mediaResolution: fc.boolean(), reasoning: fc.constantFrom("none", "effort", "budget", "both") },
  { requiredKeys: [] },
);
const quirks = fc.record({ signatureBypass: fc.boolean(), toolCallIds: fc.boolean() }, { requiredKeys: [] });

describe("any conversation", () => {
  test("is written as the API takes it, the same every time, and left as it was", () => {
    fc.assert(
      fc.property(conversation, traits, quirks, (messages, facts, how) => {
        const message = request({ messages });
        const before = toBinary(GenerateRequestSchema, message);
        const { json, body, refused } = writeMessage(message, facts, how);
        expect(refused).toEqual([]);
        expect(findFaults(json)).toEqual([]);
        expect(writeMessage(message, facts, how).body).toBe(body);
        expect(Buffer.compare(toBinary(GenerateRequestSchema, message), before)).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  test("never holds a signature of another family or provider", () => {
    fc.assert(
      fc.property(conversation, (messages) => {
        const message = request({ messages });
        for (const { parts } of message.messages) {
          for (const part of parts) if (part.signature !== undefined) part.signature.provider ||= "other";
          for (const { signature: signed } of parts) if (signed?.provider === "google" && signed.format === "gemini") signed.value = "mine";
        }
        const { json } = writeMessage(message, {}, { signatureBypass: false });
        for (const { parts } of json.contents) for (const part of parts) expect([undefined, "mine"]).toContain(part.thoughtSignature);
      }),
      { numRuns: 200 },
    );
  });
});

describe("any answer", () => {
  const codec = createGeminiCodec();
  const anyPart = fc.oneof(
    fc.record({ text: fc.string(), thought: fc.boolean(), thoughtSignature: fc.string() }, { requiredKeys: [] }),
    fc.record({ functionCall: fc.record({ name: fc.string(), args: fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 1 })) }) }),
    fc.dictionary(fc.constantFrom("text", "thought", "functionCall", "inlineData", "fileData", "new"), fc.jsonValue({ maxDepth: 2 })),
  );
  const chunk = fc.record(
    {
      candidates: fc.array(fc.record({ content: fc.record({ parts: fc.array(anyPart) }), index: fc.nat(2) }), { maxLength: 2 }),
      usageMetadata: fc.dictionary(fc.constantFrom("promptTokenCount", "candidatesTokenCount", "x"), fc.jsonValue({ maxDepth: 1 })),
      modelVersion: fc.string(),
    },
    { requiredKeys: [] },
  );

  test("whatever its parts, starts and ends every block once, and finishes every candidate last", () => {
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 5 }), (chunks) => {
        const reader = codec.eventReader("google");
        const all = [...chunks, { candidates: [{ index: 0, finishReason: "STOP" }] }];
        const events = [...all.flatMap((value) => reader.read({ event: "", data: JSON.stringify(value) })), ...reader.end()];
        const open = new Set<string>();
        for (const { event } of events) {
          if (event.case === "blockStarted") open.add(`${event.value.candidate}/${event.value.index}`);
          else if (event.case === "blockDelta") expect(open).toContain(`${event.value.candidate}/${event.value.index}`);
          else if (event.case === "blockEnded") expect(open.delete(`${event.value.candidate}/${event.value.index}`)).toBe(true);
        }
        expect(open.size).toBe(0);
        expect(events.slice(1).some(({ event }) => event.case === "started")).toBe(false);
        expect(events.at(-1)?.event.case).toBe("finished");
      }),
      { numRuns: 300 },
    );
  });
});
