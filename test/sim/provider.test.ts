import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { EmbedRequestSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import {
  type CompleteResponse,
  FinishReason,
  type GenerateRequest,
  GenerateRequestSchema,
  OutputKind,
  Role,
  ToolChoiceMode,
} from "../../gen/dragoman/v1/generate_pb.ts";
import { AttemptSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import type { AttemptCall } from "../../src/core/call.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { EventBatch } from "../../src/core/event.ts";
import { Fold } from "../../src/core/fold.ts";
import { createPrincipal } from "../../src/core/principal.ts";
import type { Target } from "../../src/core/target.ts";
import { createSimProvider } from "../../src/sim/provider.ts";

const provider = createSimProvider();

function targetOf(model: string): Target {
  return { id: `sim/${model}`, provider: "sim", model, traits: provider.traits(model) };
}

function callOf(signal: AbortSignal = new AbortController().signal): AttemptCall {
  return {
    requestId: "01TEST",
    clientRequestId: "01TEST",
    operation: "generate",
    surface: "rpc",
    dialect: "dragoman",
    principal: createPrincipal({ id: "test", scopes: new Set() }),
    signal,
    startedAt: 0,
    deadline: Number.POSITIVE_INFINITY,
    traceparent: "",
    attribution: undefined,
    options: undefined,
    attempts: [],
    targets: [],
    route: "",
    maxAttempts: 3,
    attempt: create(AttemptSchema),
    translation: [],
    buffered: false,
  };
}

type RequestInit = Omit<Partial<GenerateRequest>, "$typeName">;

function ask(text: string, rest: RequestInit = {}): GenerateRequest {
  return create(GenerateRequestSchema, {
    model: "sim/echo",
    messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: text } }] }],
    ...rest,
  } as Parameters<typeof create<typeof GenerateRequestSchema>>[1]);
}

const script = (value: unknown) => JSON.stringify({ sim_script: value });

async function collect(
  model: string,
  request: GenerateRequest,
  call = callOf(),
): Promise<{ batches: EventBatch[]; answer: CompleteResponse }> {
  const batches: EventBatch[] = [];
  for await (const batch of provider.generate?.(request, targetOf(model), call) ?? []) batches.push(batch);
  return { batches, answer: new Fold().addAll(batches.flatMap(({ events }) => events)).response() };
}

async function failure(run: Promise<unknown>): Promise<GatewayError> {
  const thrown = await run.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof GatewayError)) throw new Error(`expected a GatewayError, got ${String(thrown)}`);
  return thrown;
}

const textOf = (answer: CompleteResponse, candidate = 0) =>
  answer.candidates[candidate]?.message?.parts.find(({ part }) => part.case === "text")?.part.value;

describe("sim/echo", () => {
  test("streams the last user text a token a batch and bills it", async () => {
    const { batches, answer } = await collect("echo", ask("Grüße, 世界! 👋👋"));
    expect(textOf(answer)).toBe("Grüße, 世界! 👋👋");
    expect(batches.filter(({ events }) => events.some(({ event }) => event.case === "blockDelta"))).toHaveLength(4);
    expect(batches[0]?.events[0]?.event.case).toBe("started");
    expect(answer.usage).toMatchObject({ inputTokens: 8, outputTokens: 4 });
    expect(answer.candidates[0]?.finished?.reason).toBe(FinishReason.STOP);
  });

  test("honours max_output_tokens and stop", async () => {
    const cut = await collect("echo", ask("0123456789", { sampling: { maxOutputTokens: 2, stop: [] } as never }));
    expect(textOf(cut.answer)).toBe("01234567");
    expect(cut.answer.candidates[0]?.finished?.reason).toBe(FinishReason.LENGTH);
    expect(cut.answer.usage?.outputTokens).toBe(2);
    const stopped = await collect("echo", ask("one STOP two", { sampling: { stop: ["STOP"] } as never }));
    expect(textOf(stopped.answer)).toBe("one ");
    expect(stopped.answer.candidates[0]?.finished).toMatchObject({ reason: FinishReason.STOP_SEQUENCE, stopSequence: "STOP" });
  });

  test("answers a JSON schema with an instance of it, and n times", async () => {
    const schema = {
      type: "object",
      properties: { name: { type: "string" }, age: { type: "integer", minimum: 18 } },
      required: ["name", "age"],
    };
    const outputFormat = { kind: OutputKind.JSON_SCHEMA, schemaJson: JSON.stringify(schema) } as never;
    const { answer } = await collect("echo", ask("hi", { outputFormat, sampling: { candidateCount: 2 } as never }));
    expect(answer.candidates.map((_, index) => JSON.parse(String(textOf(answer, index))))).toEqual([
      { name: "sim", age: 18 },
      { name: "sim", age: 18 },
    ]);
  });

  test("calls a tool that must be called", async () => {
    const tools = [
      {
        tool: {
          case: "function",
          value: { name: "f", parametersJson: '{"type":"object","required":["x"],"properties":{"x":{"enum":["a"]}}}' },
        },
      },
    ];
    const { answer } = await collect("echo", ask("hi", { tools, toolChoice: { mode: ToolChoiceMode.REQUIRED } } as never));
    expect(answer.candidates[0]?.message?.parts[0]?.part.value).toMatchObject({ name: "f", argumentsJson: '{"x":"a"}' });
    expect(answer.candidates[0]?.finished?.reason).toBe(FinishReason.TOOL_CALLS);
  });

  test("an echo does not play scripts", async () => {
    const text = script({ steps: [{ text: "played" }] });
    expect(textOf((await collect("echo", ask(text))).answer)).toBe(text);
  });
});

