/** Puts the chunks of a chat completion together, as a careful client would. */
import type { Answer, Failure } from "./question.ts";

interface ChatChunk {
  choices: {
    index: number;
    delta: {
      content?: string | null;
      reasoning_content?: string;
      tool_calls?: { index: number; id?: string; function?: { name?: string; arguments?: string } }[];
    };
    finish_reason: string | null;
  }[];
  usage?: {
    prompt_tokens: number;
    completion_tokens: number;
    prompt_tokens_details?: { cached_tokens?: number };
  } | null;
}

export class ChatAnswer {
  readonly #candidates: { text: string; reasoning: string; calls: { name: string; text: string }[]; finish: string }[] = [];
  #usage: Answer["usage"];

  add(record: unknown): void {
    const { choices, usage } = record as ChatChunk;
    for (const { index, delta, finish_reason } of choices) {
      const candidate = (this.#candidates[index] ??= { text: "", reasoning: "", calls: [], finish: "" });
      candidate.text += delta.content ?? "";
      candidate.reasoning += delta.reasoning_content ?? "";
      for (const call of delta.tool_calls ?? []) {
        const entry = (candidate.calls[call.index] ??= { name: "", text: "" });
        entry.name += call.function?.name ?? "";
        entry.text += call.function?.arguments ?? "";
      }
      candidate.finish += finish_reason ?? "";
    }
    if (usage) {
      this.#usage = { input: usage.prompt_tokens, output: usage.completion_tokens, cached: usage.prompt_tokens_details?.cached_tokens };
    }
  }

  done(failure?: Failure): Answer {
    const candidates = this.#candidates.map(({ text, reasoning, calls, finish }) => ({
      text,
      reasoning,
      finish,
      calls: calls.map((call) => ({ name: call.name, arguments: failure === undefined ? JSON.parse(call.text) : call.text })),
    }));
    return { candidates, usage: this.#usage, failure };
  }
}
