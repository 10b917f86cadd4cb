/** Prices over the admin port: who may set them, which one holds, and that rows can be priced again. */
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { PriceOrigin, PriceService, type RerateRowsResponse } from "../../../gen/dragoman/admin/v1/price_service_pb.ts";
import { AccessRole } from "../../../gen/dragoman/v1/auth_pb.ts";
import { GenerateRequestSchema, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import { InferenceService } from "../../../gen/dragoman/v1/inference_service_pb.ts";
import { type AdminGateway, otherTenant, startAdminGateway } from "./admin-gateway.ts";

let gateway: AdminGateway;
const begun = Date.now() - 60_000;

beforeAll(async () => {
  gateway = await startAdminGateway({
    prices: [{ provider: "sim", model: "script", rates: { input: "3" }, source: "the contract" }],
    providers: { openai: { api_key: "sk-only-for-its-prices-0001", base_url: "http://127.0.0.1:9/v1", models: ["gpt-4o"] } },
  });
});
afterAll(() => gateway?.close());

const prices = (key = gateway.root) => gateway.admin(PriceService, key);
const tiers = (input: string, output = "0") => [{ rates: { input, output } }];

let asked = 0;

async function ask(text: string) {
  asked++;
  const generate = create(GenerateRequestSchema, {
    model: "sim/echo",
    messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: text } }] }],
  });
  return gateway.data(InferenceService, gateway.root).complete({ generate });
}

async function rerate(request: { dryRun?: boolean; model?: string }): Promise<RerateRowsResponse> {
  let last: RerateRowsResponse | undefined;
  const stream = prices().rerateRows({ from: timestampFromMs(begun), until: timestampFromMs(Date.now() + 60_000), ...request });
  for await (const progress of stream) last = progress;
  if (last === undefined) throw new Error("nothing came");
  expect(last.done).toBe(true);
  return last;
}

describe("a stored price", () => {
  test("holds as soon as it is made, until it is removed; while there is none the cost is not known", async () => {
    expect((await ask("one")).settled?.costNanoUsd).toBeUndefined();
    const { price } = await prices().createPrice({ tenant: "*", price: { provider: "sim", model: "echo", tiers: tiers("1", "2") } });
    const { usage, settled } = await ask("two words");
    const expected = BigInt((usage?.inputTokens ?? 0) + 2 * (usage?.outputTokens ?? 0)) * 1_000n;
    expect(settled).toMatchObject({ costNanoUsd: expected, pricingVersion: `store:${price?.id}@${price?.etag}` });
    expect(settled?.attempts[0]).toMatchObject({ costNanoUsd: expected, pricingVersion: settled?.pricingVersion });
    const { models } = await gateway.data(InferenceService, gateway.root).listModels({ ids: ["sim/echo"] });
    expect(models[0]).toMatchObject({ inputPriceNanoUsdPer1m: 1_000_000_000n, outputPriceNanoUsdPer1m: 2_000_000_000n });
    const headers = { authorization: `Bearer ${gateway.root}` };
    const listed = await (await fetch(`${gateway.app.dataUrl}/v1/models/sim/echo`, { headers })).json();
    expect(listed).toMatchObject({ input_cost_per_1m: 1, output_cost_per_1m: 2 });
    await prices().deletePrice({ tenant: "*", id: price?.id ?? "" });
    expect((await ask("three")).settled?.costNanoUsd).toBeUndefined();
  });

  test("is read, listed and changed by mask; a change that came too late is refused", async () => {
    const made = (await prices().createPrice({ price: { provider: "sim", model: "x-*", tiers: tiers("0.075"), source: "a list" } })).price;
    const { id = "", etag = "" } = made ?? {};
    expect(made).toMatchObject({ tenant: "default", tiers: [{ aboveInputTokens: 0, rates: { input: "0.075", output: "0" } }] });
    const changed = await prices().updatePrice({
      price: { id, source: "another", model: "ignored" },
      updateMask: { paths: ["source"] },
      etag,
    });
    expect(changed.price).toMatchObject({ source: "another", model: "x-*" });
    const late = prices().updatePrice({ price: { id, source: "late" }, updateMask: { paths: ["source"] }, etag });
    await expect(late).rejects.toMatchObject({ code: Code.Aborted });
    expect((await prices().getPrice({ id })).price).toEqual(changed.price);
    expect((await prices().listPrices({ provider: "sim" })).prices.map((price) => price.id)).toContain(id);
    expect((await prices().listPrices({ provider: "openai" })).prices).toEqual([]);
    await prices().deletePrice({ id });
    await expect(prices().getPrice({ id })).rejects.toMatchObject({ code: Code.NotFound });
  });

  test.each<[string, object]>([
    ["price.tiers", { provider: "sim", model: "x" }],
    ["price.provider", { model: "x", tiers: tiers("1") }],
    ["price.tiers[0].rates", { provider: "sim", model: "x", tiers: [{ rates: { inputs: "1" } }] }],
    ["price.tiers[0].rates", { provider: "sim", model: "x", tiers: [{ rates: { input: "-1" } }] }],
    ["price.tiers[1].above_input_tokens", { provider: "sim", model: "x", tiers: [...tiers("1"), ...tiers("2")] }],
    ["price.model", { provider: "sim", model: "*a*b*c*d*", tiers: tiers("1") }],
  ])("is refused where it makes no sense: %s", async (field, price) => {
    await expect(prices().createPrice({ price })).rejects.toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: expect.stringContaining(field),
    });
  });

  test("is not set by those who pay it", async () => {
    const admin = prices(await gateway.keyOf(AccessRole.ADMIN, otherTenant));
    const price = { provider: "sim", model: "echo", tiers: tiers("0") };
    await expect(admin.createPrice({ price })).rejects.toMatchObject({ code: Code.PermissionDenied });
    await expect(admin.createPrice({ tenant: "*", price })).rejects.toMatchObject({ code: Code.PermissionDenied });
    await expect(admin.listPrices({ tenant: "default" })).rejects.toMatchObject({ code: Code.NotFound });
    expect((await admin.listPrices({ tenant: "*" })).prices).toEqual([]);
    const rerating = async () => {
      for await (const _ of admin.rerateRows({ from: timestampFromMs(0) }));
    };
    await expect(rerating()).rejects.toMatchObject({ code: Code.PermissionDenied });
  });
});

