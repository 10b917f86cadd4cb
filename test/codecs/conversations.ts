/** Any conversation, and what holds of it in formats whose turns alternate: Anthropic's and Bedrock's. */
import { toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type GenerateRequest, GenerateRequestSchema, ReasoningMode, ToolChoiceMode } from "../../gen/dragoman/v1/generate_pb.ts";
import type { ModelTraits } from "../../src/core/target.ts";
import { assistant, call, type MessageInit, opaquePart, type PartInit, type RequestInit, result, system, text, user } from "./messages.ts";

const words = fc.oneof(fc.constantFrom("", " ", "\n", "hello", "süß 👋", "  padded  "), fc.string());
const cache = fc.option(fc.record({ ttlSeconds: fc.constantFrom(60, 300, 3600, 86_400) }), { nil: undefined });
const textPart = fc.tuple(words, cache).map(([value, marker]) => text(value, marker === undefined ? {} : { cache: marker }));
const foreignPart = fc.constant(opaquePart("web_search_call", { id: "ws" }, "openai-responses"));
const callId = fc.oneof(fc.string({ minLength: 1 }), fc.constantFrom("call_1", "functions.Bash:0", "functions.Bash_0", "ü"));

export interface AlternatingFormat {
  /** Pictures and files that the format takes. */
  readonly media: readonly fc.Arbitrary<PartInit>[];
  /** Reasoning that the target signed, unless another signature is given. */
  reasoning(text: string, signature?: object): PartInit;
  request(init: RequestInit): GenerateRequest;
  write(
    request: GenerateRequest,
    traits?: ModelTraits,
  ): { readonly body: string; readonly json: AlternatingBody; readonly refused: string[] };
  /** What the API would refuse about a body. */
  problemsOf(body: AlternatingBody): readonly unknown[];
}

interface AlternatingBody {
  readonly messages: readonly { readonly role: string; readonly content: readonly Record<string, unknown>[] }[];
}

/** A user's message, or what a model did and, where it called tools, their results in any order between other messages. */
function conversationOf({ media, reasoning }: AlternatingFormat): fc.Arbitrary<MessageInit[]> {
  const reasoningPart = fc.oneof(
    words.map((value) => reasoning(value)),
    words.map((value) => reasoning(value, { value: "s", format: "gemini", provider: "gemini" })),
  );
  const userTurn = fc.array(fc.oneof(textPart, ...media), { maxLength: 3 }).map((parts): MessageInit[] => [user(...parts)]);
  const systemTurn = fc.array(textPart, { maxLength: 2 }).map((parts): MessageInit[] => [system(...parts)]);
  const assistantTurn = fc
    .record({
      parts: fc.array(fc.oneof(textPart, reasoningPart, ...media, foreignPart), { maxLength: 3 }),
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
  return fc
    .array(fc.oneof(userTurn, systemTurn, assistantTurn), { minLength: 1, maxLength: 6 })
    .map((turns) => [...turns.flat(), user("go on")]);
}

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

/** All of a request but its messages. */
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

/** Tests what holds of any conversation. */
export function describeConversations(format: AlternatingFormat): void {
  const { request, write, problemsOf } = format;

  describe("any conversation", () => {
    const any = fc.tuple(conversationOf(format), rest, traits);

    test("is written as the API takes it, the same every time, and left as it was", () => {
      fc.assert(
        fc.property(any, ([messages, more, facts]) => {
          const message = request({ messages, ...more } as RequestInit);
          const before = toBinary(GenerateRequestSchema, message);
          const { json, body, refused } = write(message, facts);
          expect(refused).toEqual([]);
          expect(problemsOf(json)).toEqual([]);
          expect(write(message, facts).body).toBe(body);
          expect(Buffer.compare(toBinary(GenerateRequestSchema, message), before)).toBe(0);
        }),
        { numRuns: 300 },
      );
    });

    test("keeps every text that says something, in order", () => {
      fc.assert(
        fc.property(fc.array(fc.tuple(fc.constantFrom(user, assistant), words), { minLength: 1, maxLength: 8 }), (turns) => {
          const said = [...turns.map(([, value]) => value), "end"].filter((value) => value.trim() !== "");
          const { json } = write(request({ messages: [...turns.map(([speak, value]) => speak(value)), user("end")] }));
          const written = json.messages.flatMap(({ content }) => content.map((block) => block.text));
          expect(written.slice(written.length - said.length)).toEqual(said);
          expect(written.slice(0, written.length - said.length)).toEqual(
            json.messages.length > 0 && written.length > said.length ? ["."] : [],
          );
        }),
      );
    });
  });
}
