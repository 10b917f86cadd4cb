/**
 * Every case x every dialect x every upstream format, streamed and buffered. A cell asks by the vendor's own SDK, looks at
 * what the simulated vendor was told and at what came back, and fails where something is missing that no report names.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Gateway, startGateway } from "../story/gateway.ts";
import { type Case, cases } from "./cases.ts";
import type { Asking, DialectClient } from "./dialect.ts";
import { anthropic } from "./dialect-anthropic.ts";
import { chat } from "./dialect-chat.ts";
import { completions } from "./dialect-completions.ts";
import { gemini } from "./dialect-gemini.ts";
import { responses } from "./dialect-responses.ts";
import { createRpcClient } from "./dialect-rpc.ts";
import { type Cell, isChange, judge, type Outcome } from "./judge.ts";
import { type Finding, summarize, writeManual } from "./report.ts";
import { type Answer, CannotSay, type Scene } from "./scene.ts";
import { lastReceived, providerOf, providersOf, type Upstream, upstreams } from "./upstreams.ts";

const manual = join(import.meta.dirname, "../../docs/translation.md");

let gateway: Gateway;
let running: Upstream | undefined;
const dialects: readonly DialectClient[] = [completions, chat, responses, anthropic, gemini, createRpcClient(() => running?.name ?? "")];
const findings: Finding[] = [];
let asked = 0;

beforeAll(async () => {
  gateway = await startGateway({ configure: (sim) => ({ providers: providersOf(sim) }) });
});

afterAll(async () => {
  await gateway?.close();
  for (const line of summarize(findings)) console.log(line);
});

for (const dialect of dialects) {
  for (const upstream of upstreams) {
    for (const stream of [true, false]) {
      describe(`${dialect.name} -> ${upstream.name}, ${stream ? "streamed" : "buffered"}`, () => {
        test.each(cases)("$name", async (tried) => {
          const cell: Cell = { dialect, upstream, stream, tried };
          running = upstream;
          const { outcome, notes } = await run(cell);
          findings.push({ dialect: dialect.name, format: upstream.name, tried: tried.name, stream, outcome, notes });
        });
      });
    }
  }
}

test("docs/translation.md says what was found, and nothing else", () => {
  const whole = findings.length === dialects.length * upstreams.length * 2 * cases.length;
  if (!whole) {
    console.log("skipped: docs/translation.md is compared when every cell ran and none failed");
    return;
  }
  const text = writeManual(findings);
  if (process.env.UPDATE_MANUAL === "1") writeFileSync(manual, text);
  expect(readFileSync(manual, "utf8")).toBe(text);
});

async function run(cell: Cell): Promise<{ outcome: Outcome; notes: Answer["notes"] }> {
  const { dialect, upstream, stream, tried } = cell;
  const provider = providerOf(upstream, dialect.name) + (tried.badKey ? "-refused" : "");
  const asking: Asking = { url: gateway.url, model: `${provider}/sim-script${tried.lenient ? "-lenient" : ""}`, stream, strict: false };
  try {
    const scene = placeScript(tried);
    const answer = await converse(asking, scene, dialect, tried);
    const received = lastReceived(upstream, gateway.sim);
    const outcome = judge(cell, answer, received);
    if (answer.failure === undefined && answer.notes.some(isChange)) {
      const strict = await dialect.ask({ ...asking, strict: true }, answer.scene);
      expect(strict.failure, "strict mode refuses what would change").toMatchObject({ status: 400, reason: "untranslatable" });
    }
    return { outcome, notes: answer.notes };
  } catch (thrown) {
    if (thrown instanceof CannotSay) return { outcome: "unsayable", notes: [] };
    throw thrown;
  }
}

/** One ask, or for a case that replays: an ask, and another with its answer and a tool's result. */
async function converse(asking: Asking, scene: Scene, dialect: DialectClient, tried: Case): Promise<Answer & { scene: Scene }> {
  gateway.sim.clear();
  const first = await dialect.ask(asking, scene);
  if (!tried.replays || first.failure !== undefined) return { ...first, scene };
  const [call] = first.candidates[0]?.calls ?? [];
  if (call === undefined) throw new CannotSay("a call");
  const next: Scene = {
    ...scene,
    turns: [...scene.turns, { role: "replay", answer: first }, { role: "tool", results: [{ id: call.id, name: call.name, text: "snow" }] }],
  };
  const second = await dialect.ask(asking, next);
  return { ...second, scene: next };
}

/** The script goes where the last user text is; an id of its own keeps attempts of cells apart. */
function placeScript({ scene, script }: Case): Scene {
  const text = JSON.stringify({ sim_script: { ...script, id: `cell-${asked++}` } });
  return { ...scene, turns: scene.turns.map((turn) => (turn.role === "user" && turn.text === "(script)" ? { ...turn, text } : turn)) };
}
