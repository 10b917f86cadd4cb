/** Agents as people run them: ten turns of thinking and tool use in one conversation, whose history grows with every turn. */
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "../story/gateway.ts";
import { HeaderTap } from "./dialect.ts";
import { list } from "./upstream-view.ts";
import { bodiesAt, providersOf, type Upstream, upstreams } from "./upstreams.ts";

const turns = 10;
const parameters = { type: "object" as const, properties: { path: { type: "string" } }, required: ["path"], additionalProperties: false };

let gateway: Gateway;

beforeAll(async () => {
  gateway = await startGateway({ configure: (sim) => ({ providers: providersOf(sim) }) });
});

afterAll(() => gateway?.close());

function task(id: string): string {
  const reads = Array.from({ length: turns }, (_, turn) => ({
    steps: [
      { reasoning: `Step ${turn}: I read file ${turn}.` },
      { tool_call: { name: "read_file", arguments: { path: `src/${turn}.ts` } } },
    ],
  }));
  return JSON.stringify({ sim_script: { id, turns: [...reads, { steps: [{ reasoning: "Done." }, { text: "All files are fine." }] }] } });
}

function upstreamOf(name: string): Upstream {
  const found = upstreams.find((upstream) => upstream.name === name);
  if (found === undefined) throw new Error(`there is no upstream ${name}`);
  return found;
}

/** The signatures in the history of each request, one list a request. */
function signaturesAtSim({ read }: Upstream): (readonly string[])[] {
  return bodiesAt(gateway.sim).map((body) => read(body).signatures ?? []);
}

/** Every request holds the signatures of the one before, unchanged and in order, and more from turn to turn. */
function expectGrowing(all: readonly (readonly string[])[]): void {
  expect(all).toHaveLength(turns + 1);
  for (const [turn, signatures] of all.entries()) {
    expect(signatures, `request ${turn}`).toHaveLength(turn);
    expect(signatures.slice(0, -1)).toEqual(all[turn - 1] ?? []);
  }
}

describe.each(["anthropic-messages", "gemini"])("a Claude-style loop on %s", (format) => {
  test("keeps every signature, and cache markers or says that they are left out", async () => {
    const upstream = upstreamOf(format);
    const tap = new HeaderTap(false);
    const client = new Anthropic({ baseURL: gateway.url, apiKey: "none", maxRetries: 0, fetch: tap.fetch });
    const messages: Anthropic.MessageParam[] = [{ role: "user", content: [{ type: "text", text: task(`claude-${format}`) }] }];
    gateway.sim.clear();
    let final = "";
    for (let turn = 0; turn <= turns; turn++) {
      const answer = await client.messages
        .stream({
          model: `${upstream.provider}/sim-script`,
          max_tokens: 8000,
          thinking: { type: "adaptive" },
          system: [{ type: "text", text: "You review files.", cache_control: { type: "ephemeral", ttl: "1h" } }],
          tools: [
            { name: "read_file", description: "Reads a file.", input_schema: parameters, cache_control: { type: "ephemeral", ttl: "1h" } },
          ],
          messages,
        })
        .finalMessage();
      messages.push({ role: "assistant", content: answer.content });
      const results = answer.content.flatMap((block) =>
        block.type === "tool_use"
          ? [
              {
                type: "tool_result" as const,
                tool_use_id: block.id,
                content: `contents of ${JSON.stringify(block.input)}`,
                cache_control: { type: "ephemeral" as const, ttl: "5m" as const },
              },
            ]
          : [],
      );
      if (format === "gemini")
        expect(tap.notes().some(({ action, path }) => action === "dropped" && path.includes("cache_control"))).toBe(true);
      else
        expect(
          tap.notes().filter(({ path }) => path.includes("cache")),
          `notes of turn ${turn}`,
        ).toEqual([]);
      final = answer.content.map((block) => (block.type === "text" ? block.text : "")).join("");
      if (results.length === 0) break;
      // The newest marker is the only one in the conversation, as such agents keep it below the vendor's four.
      for (const message of messages) for (const part of list(message.content)) delete (part as { cache_control?: unknown }).cache_control;
      messages.push({ role: "user", content: results });
    }
    expect(final).toBe("All files are fine.");
    expectGrowing(signaturesAtSim(upstream));
    if (format === "gemini") return;
    for (const [turn, body] of bodiesAt(gateway.sim).entries()) {
      expect(upstream.read(body).cache, `request ${turn}`).toEqual(turn === 0 ? [3600, 3600] : [3600, 3600, 300]);
    }
  });
});

describe.each(["anthropic-messages", "gemini", "openai-responses"])("a Responses loop on %s", (format) => {
  test.each([
    { state: "history sent back", stored: false },
    { state: "previous_response_id", stored: true },
  ])("keeps every signature and cache marker with $state", async ({ stored }) => {
    const upstream = upstreamOf(format);
    const client = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: "none", maxRetries: 0 });
    const marked = {
      type: "input_text",
      text: task(`responses-${format}-${stored}`),
      prompt_cache_breakpoint: { mode: "explicit", ttl: "30m" },
    };
    const history: unknown[] = [{ role: "user", content: [marked] }];
    let input = history;
    let previous: string | undefined;
    gateway.sim.clear();
    let final = "";
    for (let turn = 0; turn <= turns; turn++) {
      const stream = client.responses.stream({
        model: `${upstream.provider}/sim-script`,
        reasoning: { effort: "low", summary: "auto" },
        tools: [{ type: "function", name: "read_file", description: "Reads a file.", parameters, strict: true }],
        ...(stored ? { store: true, previous_response_id: previous ?? null } : { store: false, include: ["reasoning.encrypted_content"] }),
        input: input as OpenAI.Responses.ResponseInput,
      });
      const answer = await stream.finalResponse();
      previous = answer.id;
      final = answer.output_text;
      const results = answer.output.flatMap((item) =>
        item.type === "function_call"
          ? [{ type: "function_call_output", call_id: item.call_id, output: `contents of ${item.arguments}` }]
          : [],
      );
      if (results.length === 0) break;
      history.push(...answer.output, ...results);
      input = stored ? results : history;
    }
    expect(final).toBe("All files are fine.");
    expectGrowing(signaturesAtSim(upstream));
    if (format === "gemini") return;
    if (format === "anthropic-messages") {
      const thoughts = list(bodiesAt(gateway.sim).at(-1)?.messages).flatMap(({ content }) =>
        list(content).flatMap(({ type, thinking }) => (type === "thinking" ? [thinking] : [])),
      );
      expect(thoughts).toEqual(Array.from({ length: turns }, (_, turn) => `Step ${turn}: I read file ${turn}.`));
    }
    const lifetime = format === "anthropic-messages" ? 3600 : 1800;
    for (const body of bodiesAt(gateway.sim)) expect(upstream.read(body).cache).toEqual([lifetime]);
  });
});
