import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { chat, claude, gemini, headers, script, send } from "./sim-client.ts";

let sim: SimServer;
beforeAll(async () => {
  sim = await startSim({ port: 0 });
});
afterAll(() => sim.close());
beforeEach(() => sim.clear());

const slow = script({ steps: [{ text: "x".repeat(400) }], tokens_per_second: 100 });

describe("a client that leaves", () => {
  test.each<[string, string, object]>([
    ["a chat stream", "/v1/chat/completions", chat(slow, { stream: true })],
    ["a message stream", "/v1/messages", claude(slow, { stream: true })],
    ["a gemini stream", "/v1beta/models/m:streamGenerateContent?alt=sse", gemini(slow)],
    ["a response stream", "/v1/responses", { model: "m", input: slow, stream: true }],
  ])("pays for %s up to then", async (_, path, body) => {
    const controller = new AbortController();
    const response = await send(sim, path, body, { signal: controller.signal });
    const reader = response.body?.getReader();
    for (let reads = 0; reads < 5; reads++) await reader?.read();
    controller.abort();
    const left = performance.now();
    await sim.settled();
    const [row] = sim.bill();
    expect(row).toMatchObject({ aborted: true, completed: false, status: 200, inputTokens: expect.any(Number) });
    expect(row?.outputTokens).toBeGreaterThanOrEqual(3);
    expect(row?.outputTokens).toBeLessThan(60);
    expect(row?.inputTokens).toBeGreaterThan(4);
    expect((row?.socketClosedAt ?? Number.POSITIVE_INFINITY) - left).toBeLessThan(250);
    expect(row?.abortedAtMs).toBeGreaterThan(0);
  });

  test("pays for the input before the first token, and for what a buffered answer had made", async () => {
    for (const body of [chat(script({ steps: [{ text: "x" }], ttft_ms: 5_000 }), { stream: true }), chat(slow)]) {
      await expect(send(sim, "/v1/chat/completions", body, { signal: AbortSignal.timeout(300) })).rejects.toThrow();
    }
    await sim.settled();
    const [before, buffered] = sim.bill();
    expect(before).toMatchObject({ aborted: true, status: 0, outputTokens: 0 });
    expect(before?.inputTokens).toBeGreaterThan(0);
    expect(buffered).toMatchObject({ aborted: true, status: 0 });
    expect(buffered?.outputTokens).toBeGreaterThan(0);
  });
});

test("a slow reader holds the sim back", async () => {
  const body = JSON.stringify(chat(script({ steps: [{ flood_bytes: 200 << 20 }] }), { stream: true }));
  const socket = connect(sim.port, "127.0.0.1");
  socket.pause();
  const lines = Object.entries({ host: "sim", "content-length": String(body.length), ...headers }).map(
    ([name, value]) => `${name}: ${value}`,
  );
  socket.write(`POST /v1/chat/completions HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${body}`);
  await expect.poll(() => sim.bill()[0]?.bytesWritten ?? 0, { timeout: 5_000 }).toBeGreaterThan(100_000);
  await sleep(300);
  const held = sim.bill()[0]?.bytesWritten ?? 0;
  await sleep(200);
  expect(sim.bill()[0]?.bytesWritten).toBe(held);
  expect(held).toBeLessThan(32 << 20);
  socket.destroy();
  await sim.settled();
  expect(sim.bill()).toMatchObject([{ aborted: true }]);
});

test("the books are read and cleared over HTTP", async () => {
  await send(sim, "/v1/chat/completions", chat("12345678"));
  const { bill } = await (await fetch(`${sim.url}/sim/bill`)).json();
  expect(bill).toMatchObject([
    { format: "openai-chat", model: "sim-any", key: "0001", status: 200, inputTokens: 6, outputTokens: 2, completed: true, aborted: false },
  ]);
  const { requests } = await (await fetch(`${sim.url}/sim/requests`)).json();
  expect(requests).toMatchObject([{ id: bill[0].id, method: "POST", body: { model: "sim-any" }, headers: { authorization: "***0001" } }]);
  expect((await fetch(`${sim.url}/sim/bill`, { method: "DELETE" })).status).toBe(204);
  expect([sim.bill(), sim.requests()]).toEqual([[], []]);
});

test("the books keep the newest only", async () => {
  const small = await startSim({ port: 0, keep: 3 });
  for (let asked = 0; asked < 8; asked++) await send(small, "/v1/chat/completions", chat(`${asked}`));
  const bodies = small.requests().map(({ body }) => (body as ReturnType<typeof chat>).messages[0]?.content);
  expect(bodies).toEqual(["5", "6", "7"]);
  expect(small.bill()).toHaveLength(3);
  await small.close();
});
