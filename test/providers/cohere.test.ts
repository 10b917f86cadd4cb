/** Cohere over a real socket, answered by the simulated vendor. */
import { create } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import { EmbedRequestSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { FinishReason } from "../../gen/dragoman/v1/generate_pb.ts";
import { ModelCapability, ModelKind } from "../../gen/dragoman/v1/model_pb.ts";
import { UsageBasis } from "../../gen/dragoman/v1/usage_pb.ts";
import { Fold } from "../../src/core/fold.ts";
import type { Provider } from "../../src/core/provider.ts";
import { Secret } from "../../src/core/secret.ts";
import { createProvider } from "../../src/providers/registry.ts";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { ask, startCall, targetOf } from "./calls.ts";

async function open(path = "", key = "co-test-0123456789"): Promise<{ sim: SimServer; provider: Provider }> {
  const sim = await startSim({ port: 0 });
  const provider = createProvider({ name: "cohere", baseUrl: sim.url + path, apiKey: new Secret(key) }, { version: "0" });
  onTestFinished(async () => {
    await provider.close();
    await sim.close();
  });
  return { sim, provider };
}

const script = (steps: object[]) => JSON.stringify({ sim_script: { steps } });

async function answer(provider: Provider, text: string, buffered: boolean) {
  const fold = new Fold();
  for await (const { events } of provider.generate?.(ask(text), targetOf("cohere", "command-a"), startCall({ buffered })) ?? [])
    fold.addAll(events);
  return fold.response();
}

describe.each([false, true])("buffered: %s", (buffered) => {
  test("answers with thoughts, text, calls and counts", async () => {
    const { sim, provider } = await open();
    const steps = [{ reasoning: "hm" }, { text: "Grüße aus 東京" }, { tool_call: { name: "f", arguments: { a: 1 } } }];
    const { candidates, usage } = await answer(provider, script(steps), buffered);
    expect(candidates[0]?.message?.parts.map(({ part }) => part)).toMatchObject([
      { case: "reasoning", value: { text: "hm" } },
      { case: "text", value: "Grüße aus 東京" },
      { case: "toolCall", value: { name: "f", argumentsJson: '{"a":1}' } },
    ]);
    expect(candidates[0]?.finished?.reason).toBe(FinishReason.TOOL_CALLS);
    const [row] = sim.bill();
    expect(usage).toMatchObject({ inputTokens: row?.inputTokens, outputTokens: row?.outputTokens, basis: UsageBasis.PROVIDER });
  });

  test.each(["rate_limit", "status_503", "error_in_200", "reset", "no_end", "error_event", "malformed", "html_200"])(
    "fails on %s",
    async (fault) => {
      const { provider } = await open();
      await expect(
        answer(provider, script([{ text: "before" }, { fault }].slice(needsHead(fault) ? 1 : 0)), buffered),
      ).rejects.toMatchObject({
        reason: expect.stringMatching(/^(?:provider_error|rate_limited)$/),
        retryable: true,
      });
    },
  );

  const needsHead = (fault: string) => /^(?:rate|status|error_in|html)/.test(fault);
});

test("takes a base URL with a version", async () => {
  const { provider, sim } = await open("/v2/");
  await answer(provider, "hi", true);
  expect(sim.requests().at(-1)?.path).toBe("/v2/chat");
});

test("splits what it embeds, in order, and adds up what is billed", async () => {
  const { sim, provider } = await open();
  const inputs = Array.from({ length: 200 }, (_, index) => ({ input: { case: "text" as const, value: `text ${index}` } }));
  const request = create(EmbedRequestSchema, { model: "embed-v4.0", inputs });
  const response = await provider.embed?.(request, targetOf("cohere", "embed-v4.0"), startCall());
  expect(response?.embeddings.map(({ index }) => index)).toEqual(inputs.map((_, index) => index));
  expect(
    sim
      .requests()
      .map(({ body }) => (body as { texts: string[] }).texts.length)
      .sort(),
  ).toEqual([8, 96, 96]);
  expect(response?.usage?.inputTokens).toBe(sim.bill().reduce((sum, row) => sum + row.inputTokens, 0));
});

test("lists models with what they are for", async () => {
  const { provider } = await open();
  const models = await provider.listModels?.(new AbortController().signal);
  expect(models?.find(({ id }) => id === "sim-echo")).toMatchObject({ kinds: [ModelKind.GENERATE], contextWindow: 1_000_000 });
  expect(models?.find(({ id }) => id === "sim-echo")?.capabilities).toContain(ModelCapability.TOOLS);
  expect(models?.find(({ id }) => id === "sim-embed")?.kinds).toEqual([ModelKind.EMBED]);
});

test("a key that is not taken is the gateway's matter", async () => {
  const { provider } = await open("", "co-bad-0123456789");
  await expect(answer(provider, "hi", true)).rejects.toMatchObject({ reason: "provider_error", retryable: false, status: 502 });
});

test("what is known of its models", () => {
  const provider = createProvider({ name: "cohere", apiKey: new Secret("k") }, { version: "0" });
  onTestFinished(() => provider.close());
  expect(provider.traits("command-r-plus-08-2024")).toMatchObject({ reasoning: "none", maxOutputTokens: 4_096, tools: true });
  expect(provider.traits("command-a-reasoning-08-2025")).toMatchObject({ reasoning: "budget", maxOutputTokens: 32_768 });
  expect(provider.traits("command-a-vision-07-2025")).toMatchObject({ reasoning: "none", vision: true, tools: false });
  expect(provider.traits("embed-english-light-v3.0")).toMatchObject({ embeddingDimensions: 384 });
  expect(provider.traits("something-new")).toEqual({});
  expect(provider.claims?.("command-a-03-2025")).toBe(true);
  expect(provider.claims?.("cohere/command-a")).toBe(false);
});
