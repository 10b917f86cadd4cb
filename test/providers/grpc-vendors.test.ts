import { create } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { ServerStateSchema } from "../../gen/dragoman/v1/call_pb.ts";
import { EmbedRequestSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import {
  FinishReason,
  type GenerateRequest,
  GenerateRequestSchema,
  type Message,
  MessageSchema,
  PartSchema,
  ReasoningEffort,
  ReasoningSchema,
  Role,
  SamplingSchema,
} from "../../gen/dragoman/v1/generate_pb.ts";
import type { AttemptCall } from "../../src/core/call.ts";
import { GatewayError } from "../../src/core/error.ts";
import type { GenerateEvent } from "../../src/core/event.ts";
import { Fold } from "../../src/core/fold.ts";
import type { Provider } from "../../src/core/provider.ts";
import { Secret } from "../../src/core/secret.ts";
import type { ProviderDependencies } from "../../src/providers/provider-kind.ts";
import { createProvider, type ProviderSettings } from "../../src/providers/registry.ts";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { ask, startCall, strict, targetOf } from "./calls.ts";

const key = "sk-canary-0123456789abcdefghijklmnop";

/** A vendor that speaks gRPC, over a real socket, before the stand-alone simulated upstream. */
async function open(
  type: string,
  settings: Partial<ProviderSettings> = {},
  dependencies: Partial<ProviderDependencies> = {},
): Promise<{ sim: SimServer; provider: Provider }> {
  const sim = await startSim({ port: 0 });
  const provider = createProvider(
    { name: type, baseUrl: sim.grpcUrl, apiKey: new Secret(key), ...settings },
    { version: "1.2.3", ...dependencies },
  );
  onTestFinished(async () => {
    await provider.close();
    await sim.close();
  });
  return { sim, provider };
}

async function run(provider: Provider, request: GenerateRequest, model = "sim-script", call: AttemptCall = startCall()) {
  const batches: GenerateEvent[][] = [];
  let error: GatewayError | undefined;
  try {
    for await (const { events } of provider.generate?.(request, targetOf(provider.name, model), call) ?? []) batches.push([...events]);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(GatewayError);
    error = thrown as GatewayError;
  }
  return { batches, call, error, response: new Fold().addAll(batches.flat()).response() };
}

const scripted = (script: object) => ask(JSON.stringify({ sim_script: script }));
const parts = ({ response }: Awaited<ReturnType<typeof run>>) => response.candidates[0]?.message?.parts ?? [];

describe.each(["xai-grpc", "gemini-grpc"])("%s", (type) => {
  test.each([false, true])("answers, buffered: %s", async (buffered) => {
    const { sim, provider } = await open(type);
    const call = startCall({ buffered, traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" });
    const result = await run(provider, ask("Grüße aus 東京"), "sim-echo", call);
    expect(parts(result)[0]?.part).toEqual({ case: "text", value: "Grüße aus 東京" });
    expect(result.response.candidates[0]?.finished?.reason).toBe(FinishReason.STOP);
    expect(call.attempt.httpStatus).toBe(200);
    const [bill] = sim.bill();
    expect(result.response.usage).toMatchObject({ inputTokens: bill?.inputTokens, outputTokens: bill?.outputTokens });
    const [request] = sim.requests();
    expect(request?.headers).toMatchObject({ traceparent: call.traceparent, "user-agent": expect.stringMatching(/^dragoman\/1\.2\.3 /) });
    expect(request?.headers["grpc-timeout"]).toMatch(/^\d+[mSM]$/);
    expect(JSON.stringify(sim.requests())).not.toContain(key);
  });

  test("streams and whole answers say the same", async () => {
    const { provider } = await open(type);
    const request = scripted({
      steps: [
        { reasoning: "Hm." },
        { text: "Both." },
        { parallel: [{ tool_call: { name: "a", arguments: { x: 1 } } }, { tool_call: { name: "b", arguments: {} } }] },
      ],
    });
    request.tools.push(...tools("a", "b"));
    const [streamed, whole] = [await run(provider, request), await run(provider, request, "sim-script", startCall({ buffered: true }))];
    const shape = (result: typeof streamed) =>
      parts(result).map(({ part }) => (part.case === "toolCall" ? `${part.value.name}${part.value.argumentsJson}` : part.value));
    expect(shape(streamed)).toEqual(shape(whole));
    expect(streamed.response.candidates[0]?.finished?.reason).toBe(FinishReason.TOOL_CALLS);
    expect(whole.response.usage).toEqual(streamed.response.usage);
    expect(streamed.response.usage?.reasoningTokens).toBeGreaterThan(0);
  });

  test("calls are answered, signatures go back", async () => {
    const { sim, provider } = await open(type);
    const first = scripted({
      turns: [
        { steps: [{ reasoning: "Think." }, { tool_call: { name: "weather", arguments: { city: "Bern" } } }] },
        { steps: [{ text: "Sunny." }] },
      ],
    });
    first.tools.push(...tools("weather"));
    first.reasoning = create(ReasoningSchema, { effort: ReasoningEffort.HIGH, encrypted: true });
    const turn = await run(provider, first);
    expect(turn.error).toBeUndefined();
    const message = turn.response.candidates[0]?.message as Message;
    const signed = message.parts.find(({ signature }) => signature !== undefined);
    expect(signed?.signature).toMatchObject({ provider: type, format: type === "xai-grpc" ? "xai" : "gemini" });
    const call = message.parts.find(({ part }) => part.case === "toolCall")?.part;
    const toolCallId = call?.case === "toolCall" ? call.value.id : "";
    const result = create(MessageSchema, {
      role: Role.TOOL,
      parts: [{ part: { case: "toolResult", value: { toolCallId, resultJson: '{"sky":"clear"}' } } }],
    });
    const second = { ...first, messages: [...first.messages, message, result] };
    const end = await run(provider, second);
    expect(end.error).toBeUndefined();
    expect(parts(end)[0]?.part).toEqual({ case: "text", value: "Sunny." });
    expect(JSON.stringify(sim.requests().at(-1)?.body)).toContain(signed?.signature?.value);
  });

  test("makes vectors, of one input and of many", async () => {
    const { sim, provider } = await open(type);
    const request = (count: number) =>
      create(EmbedRequestSchema, {
        model: "sim-embed",
        inputs: Array.from({ length: count }, (_, index) => ({ input: { case: "text" as const, value: `text ${index}` } })),
      });
    const many = await provider.embed?.(request(150), targetOf(type, "sim-embed"), startCall());
    const one = await provider.embed?.(request(1), targetOf(type, "sim-embed"), startCall());
    expect(many?.embeddings.map(({ index }) => index)).toEqual(Array.from({ length: 150 }, (_, index) => index));
    expect(one?.embeddings[0]?.values).toEqual(many?.embeddings[0]?.values);
    expect(sim.bill()).toHaveLength(3);
  });

  test("lists its models", async () => {
    const { provider } = await open(type);
    const models = await provider.listModels?.(new AbortController().signal);
    expect(models?.map(({ id }) => id)).toEqual(expect.arrayContaining(["sim-echo", "sim-embed"]));
  });

  describe("failures", () => {
    test.each([
      ["rate_limit", "rate_limited", true],
      ["quota", "quota_exhausted", false],
      ["status_500", "provider_error", true],
      ["status_503", "provider_error", true],
      ["html_502", "provider_error", true],
      ["empty_stream", "provider_error", true],
      ["refuse", "provider_error", true],
      ["malformed", "provider_error", true],
      ["length_long", "provider_error", true],
      ["compression_bomb", "provider_error", true],
      ["no_end", "provider_error", true],
      ["error_event", "provider_error", true],
    ])("%s", async (fault, reason, retryable) => {
      const { provider } = await open(type);
      const { error } = await run(provider, scripted({ steps: [{ fault }, { text: "never seen" }] }));
      expect(error).toMatchObject({ reason, retryable });
    });

    test("after content, blocks are ended as incomplete and what came is kept", async () => {
      const { provider } = await open(type);
      const result = await run(provider, scripted({ steps: [{ text: "some words come" }, { fault: "reset" }] }));
      expect(result.error).toMatchObject({ reason: "provider_error" });
      expect(parts(result)[0]?.part).toEqual({ case: "text", value: "some words come" });
      expect(result.batches.flat().at(-1)?.event).toMatchObject({ case: "blockEnded", value: { incomplete: true } });
    });

    test("a refused key is not repeated, nor the vendor's words about it", async () => {
      const secret = "sk-bad-0123456789abcdefghijklmnop";
      const { provider } = await open(type, { apiKey: new Secret(secret) });
      const { error, call } = await run(provider, ask("hi"));
      expect(error).toMatchObject({ reason: "provider_error", retryable: false });
      expect(JSON.stringify([error?.message, error?.details.upstream])).not.toContain(secret);
      expect(call.attempt.httpStatus).toBeGreaterThanOrEqual(400);
    });

    test("a wrong request is the caller's, with the vendor's words", async () => {
      const { provider } = await open(type);
      const request = ask("hi");
      request.sampling = create(SamplingSchema, { maxOutputTokens: 0 });
      const { error } = await run(provider, request);
      expect(error).toMatchObject({ reason: "invalid_request", status: 400 });
      expect(error?.details.upstream).toMatchObject({ type: "INVALID_ARGUMENT", httpStatus: 0 });
    });

    test("a missing model", async () => {
      const { provider } = await open(type);
      expect((await run(provider, ask("hi"), "sim-missing")).error).toMatchObject({ reason: "provider_error", retryable: false });
    });

    test("an upstream that is not there was not reached, and is found again", async () => {
      const { sim, provider } = await open(type);
      const port = Number(new URL(sim.grpcUrl).port);
      await run(provider, ask("hi"), "sim-echo");
      await sim.close();
      const gone = await run(provider, ask("hi"), "sim-echo");
      expect(gone.error).toMatchObject({ reason: "provider_error", retryable: true });
      await vi.waitFor(async () => {
        const { error } = await run(provider, ask("hi"), "sim-echo");
        expect(error?.details.undispatched).toBe(true);
      });
      const back = await startSim({ port: 0, grpcPort: port });
      onTestFinished(() => back.close());
      await vi.waitFor(async () => expect((await run(provider, ask("hi"), "sim-echo")).error).toBeUndefined(), {
        timeout: 5_000,
        interval: 100,
      });
    });
  });

  describe("time", () => {
    test.each([
      ["before the answer", { firstByteMs: 60 }, { fault: "stall_before" }, "did not begin"],
      ["inside the answer", { idleMs: 60 }, { fault: "stall" }, "silent"],
      ["in all", { totalMs: 80 }, { delay_ms: 5_000 }, "did not finish"],
    ])("%s", async (_when, timeouts, step, words) => {
      const { sim, provider } = await open(type, { timeouts });
      const steps = "fault" in step && step.fault === "stall_before" ? [step] : [{ text: "words" }, step];
      const { error } = await run(provider, scripted({ steps }));
      expect(error).toMatchObject({ reason: "timeout", message: expect.stringContaining(words) });
      await sim.settled();
      expect(sim.bill()[0]).toMatchObject({ completed: false, aborted: true });
    });

    test("a stopped call cancels the upstream's", async () => {
      const { sim, provider } = await open(type);
      const stop = new AbortController();
      const reading = run(
        provider,
        scripted({ steps: [{ text: "words " }, { delay_ms: 20_000 }] }),
        "sim-script",
        startCall({ signal: stop.signal }),
      );
      await vi.waitFor(() => expect(sim.bill()[0]?.bytesWritten).toBeGreaterThan(0));
      stop.abort(new GatewayError("cancelled", "the client went away"));
      expect((await reading).error).toMatchObject({ reason: "cancelled" });
      await sim.settled();
      expect(sim.bill()[0]).toMatchObject({ aborted: true });
    });

    test("leaving the loop cancels too", async () => {
      const { sim, provider } = await open(type);
      const request = scripted({ steps: [{ text: "words " }, { delay_ms: 20_000 }] });
      for await (const _ of provider.generate?.(request, targetOf(type, "sim-script"), startCall()) ?? []) break;
      await sim.settled();
      expect(sim.bill()[0]).toMatchObject({ aborted: true });
    });
  });

  test("messages of one read come as one batch", async () => {
    const { provider } = await open(type);
    const text = "x".repeat(4_000);
    const { batches, ...result } = await run(provider, ask(text), "sim-echo");
    expect(parts({ batches, ...result })[0]?.part).toEqual({ case: "text", value: text });
    // A thousand messages of four characters.
    expect(batches.length).toBeLessThan(500);
  });

  test("a slow reader holds the upstream back", async () => {
    const { sim, provider } = await open(type);
    const iterator = provider
      .generate?.(scripted({ steps: [{ flood_bytes: 64 << 20 }] }), targetOf(type, "sim-script"), startCall())
      [Symbol.asyncIterator]();
    await iterator?.next();
    await vi.waitFor(() => {
      const before = sim.bill()[0]?.bytesWritten;
      return new Promise<void>((resolve, reject) => {
        setTimeout(() => (sim.bill()[0]?.bytesWritten === before ? resolve() : reject(new Error("still growing"))), 100);
      });
    }, 5_000);
    expect(sim.bill()[0]?.bytesWritten).toBeLessThan(32 << 20);
    await iterator?.return?.();
  });
});

describe.each(["xai-grpc", "gemini-grpc"])("%s, a model that takes no addresses", (type) => {
  const data = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
  const url = "https://pictures.example/cat.png";

  async function look(media: ProviderDependencies["media"], call = startCall()) {
    const { sim, provider } = await open(type, {}, { media });
    const request = ask("What is it?");
    request.messages[0]?.parts.push(create(PartSchema, { part: { case: "image", value: { source: { case: "url", value: url } } } }));
    const target = { ...targetOf(type, "sim-echo"), traits: { imageUrls: false } };
    const reading = (async () => {
      for await (const _ of provider.generate?.(request, target, call) ?? []);
    })();
    return { failure: await reading.catch((thrown: unknown) => thrown), sent: JSON.stringify(sim.requests()), call };
  }
  const fetching = (fetched: string[]): ProviderDependencies["media"] => ({
    fetcher: {
      async fetch(address) {
        fetched.push(address);
        return { data, mediaType: "image/png" };
      },
    },
    maxPerRequest: 2,
  });

  test("gets the data where fetching is on, and the call says so", async () => {
    const fetched: string[] = [];
    const { failure, sent, call } = await look(fetching(fetched));
    expect([failure, fetched]).toEqual([undefined, [url]]);
    expect(sent).toContain(data.toString("base64"));
    expect(sent).not.toContain(url);
    expect(call.translation).toMatchObject([{ path: "messages[0].parts[1].image.url", detail: expect.stringContaining("fetched") }]);
  });

  test("is refused where fetching is off or the call is strict, nothing is sent or fetched, and what would help is said", async () => {
    const off = await look(undefined);
    expect(off).toMatchObject({ failure: { reason: "untranslatable", message: expect.stringContaining("media.fetch") }, sent: "[]" });
    const fetched: string[] = [];
    const asked = await look(fetching(fetched), startCall({ options: strict() }));
    expect(asked).toMatchObject({ failure: { reason: "untranslatable", message: expect.stringContaining("without strict") }, sent: "[]" });
    expect(fetched).toEqual([]);
  });
});

function tools(...names: string[]) {
  return create(GenerateRequestSchema, {
    tools: names.map((name) => ({
      tool: { case: "function" as const, value: { name, parametersJson: '{"type":"object","properties":{}}' } },
    })),
  }).tools;
}

describe("gemini-grpc", () => {
  test("counts by the vendor", async () => {
    const { provider } = await open("gemini-grpc");
    const count = await provider.countTokens?.(ask("twelve chars"), targetOf("gemini-grpc", "sim-echo"), startCall());
    expect(count).toMatchObject({ inputTokens: 7, servedModel: "sim-echo", provider: "gemini-grpc" });
  });

  test("what the messages have no field for is reported, and refused in strict mode", async () => {
    const { provider } = await open("gemini-grpc");
    const request = ask("hi");
    request.extrasJson.gemini = '{"futureSetting": {"a": 1}, "generationConfig": {"routing": "x"}}';
    const { call, error } = await run(provider, request, "sim-echo");
    expect(error).toBeUndefined();
    expect(call.translation.map(({ path }) => path)).toEqual(["generationConfig.routing", "futureSetting"]);
    const refused = await run(provider, request, "sim-echo", startCall({ options: strict() }));
    expect(refused.error?.details.fields?.map(({ field }) => field)).toEqual(["generationConfig.routing", "futureSetting"]);
  });

  test("an answer that shall not be kept loses nothing where none is kept", async () => {
    const { provider } = await open("gemini-grpc");
    const request = ask("hi");
    request.serverState = create(ServerStateSchema, { store: false });
    const { call, error } = await run(provider, request, "sim-echo", startCall({ options: strict() }));
    expect([error, call.translation]).toEqual([undefined, []]);
    request.serverState.store = true;
    expect((await run(provider, request, "sim-echo", startCall({ options: strict() }))).error).toMatchObject({ reason: "untranslatable" });
  });

  test("large integers in arguments are rounded, and the report says so", async () => {
    const { provider } = await open("gemini-grpc");
    const request = create(GenerateRequestSchema, {
      model: "m",
      messages: [
        ...ask("go").messages,
        {
          role: Role.ASSISTANT,
          parts: [{ part: { case: "toolCall", value: { id: "c1", name: "f", argumentsJson: '{"id":9007199254740993}' } } }],
        },
        { role: Role.TOOL, parts: [{ part: { case: "toolResult", value: { toolCallId: "c1", name: "f", resultJson: "{}" } } }] },
      ],
      tools: tools("f"),
    });
    const { call, error } = await run(provider, request, "gemini-2.5-flash");
    expect(error).toBeUndefined();
    expect(call.translation).toContainEqual(expect.objectContaining({ path: "contents[1].parts[0].functionCall.args" }));
  });
});

test("a path in base_url is refused when the provider is made", () => {
  const make = () => createProvider({ name: "inner", type: "dragoman", baseUrl: "http://127.0.0.1:1/v1" }, { version: "0" });
  expect(make).toThrow("base_url: has a path");
});

test("an address that is not allowed is not connected to", async () => {
  const resolve = (_name: string, done: (error: null, addresses: { address: string; family: number }[]) => void) =>
    done(null, [{ address: "169.254.169.254", family: 4 }]);
  const provider = createProvider({ name: "inner", type: "dragoman", baseUrl: "http://metadata.example:80" }, { version: "0", resolve });
  onTestFinished(() => provider.close());
  const { error } = await run(provider, ask("hi"));
  expect(error).toMatchObject({ reason: "provider_error", message: expect.stringContaining("is not allowed") });
  expect(error?.details.undispatched).toBe(true);
});
