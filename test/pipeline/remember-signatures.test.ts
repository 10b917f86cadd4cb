import { create } from "@bufbuild/protobuf";
import { beforeEach, describe, expect, test } from "vitest";
import { CallOptionsSchema } from "../../gen/dragoman/v1/call_pb.ts";
import {
  BlockKind,
  type GenerateRequest,
  GenerateRequestSchema,
  Role,
  type Signature,
  ToolCallSchema,
} from "../../gen/dragoman/v1/generate_pb.ts";
import type { Call } from "../../src/core/call.ts";
import { systemClock } from "../../src/core/clock.ts";
import { type EventBatch, EventBuilder } from "../../src/core/event.ts";
import type { SignatureStore } from "../../src/core/signature-store.ts";
import { rememberSignatures } from "../../src/pipeline/remember-signatures.ts";
import { createMemorySignatures } from "../../src/stores/memory-signatures.ts";
import { startCall, targetOf } from "../providers/calls.ts";

let store: SignatureStore;
beforeEach(() => {
  store = createMemorySignatures({ maxBytes: 1 << 20, maxCallBytes: 1 << 16, ttlMs: 60_000, clock: systemClock });
});

const sign = (value: string, provider = "claude", format = "anthropic"): Signature => ({
  $typeName: "dragoman.v1.Signature",
  value,
  format,
  provider,
});
const wire = { format: "openai-chat", body: {}, includeUsage: false };

function callTo(...providers: string[]): Call {
  return { ...startCall(), wire, targets: providers.map((provider) => targetOf(provider, "m")) };
}

/** What the next stage got. */
async function pass(
  request: GenerateRequest,
  call: Call,
  answer: readonly EventBatch[] = [],
): Promise<{ request: GenerateRequest; call: Call }> {
  let seen: { request: GenerateRequest; call: Call } | undefined;
  const stage = rememberSignatures(store)((passed, itsCall) => {
    seen = { request: passed, call: itsCall };
    return (async function* () {
      yield* answer;
    })();
  });
  const batches: EventBatch[] = [];
  for await (const batch of stage(request, call)) batches.push(batch);
  expect(batches).toEqual(answer);
  return seen as { request: GenerateRequest; call: Call };
}

type Parts = NonNullable<Parameters<typeof create<typeof GenerateRequestSchema>>[1]>["messages"] extends (infer Init)[] | undefined
  ? Init
  : never;
const ask = (...messages: Parts[]) => create(GenerateRequestSchema, { model: "m", messages: messages as never });
const call = (id: string, signature?: Signature) =>
  ({
    part: { case: "toolCall", value: { id, name: "f", argumentsJson: "{}" } },
    ...(signature === undefined ? {} : { signature }),
  }) as const;
const assistant = (...parts: object[]) => ({ role: Role.ASSISTANT, parts }) as never;
const plain = ask({ role: Role.USER, parts: [{ part: { case: "text", value: "hi" } }] } as never);

/** Reasoning, then two parallel calls, the first of them signed where asked. */
function answerWith(reasoning: Signature | undefined, onCall?: Signature): EventBatch[] {
  const events = new EventBuilder();
  if (reasoning !== undefined) {
    const index = events.startBlock(0, BlockKind.REASONING);
    events.text(0, index, "Let me ");
    events.text(0, index, "think.");
    events.endBlock(0, index, { signature: reasoning });
  }
  const blocks = ["call_1", "call_2"].map((id) =>
    events.startBlock(0, BlockKind.TOOL_CALL, { toolCall: create(ToolCallSchema, { id, name: "f" }) }),
  );
  blocks.forEach((index, at) => {
    events.endBlock(0, index, at === 0 && onCall !== undefined ? { signature: onCall } : {});
  });
  return events.take().map((event) => ({ events: [event] }));
}

describe("a request that lacks nothing", () => {
  test("passes as the same object, its client's body too", async () => {
    for (const request of [
      plain,
      ask(assistant(call("unknown"))),
      ask(assistant({ part: { case: "text", value: "x" }, signature: sign("v") })),
    ]) {
      const original = callTo("claude");
      const got = await pass(request, original);
      expect(got.request).toBe(request);
      expect(got.call).toBe(original);
    }
  });

  test("also where everything came back", async () => {
    await pass(plain, callTo("claude"), answerWith(sign("s1")));
    const full = ask(
      assistant({ part: { case: "reasoning", value: { text: "Let me think." } }, signature: sign("s1") }, call("call_1"), call("call_2")),
    );
    const original = callTo("claude");
    const got = await pass(full, original);
    expect(got.request).toBe(full);
    expect(got.call).toBe(original);
  });
});

