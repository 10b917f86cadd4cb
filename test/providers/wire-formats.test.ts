import { create } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import { EmbedRequestSchema } from "../../gen/dragoman/v1/embed_pb.ts";
import { FinishReason } from "../../gen/dragoman/v1/generate_pb.ts";
import { Fold } from "../../src/core/fold.ts";
import type { Provider } from "../../src/core/provider.ts";
import { Secret } from "../../src/core/secret.ts";
import { createProvider } from "../../src/providers/registry.ts";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { ask, startCall, targetOf } from "./calls.ts";

/** Every vendor's own wire format over a real socket, answered by the stand-alone simulated upstream. */
const vendors = [
  ["openai", "/v1"],
  ["anthropic", ""],
  ["gemini", ""],
  ["cohere", ""],
  ["openai-compatible", "/v1"],
] as const;

async function open(type: string, path: string): Promise<{ sim: SimServer; provider: Provider }> {
  const sim = await startSim({ port: 0 });
  const provider = createProvider({ name: type, baseUrl: sim.url + path, apiKey: new Secret("sk-test-0123456789") }, { version: "0" });
  onTestFinished(async () => {
    await provider.close();
    await sim.close();
  });
  return { sim, provider };
}

describe.each(vendors)("%s", (type, path) => {
  test.each([false, true])("answers, buffered: %s", async (buffered) => {
    const { sim, provider } = await open(type, path);
    const fold = new Fold();
    const call = startCall({ buffered });
    for await (const { events } of provider.generate?.(ask("Grüße aus 東京"), targetOf(type, "sim-echo"), call) ?? []) fold.addAll(events);
    const [candidate] = fold.response().candidates;
    expect(candidate?.message?.parts[0]?.part).toEqual({ case: "text", value: "Grüße aus 東京" });
    expect(candidate?.finished?.reason).toBe(FinishReason.STOP);
    expect(call.attempt.httpStatus).toBe(200);
    expect(sim.bill()).toHaveLength(1);
  });

  test("lists its models", async () => {
    const { provider } = await open(type, path);
    const models = await provider.listModels?.(new AbortController().signal);
    expect(models?.map(({ id }) => id)).toContain("sim-echo");
  });
});

describe.each(vendors.filter(([type]) => type !== "anthropic"))("%s", (type, path) => {
  test("makes vectors", async () => {
    const { provider } = await open(type, path);
    const request = create(EmbedRequestSchema, {
      model: "sim-embed",
      inputs: [{ input: { case: "text", value: "a" } }, { input: { case: "text", value: "b" } }],
    });
    const response = await provider.embed?.(request, targetOf(type, "sim-embed"), startCall());
    expect(response?.embeddings.map(({ index }) => index)).toEqual([0, 1]);
    expect(response?.embeddings[0]?.values.length).toBeGreaterThan(1);
  });
});
