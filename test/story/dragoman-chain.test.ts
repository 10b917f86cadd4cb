/** A gateway before a gateway before the simulated upstream: nothing is lost on the way, in either direction. */

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { FailureDetailSchema } from "../../gen/dragoman/v1/errors_pb.ts";
import {
  FinishReason,
  type GenerateRequestSchema,
  type GenerateResponse,
  type Message,
  ReasoningDisplay,
  ReasoningMode,
  Role,
} from "../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../gen/dragoman/v1/inference_service_pb.ts";
import { TranslationAction, UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { Fold } from "../../src/core/fold.ts";
import { type Gateway, startGateway } from "./gateway.ts";

let inner: Gateway;
let outer: Gateway;
let client: ReturnType<typeof createClient<typeof InferenceService>>;

const innerKey = "dragoman-chain-key-0123456789";

beforeAll(async () => {
  inner = await startGateway({ config: { auth: { api_key: innerKey } } });
  outer = await startGateway({
    config: {
      providers: {
        inner: { type: "dragoman", base_url: inner.url, api_key: innerKey },
        stranger: { type: "dragoman", base_url: inner.url, api_key: "dragoman-wrong-key-0123456789" },
      },
    },
  });
  client = createClient(InferenceService, createGrpcTransport({ baseUrl: outer.url }));
});
afterAll(async () => {
  await outer?.close();
  await inner?.close();
});
beforeEach(() => {
  inner.reset();
  outer.reset();
});

type Init = MessageInitShape<typeof GenerateRequestSchema>;

const user = (text: string) => ({ role: Role.USER, parts: [{ part: { case: "text" as const, value: text } }] });
const script = (...steps: object[]) => JSON.stringify({ sim_script: { steps } });

async function generate(request: Init, options: Parameters<typeof client.generate>[1] = {}) {
  const events: GenerateResponse[] = [];
  for await (const event of client.generate(request, options)) events.push(event);
  return { events, response: new Fold().addAll(events).response() };
}

async function failureOf(run: Promise<unknown>): Promise<ConnectError> {
  const thrown = await run.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(thrown).toBeInstanceOf(ConnectError);
  return thrown as ConnectError;
}

function reasonOf(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

describe.each(["chat", "claude", "gem"])("by way of %s", (provider) => {
  test("text, account and names come through", async () => {
    const { events, response } = await generate({ model: `inner/${provider}/sim-echo`, messages: [user("Grüße aus 東京")] });
    expect(response.candidates[0]?.message?.parts[0]?.part).toEqual({ case: "text", value: "Grüße aus 東京" });
    expect(response.candidates[0]?.finished?.reason).toBe(FinishReason.STOP);
    const sequences = events.map(({ sequence }) => sequence);
    expect(sequences).toEqual([...new Set(sequences)].sort((left, right) => left - right));
    expect(events.filter(({ event }) => event.case === "settled")).toHaveLength(1);
    expect(response.started).toMatchObject({
      provider: "inner",
      target: `inner/${provider}/sim-echo`,
      servedModel: "sim-echo",
      attempt: 1,
    });
    const [bill] = inner.sim.bill();
    expect(response.settled?.usage).toMatchObject({
      inputTokens: bill?.inputTokens,
      outputTokens: bill?.outputTokens,
      basis: UsageBasis.PROVIDER,
    });
    expect(outer.attempts()).toMatchObject([{ target: `inner/${provider}/sim-echo`, status: "success", http_status: 200 }]);
  });

  test("calls of tools and their results", async () => {
    const ask = user(
      JSON.stringify({
        sim_script: {
          turns: [
            { steps: [{ text: "Let me look." }, { tool_call: { name: "weather", arguments: { city: "Bern" } } }] },
            { steps: [{ text: "Sunny." }] },
          ],
        },
      }),
    );
    const tools = [
      {
        tool: {
          case: "function" as const,
          value: { name: "weather", parametersJson: '{"type":"object","properties":{"city":{"type":"string"}}}' },
        },
      },
    ];
    const model = `inner/${provider}/sim-script`;
    const first = await generate({ model, messages: [ask], tools });
    const message = first.response.candidates[0]?.message as Message;
    const call = message.parts.find(({ part }) => part.case === "toolCall")?.part;
    expect(call).toMatchObject({ case: "toolCall", value: { name: "weather", argumentsJson: '{"city":"Bern"}' } });
    expect(first.response.candidates[0]?.finished?.reason).toBe(FinishReason.TOOL_CALLS);
    const toolCallId = call?.case === "toolCall" ? call.value.id : "";
    const result = {
      role: Role.TOOL,
      parts: [{ part: { case: "toolResult" as const, value: { toolCallId, resultJson: '{"sky":"clear"}' } } }],
    };
    const second = await generate({ model, messages: [ask, message, result], tools });
    expect(second.response.candidates[0]?.message?.parts[0]?.part).toEqual({ case: "text", value: "Sunny." });
  });
});

test("signed reasoning goes back to the provider behind the inner gateway, and only there", async () => {
  const ask = user(
    JSON.stringify({
      sim_script: {
        turns: [
          { steps: [{ reasoning: "They want the weather." }, { tool_call: { name: "weather", arguments: {} } }] },
          { steps: [{ text: "Sunny." }] },
        ],
      },
    }),
  );
  const tools = [{ tool: { case: "function" as const, value: { name: "weather", parametersJson: '{"type":"object","properties":{}}' } } }];
  const reasoning = { mode: ReasoningMode.ENABLED, budgetTokens: 2_048, display: ReasoningDisplay.SUMMARY };
  const request = { tools, reasoning, sampling: { maxOutputTokens: 8_192 } };
  const first = await generate({ ...request, model: "inner/claude/sim-script", messages: [ask] });
  const message = first.response.candidates[0]?.message as Message;
  const thought = message.parts[0];
  expect(thought?.part.case).toBe("reasoning");
  expect(thought?.signature).toMatchObject({ format: "anthropic", provider: "inner/claude" });
  const call = message.parts[1]?.part;
  const toolCallId = call?.case === "toolCall" ? call.value.id : "";
  const result = { role: Role.TOOL, parts: [{ part: { case: "toolResult" as const, value: { toolCallId, resultJson: "{}" } } }] };

  // The simulated vendor refuses thinking turns whose signature is missing or another's.
  const second = await generate({ ...request, model: "inner/claude/sim-script", messages: [ask, message, result] });
  expect(second.response.candidates[0]?.message?.parts.at(-1)?.part).toEqual({ case: "text", value: "Sunny." });
  expect(second.response.settled?.translation.filter(({ path }) => path.startsWith("messages"))).toEqual([]);
  const sent = JSON.stringify(inner.sim.requests().at(-1)?.body);
  expect(sent).toContain(thought?.signature?.value);

  // The same name at the outer gateway is another endpoint.
  const own = structuredClone(message);
  if (own.parts[0]?.signature !== undefined) own.parts[0].signature.provider = "claude";
  const third = await generate({ ...request, model: "inner/claude/sim-script", messages: [ask, own, result] });
  expect(JSON.stringify(inner.sim.requests().at(-1)?.body)).not.toContain(thought?.signature?.value);
  expect(third.response.settled?.translation.map(({ path }) => path)).toContain("messages[1].parts[0]");
});

test("what the inner gateway had to change stands in the outer report", async () => {
  const { response } = await generate({ model: "inner/claude/sim-echo", messages: [user("hi")], sampling: { temperature: 1.7 } });
  expect(response.settled?.translation).toContainEqual(
    expect.objectContaining({ action: TranslationAction.COERCED, path: "sampling.temperature", format: "anthropic-messages" }),
  );
});

test("strict mode is held by the inner gateway, with its field paths", async () => {
  const request = { model: "inner/claude/sim-echo", messages: [user("hi")], sampling: { seed: 7n }, options: { strict: true } };
  const error = await failureOf(generate(request));
  expect(error.code).toBe(Code.InvalidArgument);
  expect(reasonOf(error)).toBe("UNTRANSLATABLE");
  expect(error.findDetails(BadRequestSchema)[0]?.fieldViolations.map(({ field }) => field)).toContain("sampling.seed");
  expect(inner.sim.requests()).toHaveLength(0);
});

test("a plan is made to the end, and sends nothing", async () => {
  const request = { model: "inner/claude/sim-echo", messages: [user("hi")], sampling: { temperature: 1.7 }, options: { explain: true } };
  const { events, response } = await generate(request);
  expect(events.map(({ event }) => event.case)).toEqual(["started", "settled"]);
  expect(response.settled?.translation.map(({ path }) => path)).toContain("sampling.temperature");
  expect(response.settled?.usage?.inputTokens).toBeUndefined();
  expect(inner.sim.requests()).toHaveLength(0);
});

describe("failures keep their reason", () => {
  test("of the vendor, with its words and the wait", async () => {
    const error = await failureOf(generate({ model: "inner/chat/sim-fault-rate-limit", messages: [user("hi")] }));
    expect(error.code).toBe(Code.ResourceExhausted);
    expect(reasonOf(error)).toBe("RATE_LIMITED");
    const [detail] = error.findDetails(FailureDetailSchema);
    expect(detail?.upstream).toMatchObject({ provider: "inner/chat", httpStatus: 429 });
    expect(detail?.retryAfterMs).toBe(2_000);
    expect(detail?.settled?.usage?.outputTokens ?? 0).toBe(0);
  });

  test("of the inner gateway itself", async () => {
    const error = await failureOf(generate({ model: "inner/nobody/has-this", messages: [user("hi")] }));
    expect(error.code).toBe(Code.NotFound);
    expect(reasonOf(error)).toBe("MODEL_NOT_FOUND");
  });

  test("in the middle of a stream, after what had come", async () => {
    const text = script({ text: "some words " }, { error: { status: 529 } });
    const events: GenerateResponse[] = [];
    const error = await failureOf(
      (async () => {
        for await (const event of client.generate({ model: "inner/claude/sim-script", messages: [user(text)] })) events.push(event);
      })(),
    );
    expect(reasonOf(error)).toBe("PROVIDER_ERROR");
    expect(error.findDetails(FailureDetailSchema)[0]).toMatchObject({
      committed: true,
      upstream: { provider: "inner/claude", midStream: true },
    });
    expect(events.some(({ event }) => event.case === "blockDelta")).toBe(true);
    const ended = events.find(({ event }) => event.case === "blockEnded")?.event;
    expect(ended).toMatchObject({ case: "blockEnded", value: { incomplete: true } });
    // What was generated before is billed.
    await vi.waitFor(() => expect(outer.attempts()[0]?.output_tokens).toBeGreaterThan(0));
  });

  test("but a key that the inner gateway refuses is no matter of the caller", async () => {
    const error = await failureOf(generate({ model: "stranger/chat/sim-echo", messages: [user("hi")] }));
    expect(error.code).toBe(Code.Unavailable);
    expect(reasonOf(error)).toBe("PROVIDER_ERROR");
    expect(error.message).not.toContain("dragoman-wrong-key");
    expect(error.findDetails(FailureDetailSchema)[0]?.retryable).toBe(false);
  });
});

test("the deadline passes both gateways", async () => {
  const text = script({ delay_ms: 20_000 }, { text: "never" });
  const began = performance.now();
  const error = await failureOf(generate({ model: "inner/chat/sim-script", messages: [user(text)] }, { timeoutMs: 800 }));
  expect(error.code).toBe(Code.DeadlineExceeded);
  expect(performance.now() - began).toBeLessThan(10_000);
  await vi.waitFor(() => {
    expect(inner.sim.bill()[0]).toMatchObject({ aborted: true });
    expect(inner.attempts()[0]?.status).toMatch(/timeout|cancelled/);
    expect(outer.attempts()[0]?.status).toBe("timeout");
  });
});

test("a client that leaves frees both gateways and the upstream", async () => {
  const text = script({ text: "some words come at once " }, { delay_ms: 20_000 }, { text: "never" });
  const stop = new AbortController();
  const leaving = async () => {
    for await (const { event } of client.generate({ model: "inner/claude/sim-script", messages: [user(text)] }, { signal: stop.signal })) {
      if (event.case === "blockDelta") stop.abort();
    }
  };
  await expect(leaving()).rejects.toThrow(ConnectError);
  await vi.waitFor(() => expect(inner.sim.bill()[0]?.aborted).toBe(true), { timeout: 1_000, interval: 10 });
  await vi.waitFor(() => {
    expect(inner.attempts()[0]?.status).toBe("cancelled");
    expect(outer.attempts()[0]?.status).toBe("cancelled");
  });
  // The same connection serves the next call.
  const { response } = await generate({ model: "inner/claude/sim-echo", messages: [user("again")] });
  expect(response.candidates[0]?.message?.parts[0]?.part).toEqual({ case: "text", value: "again" });
});

test("vectors", async () => {
  const inputs = ["a", "b"].map((value) => ({ input: { case: "text" as const, value } }));
  const through = await client.embed({ model: "inner/chat/sim-embed", inputs });
  const direct = await client.embed({ model: "chat/sim-embed", inputs });
  expect(through.embeddings.map(({ index }) => index)).toEqual([0, 1]);
  expect(through.embeddings.map(({ values }) => values)).toEqual(direct.embeddings.map(({ values }) => values));
  expect(through).toMatchObject({ provider: "inner", target: "inner/chat/sim-embed" });
  expect(through.settled?.usage?.inputTokens).toBe(inner.sim.bill()[0]?.inputTokens);
});

test("counts", async () => {
  const response = await client.countTokens({ generate: { model: "inner/chat/sim-echo", messages: [user("count these words")] } });
  expect(response.inputTokens).toBeGreaterThan(0);
});

test("lists the inner gateway's models as its own provider's", async () => {
  const { models } = await client.listModels({ provider: "inner" });
  const ids = models.map(({ id }) => id);
  expect(ids).toContain("sim-echo");
  expect(models.every(({ isRoute }) => !isRoute)).toBe(true);
});

test("trace and attribution go on, the preferred provider does not", async () => {
  const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const request = {
    model: "inner/chat/sim-echo",
    messages: [user("hi")],
    attribution: { sessionId: "s-1" },
    options: { provider: "inner" },
  };
  const { response } = await generate(request, { headers: { traceparent } });
  expect(response.candidates).toHaveLength(1);
  expect(inner.sim.requests()[0]?.headers.traceparent).toBe(traceparent);
});

test("an unmodified OpenAI client sees one gateway", async () => {
  const openai = new OpenAI({ baseURL: `${outer.url}/v1`, apiKey: "none", maxRetries: 0 });
  const stream = await openai.chat.completions.create({
    model: "inner/gem/sim-echo",
    messages: [{ role: "user", content: "through two houses" }],
    stream: true,
  });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  expect(text).toBe("through two houses");
});
