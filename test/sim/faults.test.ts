/** What every fault does to a client, over real sockets. */
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type FaultName, faultNames, faults } from "../../src/sim/faults.ts";
import { type SimServer, startSim } from "../../src/sim/server/start-sim.ts";
import { chat, formats, headers, records, script, send } from "./sim-client.ts";

let sim: SimServer;
beforeAll(async () => {
  sim = await startSim({ port: 0 });
});
afterAll(() => sim.close());
beforeEach(() => sim.clear());

const streamed = (fault: object) => chat(script({ steps: [{ text: "before, " }, fault, { text: "after" }] }), { stream: true });
const first = (fault: object) => chat(script({ steps: [fault, { text: "text" }] }));

/** Everything a socket gives for a chat request, and how it ended. */
function rawAsk(body: object, forMs = 2_000): Promise<{ bytes: Buffer; ended: "end" | "reset" | "open" }> {
  const text = JSON.stringify(body);

  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const socket = connect(sim.port, "127.0.0.1");
    const settle = (ended: "end" | "reset" | "open") => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ bytes: Buffer.concat(chunks), ended });
    };
    const timer = setTimeout(() => settle("open"), forMs);
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.on("end", () => settle("end"));
    socket.on("error", () => settle("reset"));
    const lines = [
      `host: sim`,
      `connection: close`,
      `content-length: ${Buffer.byteLength(text)}`,
      ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ];
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n${text}`);
  });
}

describe("before the first byte", () => {
  test.each<[FaultName, number, string | null]>([
    ["rate_limit", 429, "2"],
    ["rate_limit_huge", 429, "1000000000"],
    ["rate_limit_negative", 429, "-1"],
    ["rate_limit_junk", 429, "soon"],
    ["rate_limit_none", 429, null],
    ["quota", 429, null],
    ["status_500", 500, null],
    ["status_503", 503, null],
    ["status_529", 529, null],
  ])("%s", async (fault, status, retryAfter) => {
    for (const { ask, format } of formats) {
      const response = await ask(sim, script({ steps: [{ fault }] }));
      expect(response.status).toBe(fault === "quota" && format === "anthropic-messages" ? 402 : status);
      expect(response.headers.get("retry-after")).toBe(retryAfter);
      expect((await response.json()).error.message).toEqual(expect.any(String));
    }
    expect(sim.bill().every(({ inputTokens, outputTokens, completed }) => inputTokens + outputTokens === 0 && !completed)).toBe(true);
  });

  test("a date, and a value of one's own", async () => {
    const dated = (await send(sim, "/v1/chat/completions", first({ fault: "rate_limit_date" }))).headers.get("retry-after");
    expect(Math.abs(Date.parse(dated ?? "") - Date.now())).toBeLessThan(5_000);
    expect((await send(sim, "/v1/chat/completions", first({ fault: "rate_limit", retry_after: 9 }))).headers.get("retry-after")).toBe("9");
  });

  test("vendors' words for overload and rate", async () => {
    const bodies = await Promise.all(
      formats.filter(({ stream }) => stream).map(async ({ ask }) => (await ask(sim, script({ steps: [{ fault: "status_529" }] }))).json()),
    );
    expect(bodies[2]).toMatchObject({ type: "error", error: { type: "overloaded_error", message: "Overloaded" } });
    const limited = await formats[6]?.ask(sim, script({ steps: [{ fault: "rate_limit" }] }));
    expect(await limited?.json()).toMatchObject({ error: { status: "RESOURCE_EXHAUSTED", details: [{ retryDelay: "2s" }] } });
  });

  test.each<[FaultName, number, string]>([
    ["html_502", 502, "text/html"],
    ["html_200", 200, "text/html"],
    ["empty_stream", 200, "application/json"],
  ])("%s", async (fault, status, type) => {
    const response = await send(sim, "/v1/chat/completions", first({ fault }));
    expect([response.status, response.headers.get("content-type")]).toEqual([status, type]);
  });

  test("an error in a 200, and bodies of the wrong kind", async () => {
    const inside = await send(sim, "/v1/chat/completions", first({ fault: "error_in_200" }));
    expect([inside.status, (await inside.json()).error.type]).toEqual([200, "server_error"]);
    const json = await send(sim, "/v1/chat/completions", { ...first({ fault: "json_for_sse" }), stream: true });
    expect([json.headers.get("content-type"), (await json.json()).object]).toEqual(["application/json; charset=utf-8", "chat.completion"]);
    const sse = await send(sim, "/v1/chat/completions", first({ fault: "sse_for_json" }));
    expect(sse.headers.get("content-type")).toContain("text/event-stream");
  });

  test("redirects elsewhere", async () => {
    const metadata = await send(sim, "/v1/chat/completions", first({ fault: "redirect_metadata" }));
    expect([metadata.status, metadata.headers.get("location")]).toEqual([307, "http://169.254.169.254/latest/meta-data/"]);
    const own = await send(sim, "/v1/chat/completions", first({ fault: "redirect", status: 308, location: "http://other.invalid/" }));
    expect([own.status, own.headers.get("location")]).toEqual([308, "http://other.invalid/"]);
  });

  test("connections that break, stall or lie", async () => {
    expect(await rawAsk(first({ fault: "refuse" }))).toMatchObject({ bytes: Buffer.alloc(0), ended: "reset" });
    expect(await rawAsk(first({ fault: "stall_before" }), 100)).toMatchObject({ bytes: Buffer.alloc(0), ended: "open" });
    const text = async (fault: FaultName, rest: object = {}) => String((await rawAsk(first({ fault, ...rest }))).bytes);
    expect(await text("length_long")).toMatch(/content-length: 1000\r\n\r\n.{1,50}$/);
    expect(await text("length_short")).toMatch(/content-length: 5\r\n\r\n.{50,}$/);
    expect(await text("chunk_junk")).toContain("\r\nzzz\r\n");
    expect((await text("repeated_headers")).match(/content-length/gi)).toHaveLength(2);
    expect((await text("informational_flood", { count: 50 })).match(/ 103 /g)).toHaveLength(50);
    expect((await text("stacked_encodings")).match(/gzip/g)).toHaveLength(1000);
    await sim.settled();
    expect(sim.bill().map(({ aborted }) => aborted)).toEqual([false, true, false, false, false, false, false, false]);
  });

  test("a compression bomb opens to what it says", async () => {
    const bytes = (await rawAsk({ ...first({ fault: "compression_bomb", bytes: 32 << 20 }) })).bytes;
    const head = String(bytes.subarray(0, 400));
    expect(head).toContain("content-encoding: gzip");
    const response = await send(sim, "/v1/chat/completions", first({ fault: "compression_bomb", bytes: 32 << 20 }));
    expect((await response.arrayBuffer()).byteLength).toBe(32 << 20);
    expect(bytes.length).toBeLessThan(100_000);
  });
});

describe("in the middle of a stream", () => {
  const ask = async (fault: object) => (await send(sim, "/v1/chat/completions", streamed(fault))).text();
  const said = (text: string) =>
    records(text)
      .map(({ choices }) => choices?.[0]?.delta?.content ?? "")
      .join("");

  test("reset comes after what was sent, or after so many bytes of what follows", async () => {
    const cut = await rawAsk(streamed({ fault: "reset" }));
    expect([cut.ended, said(String(cut.bytes))]).toEqual(["reset", "before, "]);
    const later = await rawAsk(streamed({ fault: "reset", bytes: 400 }));
    expect(later.ended).toBe("reset");
    expect(later.bytes.length).toBeGreaterThan(cut.bytes.length + 399);
    await sim.settled();
    expect(sim.bill()[0]).toMatchObject({ completed: false, aborted: false, outputTokens: 2 });
  });

  test("stall keeps the connection open and silent until the client goes", async () => {
    const stalled = await rawAsk(streamed({ fault: "stall" }), 150);
    expect([stalled.ended, said(String(stalled.bytes))]).toEqual(["open", "before, "]);
    await sim.settled();
    expect(sim.bill()).toMatchObject([{ aborted: true, completed: false, outputTokens: 2 }]);
  });

  test.each<[FaultName, (text: string) => void]>([
    ["malformed", (text) => expect(text).toContain('data: {"sim": this is no JSON\n\n')],
    ["truncated_json", (text) => expect(text).toMatch(/\{"cut$/)],
    ["no_end", (text) => expect([said(text), text.includes("[DONE]")]).toEqual(["before, ", false])],
    ["error_event", (text) => expect([records(text).at(-1).error.type, text.includes("[DONE]")]).toEqual(["server_error", false])],
    ["unknown_event", (text) => expect([said(text), text.includes("event: sim.unknown")]).toEqual(["before, after", true])],
    ["unknown_field", (text) => expect(records(text).at(-1).sim_unknown).toEqual({ nested: [1, "two"] })],
    ["half_surrogate", (text) => expect(text).toContain('"content":"\\ud83d"')],
    ["double_end", (text) => expect(text.match(/\[DONE\]/g)).toHaveLength(2)],
    ["data_after_end", (text) => expect(text.lastIndexOf("befo")).toBeGreaterThan(text.indexOf("[DONE]"))],
    ["no_blank_line", (text) => expect(text).toMatch(/\[DONE\]\n$/)],
    ["cr", (text) => expect([said(text), text.slice(text.indexOf('"afte')).includes("\n")]).toEqual(["before, after", false])],
    ["crlf_split", (text) => expect([said(text), text.endsWith("[DONE]\r\n\r\n")]).toEqual(["before, after", true])],
    ["nul", (text) => expect(text).toContain(": \u0000 comment\nid: \u0000\n")],
    ["empty_lines", (text) => expect(text.match(/^data:$/gm)).toHaveLength(100_000)],
    ["comment_flood", (text) => expect(text.match(/^: sim$/gm)).toHaveLength(100_000)],
    ["ping_flood", (text) => expect(text.match(/^: ping$/gm)).toHaveLength(10_000)],
    ["huge_event", (text) => expect(text.length).toBeGreaterThan(16 << 20)],
  ])("%s", async (fault, look) => {
    look(await ask({ fault }));
  });

  test("bytes: no UTF-8, a byte order mark, a drip, characters in pieces, an endless line", async () => {
    expect((await rawAsk(streamed({ fault: "bad_utf8" }))).bytes.includes(Buffer.from([0xff, 0xfe, 0xc3, 0x28]))).toBe(true);
    const marked = await rawAsk({ ...first({ fault: "bom" }), stream: true });
    expect(marked.bytes.includes(Buffer.from("\ufeffdata:"))).toBe(true);
    const dripped = await ask({ fault: "drip", bytes: 40, interval_ms: 1 });
    expect(said(dripped)).toBe("before, after");
    const split = await send(
      sim,
      "/v1/chat/completions",
      chat(script({ steps: [{ fault: "split_utf8" }, { text: "Größe 世界" }] }), { stream: true }),
    );
    expect(said(await split.text())).toBe("Größe 世界");
    const endless = await ask({ fault: "endless_line", bytes: 1 << 20 });
    expect(endless).toMatch(/data: x{1000}/);
    expect(endless.length).toBeGreaterThan(1 << 20);
  });

  test.each<[FaultName, unknown[]]>([
    ["usage_absent", []],
    ["usage_zero", [0]],
    ["usage_negative", [-4]],
    ["usage_huge", [2 ** 53]],
    ["usage_string", ["3"]],
    ["usage_repeated", [3, 3, 3]],
    ["usage_falling", [9, 6, 3]],
  ])("%s", async (fault, counts) => {
    const body = {
      ...chat(script({ steps: [{ fault }, { text: "twelve chars" }] })),
      stream: true,
      stream_options: { include_usage: true },
    };
    const text = await (await send(sim, "/v1/chat/completions", body)).text();
    expect(records(text).flatMap(({ usage }) => (usage ? [usage.completion_tokens] : []))).toEqual(counts);
    expect(sim.bill()).toMatchObject([{ outputTokens: 3 }]);
  });

  test("an error of the script is the vendor's own record", async () => {
    const step = script({ steps: [{ text: "half" }, { error: { status: 529 } }] });
    const last = await Promise.all(
      formats.filter(({ stream }) => stream).map(async ({ ask: asked }) => records(await (await asked(sim, step)).text()).at(-1)),
    );
    expect(last[0]).toMatchObject({ error: { type: "server_error" } });
    expect(last[1]).toMatchObject({ type: "response.failed", response: { status: "failed", error: { code: "server_error" } } });
    expect(last[2]).toMatchObject({ type: "error", error: { type: "overloaded_error" } });
    expect(last[3]).toMatchObject({ error: { status: "UNAVAILABLE" } });
  });
});

test("every fault plays as a model's name in every format, and the sim serves on", async () => {
  // Those are slow by nature, and played above.
  const heavy: FaultName[] = ["huge_event", "endless_line", "compression_bomb", "drip", "informational_flood"];
  const signal = () => AbortSignal.timeout(150);
  for (const name of faultNames.filter((one) => !heavy.includes(one))) {
    for (const stream of [true, false]) {
      const body = chat("an echo of some length", { model: `sim-fault-${name}`, stream });
      const outcome = await send(sim, "/v1/chat/completions", body, { signal: signal() })
        .then((response) => response.text())
        .catch(() => "");
      const answered = outcome.includes("[DONE]") || outcome.includes('"chat.completion"');
      if (faults[name].place === "head") expect([name, answered]).toEqual([name, false]);
    }
  }
  expect((await send(sim, "/v1/chat/completions", chat("still here"))).status).toBe(200);
  await sim.settled();
});