describe("sim/script", () => {
  test("plays reasoning, parallel calls in turns, usage and finish", async () => {
    const { batches, answer } = await collect(
      "script",
      ask(
        script({
          steps: [
            { reasoning: "let me think" },
            { text: "Calling " },
            { text: "two." },
            {
              parallel: [
                { tool_call: { name: "a", arguments: { x: "long enough" } } },
                { tool_call: { name: "b", id: "mine", arguments: "{}" } },
              ],
            },
          ],
          usage: { input_tokens: 100, output_tokens: 50, cache_read_tokens: 40, reasoning_tokens: 7 },
        }),
      ),
    );
    const parts = answer.candidates[0]?.message?.parts ?? [];
    expect(parts.map(({ part }) => part.case)).toEqual(["reasoning", "text", "toolCall", "toolCall"]);
    expect(parts[0]?.signature).toMatchObject({ format: "sim", provider: "sim" });
    expect(textOf(answer)).toBe("Calling two.");
    expect(parts[2]?.part.value).toMatchObject({ name: "a", argumentsJson: '{"x":"long enough"}' });
    expect(parts[3]?.part.value).toMatchObject({ name: "b", id: "mine", argumentsJson: "{}" });
    const deltas = batches.flatMap(({ events }) => events.flatMap(({ event }) => (event.case === "blockDelta" ? [event.value.index] : [])));
    expect(deltas.slice(-6)).toEqual([2, 3, 2, 2, 2, 2]);
    expect(answer.usage).toMatchObject({ inputTokens: 100, outputTokens: 50, cacheReadTokens: 40, reasoningTokens: 7 });
    expect(answer.candidates[0]?.finished?.reason).toBe(FinishReason.TOOL_CALLS);
  });

  test("fails before content with the vendor's facts", async () => {
    const call = callOf();
    const error = await failure(collect("script", ask(script({ steps: [{ error: { status: 429, retry_after: 3 } }] })), call));
    expect(error).toMatchObject({ reason: "rate_limited", retryable: true });
    expect(error.details).toMatchObject({ retryAfterMs: 3000, upstream: { httpStatus: 429, midStream: false } });
    expect(call.attempt.httpStatus).toBe(429);
  });

  test("fails in the middle after ending open blocks as incomplete", async () => {
    const events: EventBatch["events"][number][] = [];
    const request = ask(script({ steps: [{ text: "half an" }, { error: { status: 503 } }] }));
    const run = async () => {
      for await (const batch of provider.generate?.(request, targetOf("script"), callOf()) ?? []) events.push(...batch.events);
    };
    const error = await failure(run());
    expect(error).toMatchObject({ reason: "provider_error" });
    expect(error.details.upstream).toMatchObject({ midStream: true });
    expect(events.at(-1)?.event).toMatchObject({ case: "blockEnded", value: { incomplete: true } });
  });

  test.each([
    ["during a delay", { steps: [{ text: "a" }, { delay_ms: 60_000 }] }],
    ["before the first token", { steps: [{ text: "a" }], ttft_ms: 60_000 }],
    ["during a stall", { steps: [{ text: "a" }, { fault: "stall" }] }],
  ])("stops at once %s", async (_, value) => {
    const controller = new AbortController();
    const reason = new GatewayError("timeout", "the deadline passed");
    setTimeout(() => controller.abort(reason), 20);
    expect(await failure(collect("script", ask(script(value)), callOf(controller.signal)))).toBe(reason);
  });

  test("plays by attempt, then by turn", async () => {
    const text = script({ attempts: [{ steps: [{ error: { status: 500 } }] }, { steps: [{ text: "second" }] }] });
    expect(await failure(collect("script", ask(text)))).toMatchObject({ reason: "provider_error" });
    expect(textOf((await collect("script", ask(text))).answer)).toBe("second");

    const turns = script({ turns: [{ steps: [{ tool_call: { name: "f" } }] }, { steps: [{ text: "thanks" }] }] });
    const request = ask(turns);
    const first = await collect("script", request);
    const message = first.answer.candidates[0]?.message;
    const called = message?.parts[0]?.part;
    if (message === undefined || called?.case !== "toolCall") throw new Error("expected a call");
    const result = { role: Role.TOOL, parts: [{ part: { case: "toolResult", value: { toolCallId: called.value.id, resultJson: "1" } } }] };
    const next = create(GenerateRequestSchema, { model: "sim/script", messages: [...request.messages, message, result] } as never);
    expect(textOf((await collect("script", next)).answer)).toBe("thanks");
  });

  test.each([
    [{ steps: [{ txt: "a" }] }, "sim_script.steps[0].txt"],
    [{ steps: [{ text: "a", delay_ms: 3 }] }, "sim_script.steps[0]"],
    [{ steps: [{ text: "a" }, { fault: "status_500" }] }, "sim_script.steps[1].fault"],
    [{ steps: [{ fault: "nonsense" }] }, "sim_script.steps[0].fault"],
    [{ steps: [{ text: "a", bytes: 3 }] }, "sim_script.steps[0].bytes"],
    [{ steps: [], attempts: [] }, "sim_script.attempts"],
  ])("a wrong script names its path: %j", async (value, path) => {
    const error = await failure(collect("script", ask(script(value))));
    expect(error.reason).toBe("invalid_request");
    expect(error.details.fields?.[0]?.field).toBe(path);
  });

  test("says what it needs without a script, and which models there are", async () => {
    expect((await failure(collect("script", ask("hello")))).message).toContain("sim_script");
    expect(await failure(collect("gpt-4", ask("hello")))).toMatchObject({ reason: "model_not_found" });
  });
});