describe("what a client cannot say", () => {
  test("the issuer is found by the value, and the client's body still holds", async () => {
    await pass(plain, callTo("claude"), answerWith(sign("s1")));
    const request = ask(
      assistant({ part: { case: "reasoning", value: { text: "Let me think." } }, signature: sign("s1", "") }, call("call_1")),
    );
    const got = await pass(request, callTo("claude"));
    expect(got.request.messages[0]?.parts[0]?.signature).toMatchObject({ value: "s1", format: "anthropic", provider: "claude" });
    expect(got.call.wire).toBe(wire);
    expect(request.messages[0]?.parts[0]?.signature?.provider).toBe("");
  });

  test("a codec that hands through another's signature: the target issued it", async () => {
    const running = callTo("google");
    running.attempts.push({ provider: "google" } as never);
    await pass(plain, running, answerWith(undefined, sign("g1", "", "gemini")));
    const got = await pass(ask(assistant(call("call_1", sign("g1", "", "gemini")))), callTo("google"));
    expect(got.request.messages[0]?.parts[0]?.signature?.provider).toBe("google");
  });
});

describe("what a client lost", () => {
  test("case 25: the signature returns on the first of two calls, and on that one only", async () => {
    await pass(plain, callTo("gem"), answerWith(undefined, sign("g1", "gem", "gemini")));
    const request = ask(assistant(call("call_1"), call("call_2")));
    const got = await pass(request, callTo("gem"));
    expect(got.request.messages[0]?.parts.map(({ signature }) => signature?.value)).toEqual(["g1", undefined]);
    expect(got.call.wire).toBeUndefined();
    expect(request.messages[0]?.parts[0]?.signature).toBeUndefined();
  });

  test("case 23: signed reasoning returns once, first in the turn, before text and calls", async () => {
    await pass(plain, callTo("claude"), answerWith(sign("s1")));
    const got = await pass(
      ask(assistant({ part: { case: "text", value: "I will look." } }, call("call_1"), call("call_2"))),
      callTo("claude"),
    );
    const parts = got.request.messages[0]?.parts ?? [];
    expect(parts.map(({ part }) => part.case)).toEqual(["reasoning", "text", "toolCall", "toolCall"]);
    expect(parts[0]).toMatchObject({
      part: { value: { text: "Let me think.", redacted: false } },
      signature: { value: "s1", provider: "claude" },
    });
  });

  test("reasoning that came back as plain text is signed again, not repeated", async () => {
    await pass(plain, callTo("claude"), answerWith(sign("s1")));
    const got = await pass(
      ask(assistant({ part: { case: "reasoning", value: { text: "Let me think." } } }, call("call_1"))),
      callTo("claude"),
    );
    const parts = got.request.messages[0]?.parts ?? [];
    expect(parts.map(({ part, signature }) => [part.case, signature?.value])).toEqual([
      ["reasoning", "s1"],
      ["toolCall", undefined],
    ]);
  });

  test("case 24: nothing is put back for targets that could not take it", async () => {
    await pass(plain, callTo("claude"), answerWith(sign("s1")));
    const request = ask(assistant(call("call_1")));
    expect((await pass(request, callTo("gem"))).request).toBe(request);
    expect((await pass(request, callTo("gem", "claude"))).request).not.toBe(request);
    const strict = { ...callTo("gem", "claude"), options: create(CallOptionsSchema, { strict: true }) };
    expect((await pass(request, strict)).request).toBe(request);
  });

  test("another caller's is not", async () => {
    await pass(plain, callTo("claude"), answerWith(sign("s1")));
    const request = ask(assistant(call("call_1")));
    const mine = callTo("claude");
    const other = { ...mine, principal: { ...mine.principal, id: "bob" } };
    expect((await pass(request, other)).request).toBe(request);
  });
});
