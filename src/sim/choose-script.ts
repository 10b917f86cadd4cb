/** Which script answers a prompt: the one the user wrote into it, the one the model's name stands for, or an echo. */
import { type Fault, faults } from "./faults.ts";
import { instanceOf } from "./instance.ts";
import { type Behaviour, behaviourOf } from "./model-name.ts";
import type { Prompt } from "./prompt.ts";
import { findScript } from "./read-script.ts";
import { type Script, ScriptError, type ScriptStep, scriptOf, textScript } from "./script.ts";
import { codePointsOf, firstCodePoints } from "./tokens.ts";

/** Counts how often something was tried, forgetting the oldest. */
export class Attempts {
  readonly #counts = new Map<string, number>();
  readonly #most: number;

  constructor(most = 10_000) {
    this.#most = most;
  }

  /** From 0. */
  next(key: string): number {
    const count = this.#counts.get(key) ?? 0;
    this.#counts.delete(key);
    this.#counts.set(key, count + 1);
    const [oldest] = this.#counts.keys();
    if (this.#counts.size > this.#most && oldest !== undefined) this.#counts.delete(oldest);
    return count;
  }

  clear(): void {
    this.#counts.clear();
  }
}

/** `requestKey` is equal for repeats of one request. Throws ScriptError. */
export function chooseScript(model: string, prompt: Prompt, requestKey: () => string, attempts: Attempts): Script {
  const behaviour = behaviourOf(model);
  switch (behaviour.kind) {
    case "echo":
    case "embed":
      return echo(prompt);
    case "fault":
      return faulty(prompt, { name: behaviour.name });
    case "status":
      return scriptOf([{ is: "error", error: { status: behaviour.status } }]);
    case "flaky":
      return attempts.next(`flaky ${requestKey()}`) < behaviour.times
        ? scriptOf([{ is: "error", error: { status: 503 } }])
        : (scripted(prompt, attempts) ?? echo(prompt));
    default:
      return scripted(prompt, attempts) ?? unscripted(behaviour, prompt);
  }
}

function unscripted({ kind }: Behaviour, prompt: Prompt): Script {
  if (kind !== "script") return echo(prompt);
  throw new ScriptError("sim_script", 'this model plays scripts: make the last user text {"sim_script": {"steps": [{"text": "..."}]}}');
}

function scripted(prompt: Prompt, attempts: Attempts): Script | undefined {
  for (const text of prompt.userTexts.toReversed()) {
    const book = findScript(text);
    if (book === undefined) continue;
    if (prompt.turn > 0 && !book.byTurn) return textScript(prompt.toolResults.join("\n") || "done");
    const index = Math.min(prompt.turn, book.turns.length - 1);
    const tries = book.turns[index]?.attempts ?? [];
    const attempt = tries.length > 1 ? attempts.next(`script ${index} ${book.text}`) : 0;
    return tries[Math.min(attempt, tries.length - 1)];
  }
  return undefined;
}

function echo(prompt: Prompt): Script {
  return scriptOf(echoSteps(prompt));
}

function echoSteps(prompt: Prompt): ScriptStep[] {
  const steps: ScriptStep[] = [];
  if (prompt.reasoning === "asked" || prompt.reasoning === "hidden") {
    steps.push({ is: "reasoning", text: "The user wants an echo.", newBlock: false, signature: true, redacted: false });
  }
  if (prompt.forcedTool !== undefined) {
    const { name, parameters } = prompt.forcedTool;
    steps.push({ is: "calls", calls: [{ name, arguments: JSON.stringify(instanceOf(parameters)), id: undefined }] });
  } else steps.push({ is: "text", text: echoText(prompt), newBlock: false, citations: [] });
  return steps;
}

function echoText({ output, userTexts }: Prompt): string {
  const text = userTexts.join("\n");
  if (output === undefined) return text;
  return JSON.stringify(output.kind === "object" ? { echo: text } : instanceOf(output.schema));
}

/** An echo with a fault at the place where it belongs. */
function faulty(prompt: Prompt, fault: Fault): Script {
  const step: ScriptStep = { is: "fault", fault };
  const steps = echoSteps(prompt);
  if (faults[fault.name].place !== "stream") return scriptOf([step, ...steps]);
  const last = steps.pop();
  if (last?.is !== "text") return scriptOf([...steps, ...(last === undefined ? [] : [last]), step]);
  const half = firstCodePoints(last.text, Math.ceil(codePointsOf(last.text) / 2));
  return scriptOf([...steps, { ...last, text: half }, step, { ...last, text: last.text.slice(half.length) }]);
}