describe("sim/embed", () => {
  const embed = (inputs: string[], dimensions?: number) =>
    provider.embed?.(
      create(EmbedRequestSchema, {
        model: "sim/embed",
        inputs: inputs.map((value) => ({ input: { case: "text" as const, value } })),
        ...(dimensions === undefined ? {} : { dimensions }),
      }),
      targetOf("embed"),
      callOf(),
    );

  test("gives stable unit vectors of the asked length", async () => {
    const response = await embed(["one", "two", "one"], 64);
    const vectors = response?.embeddings.map(({ values }) => values) ?? [];
    expect(vectors.map(({ length }) => length)).toEqual([64, 64, 64]);
    expect(vectors[0]).toEqual(vectors[2]);
    expect(vectors[0]).not.toEqual(vectors[1]);
    for (const vector of vectors) expect(Math.hypot(...vector)).toBeCloseTo(1, 5);
    expect((await embed(["one"]))?.dimensions).toBe(256);
  });

  test("refuses what it cannot do", async () => {
    await expect(embed(["x"], 100_000)).rejects.toMatchObject({ reason: "invalid_request" });
    const request = create(EmbedRequestSchema, { model: "sim/echo", inputs: [{ input: { case: "text", value: "x" } }] });
    await expect(provider.embed?.(request, targetOf("echo"), callOf())).rejects.toMatchObject({ reason: "model_not_found" });
  });
});

test("lists its models with their traits", async () => {
  const models = await provider.listModels?.(new AbortController().signal);
  expect(models?.map(({ id }) => id)).toEqual(["echo", "script", "embed"]);
  expect(provider.traits("embed").embeddingDimensions).toBe(256);
});