test("what models cost, and who says so, page by page", async () => {
  const { prices: all } = await prices().listEffectivePrices({ pageSize: 1_000 });
  const of = (provider: string, model: string) => all.find((price) => price.provider === provider && price.model === model);
  expect(of("openai", "gpt-4o")).toMatchObject({
    origin: PriceOrigin.PACKAGE,
    tiers: [{ rates: expect.objectContaining({ input: "2.5", output: "10", cache_read: "1.25", "batch.input": "1.25" }) }],
    pricingVersion: expect.stringMatching(/^genai-prices@/),
  });
  expect(of("sim", "script")).toMatchObject({ origin: PriceOrigin.CONFIG, source: "the contract", tiers: [{ rates: { input: "3" } }] });
  expect(of("sim", "echo")).toMatchObject({ origin: PriceOrigin.UNSPECIFIED, tiers: [] });
  const paged: string[] = [];
  for (let pageToken = ""; ; ) {
    const page = await prices().listEffectivePrices({ pageSize: 2, pageToken });
    paged.push(...page.prices.map(({ provider, model }) => `${provider}/${model}`));
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  expect(paged).toEqual(all.map(({ provider, model }) => `${provider}/${model}`));
  const at = timestampFromMs(Date.parse("2025-06-01T00:00:00Z"));
  const { prices: old } = await prices().listEffectivePrices({ provider: "openai", model: "o3", at });
  expect(old[0]?.tiers[0]?.rates).toMatchObject({ input: "10" });
});

test("rows of the past are priced by what holds for their time: first said, then done", async () => {
  await ask("to be priced later");
  // Rows reach the store behind the answers.
  const rows = BigInt(asked);
  await vi.waitFor(async () => expect((await rerate({ dryRun: true, model: "echo" })).rows).toBe(rows), { timeout: 5_000, interval: 50 });
  const { price } = await prices().createPrice({ tenant: "*", price: { provider: "sim", model: "echo", tiers: tiers("1000", "1000") } });
  const said = await rerate({ dryRun: true, model: "echo" });
  expect(said).toMatchObject({ rows, unpriced: 0n });
  expect(said.changed).toBeGreaterThan(0n);
  const done = await rerate({ model: "echo" });
  expect(done).toMatchObject({ changed: said.changed, costBeforeNanoUsd: said.costBeforeNanoUsd, costAfterNanoUsd: said.costAfterNanoUsd });
  expect(await rerate({ model: "echo" })).toMatchObject({ changed: 0n, costBeforeNanoUsd: done.costAfterNanoUsd });
  await prices().deletePrice({ tenant: "*", id: price?.id ?? "" });
});
