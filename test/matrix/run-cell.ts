/** Asks what one cell asks, and judges what came of it. */
import { expect } from "vitest";
import type { Gateway } from "../story/gateway.ts";
import type { Case } from "./cases.ts";
import type { Asking, DialectClient } from "./dialect.ts";
import { type Cell, isChange, judge, type Outcome } from "./judge.ts";
import { type Answer, CannotSay, type Scene } from "./scene.ts";
import { lastReceived, providerOf } from "./upstreams.ts";

export interface CellResult {
  readonly outcome: Outcome;
  readonly notes: Answer["notes"];
}

export interface Surroundings {
  /** Where the client asks. */
  readonly url: string;
  /** Where the simulator is. */
  readonly sim: Gateway["sim"];
  /** Before the name of a model: that of a gateway in between. */
  readonly prefix?: string;
}

/** Names of the contract that are no dialect's own. */
const coreWords =
  /(?:sampling|output_format|server_state|tool_result|tool_call)\b|_json\b|budget_tokens\.|\.(?:image|audio|file)\.(?:detail|mime_type|document)|parts\[\d+\]\.(?:text|image|file)\b\./;

let asked = 0;

/** Throws CannotSay where the dialect has no words for the case. */
export function ask(cell: Cell, { url, sim, prefix = "" }: Surroundings): Promise<Answer & { asking: Asking; scene: Scene }> {
  const { dialect, upstream, stream, tried } = cell;
  const provider = providerOf(upstream, dialect.name) + (tried.badKey ? "-refused" : "");
  const asking: Asking = { url, model: `${prefix}${provider}/sim-script${tried.lenient ? "-lenient" : ""}`, stream, strict: false };
  sim.clear();
  return converse(asking, placeScript(tried), dialect, tried);
}

/** Fails the test where something is lost in silence. */
export async function runCell(cell: Cell, surroundings: Surroundings): Promise<CellResult> {
  try {
    const answer = await ask(cell, surroundings);
    const outcome = judge(cell, answer, lastReceived(cell.upstream, surroundings.sim));
    if (cell.dialect.name !== "dragoman") for (const { path } of answer.notes) expect(path, "in the client's words").not.toMatch(coreWords);
    if (answer.failure === undefined && answer.notes.some(isChange)) {
      const strict = await cell.dialect.ask({ ...answer.asking, strict: true }, answer.scene);
      expect(strict.failure, "strict mode refuses what would change").toMatchObject({ status: 400, reason: "untranslatable" });
    }
    return { outcome, notes: answer.notes };
  } catch (thrown) {
    if (thrown instanceof CannotSay) return { outcome: "unsayable", notes: [] };
    throw thrown;
  }
}

/** One ask, or for a case that replays: an ask, and another with its answer and a tool's result. */
async function converse(
  asking: Asking,
  scene: Scene,
  dialect: DialectClient,
  tried: Case,
): Promise<Answer & { asking: Asking; scene: Scene }> {
  const first = await dialect.ask(asking, scene);
  if (!tried.replays || first.failure !== undefined) return { ...first, asking, scene };
  const [call] = first.candidates[0]?.calls ?? [];
  if (call === undefined) throw new CannotSay("a call");
  const next: Scene = {
    ...scene,
    turns: [...scene.turns, { role: "replay", answer: first }, { role: "tool", results: [{ id: call.id, name: call.name, text: "snow" }] }],
  };
  const second = await dialect.ask(asking, next);
  return { ...second, asking, scene: next };
}

/** The script goes where the last user text is; an id of its own keeps attempts of cells apart. */
function placeScript({ scene, script }: Case): Scene {
  const text = JSON.stringify({ sim_script: { ...script, id: `cell-${asked++}` } });
  return { ...scene, turns: scene.turns.map((turn) => (turn.role === "user" && turn.text === "(script)" ? { ...turn, text } : turn)) };
}
