/**
 * Every fault the simulator knows, through every wire format, streamed and buffered: the client gets a success or a
 * visible, well-formed failure, in time, and the gateway serves on (reliability.md 4.2).
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FaultName, faultNames, mustComeFirst } from "../../src/sim/faults.ts";
import { type Gateway, startGateway } from "./gateway.ts";

const scaled = { first_byte_timeout_seconds: 0.6, idle_timeout_seconds: 0.6, total_timeout_seconds: 5 };
/** A timeout and what a busy machine adds. */
const answersWithinMs = 9_000;

let gateway: Gateway;
beforeAll(async () => {
  gateway = await startGateway({ upstream: scaled });
});
afterAll(() => gateway?.close());

/** These must come out whole: they are strange, not wrong. */
const harmless: ReadonlySet<FaultName> = new Set([
  ...(["unknown_event", "unknown_field", "split_utf8", "cr", "crlf_split", "bom", "nul", "double_end", "data_after_end"] as const),
  ...(["usage_absent", "usage_zero", "usage_negative", "usage_huge", "usage_string", "usage_repeated", "usage_falling"] as const),
]);

const models = { "openai-chat": "chat", "anthropic-messages": "claude", gemini: "gem" };
let asked = 0;

async function ask(provider: string, fault: FaultName, stream: boolean): Promise<{ status: number; text: string; ms: number }> {
  const before = { text: "some words before it " };
  const steps = mustComeFirst(fault) ? [{ fault }, before] : [before, { fault }, { text: "and some after" }];
  const script = { sim_script: { steps, id: `fault-${asked++}` } };
  const begin = performance.now();
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: `${provider}/sim-script`, stream, messages: [{ role: "user", content: JSON.stringify(script) }] }),
  });
  return { status: response.status, text: await response.text(), ms: performance.now() - begin };
}

describe.each(Object.entries(models))("%s", (_, provider) => {
  describe.each([
    ["streamed", true],
    ["buffered", false],
  ])("%s", (_, stream) => {
    test.each(faultNames)("%s", async (fault) => {
      const { status, text, ms } = await ask(provider, fault, stream);
      expect(ms).toBeLessThan(answersWithinMs);
      if (status !== 200) {
        expect(JSON.parse(text).error).toMatchObject({ message: expect.any(String), type: expect.any(String) });
        expect(status).toBeGreaterThanOrEqual(400);
        if (stream) expect(harmless.has(fault)).toBe(false);
        return;
      }
      if (!stream) {
        expect(JSON.parse(text)).toMatchObject({ object: "chat.completion", choices: [{ finish_reason: expect.any(String) }] });
        return;
      }
      const records = text.trimEnd().split("\n\n");
      const last = records.at(-1) ?? "";
      if (last === "data: [DONE]") {
        // A success says so completely: a finish reason, and the words on both sides of the fault.
        expect(text).toMatch(/"finish_reason":"(?:stop|length)"/);
        const said = records
          .slice(0, -1)
          .map((record) => JSON.parse(record.slice(6)).choices[0]?.delta?.content ?? "")
          .join("");
        expect(said.startsWith("some words before it ")).toBe(true);
      } else {
        expect(harmless.has(fault)).toBe(false);
        expect(JSON.parse(last.slice(6)).error.message).toEqual(expect.any(String));
        expect(text).not.toContain("[DONE]");
      }
    });
  });
});

test("after all this the gateway serves, and nothing was a fault of its own", async () => {
  const response = await fetch(`${gateway.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "gem/sim-echo", messages: [{ role: "user", content: "still here" }] }),
  });
  expect((await response.json()).choices[0].message.content).toBe("still here");
  expect(gateway.lines.filter(({ level, fields }) => level === "error" || fields.error_reason === "INTERNAL")).toEqual([]);
});
