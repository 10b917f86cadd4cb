/** OpenAI's legacy Completions, by the npm package `openai`. */
import OpenAI from "openai";
import { type DialectClient, HeaderTap, holdsUnknown } from "./dialect.ts";
import { type Answer, type AnswerUsage, CannotSay, type Scene, unknownField, unknownValue } from "./scene.ts";

/** What a prompt and its settings can say; the rest of a scene is for the other dialects. */
function writeBody(model: string, stream: boolean, scene: Scene): Record<string, unknown> {
  const { turns, system, developer, tools, choice, output, effort } = scene;
  const [turn] = turns;
  if (turns.length !== 1 || turn?.role !== "user") throw new CannotSay("a conversation");
  if (turn.media !== undefined || turn.cacheSeconds !== undefined) throw new CannotSay("parts of a message");
  if (system !== undefined || developer !== undefined) throw new CannotSay("roles");
  if (tools !== undefined || choice !== undefined || output !== undefined || effort !== undefined)
    throw new CannotSay("tools, formats or efforts");
  return {
    model,
    prompt: turn.text,
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
    ...(scene.stop && { stop: scene.stop }),
    ...(scene.seed !== undefined && { seed: scene.seed }),
    ...(scene.topLogprobs !== undefined && { logprobs: scene.topLogprobs }),
    ...(scene.candidates !== undefined && { n: scene.candidates }),
    ...(scene.maxTokens !== undefined && { max_tokens: scene.maxTokens }),
    ...(scene.unknown && { [unknownField]: unknownValue }),
  };
}

const finishes: Readonly<Record<string, "stop" | "length" | "content_filter">> = {
  stop: "stop",
  length: "length",
  content_filter: "content_filter",
};

export const completions: DialectClient = {
  name: "openai-completions",
  format: "openai-completions",
  lacks: new Set(["calls", "reasoning", "refusal", "citations", "unknown"]),
  async ask({ url, model, stream, strict }, scene) {
    const tap = new HeaderTap(strict);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "sk-matrix-client", maxRetries: 0, fetch: tap.fetch });
    const found: { text: string; finish: string; logprobs: number }[] = [];
    let usage: AnswerUsage | undefined;
    let unknownSeen = false;
    const add = (record: OpenAI.Completion): void => {
      unknownSeen ||= holdsUnknown(record);
      for (const { index, text, finish_reason, logprobs } of record.choices) {
        const candidate = (found[index] ??= { text: "", finish: "", logprobs: 0 });
        candidate.text += text;
        candidate.finish += finish_reason ?? "";
        candidate.logprobs += logprobs?.tokens?.length ?? 0;
      }
      const said = record.usage;
      if (said) {
        usage = {
          input: said.prompt_tokens,
          output: said.completion_tokens,
          cacheRead: said.prompt_tokens_details?.cached_tokens,
          cacheWrite: (said.prompt_tokens_details as { cache_write_tokens?: number } | undefined)?.cache_write_tokens,
          reasoning: said.completion_tokens_details?.reasoning_tokens,
        };
      }
    };
    const answer = (): Answer => ({
      candidates: found.map(({ text, finish, logprobs }) => ({
        text,
        reasoning: "",
        calls: [],
        refusal: "",
        citations: [],
        logprobs,
        finish: finishes[finish] ?? (finish === "" ? "" : "stop"),
      })),
      usage,
      failure: undefined,
      notes: tap.notes(),
      unknownSeen,
      native: undefined,
    });
    const body = writeBody(model, stream, scene);
    try {
      if (stream) {
        const records = await client.completions.create(body as unknown as OpenAI.CompletionCreateParamsStreaming);
        for await (const record of records) add(record);
      } else add(await client.completions.create(body as unknown as OpenAI.CompletionCreateParamsNonStreaming));
      return answer();
    } catch (thrown) {
      return { ...answer(), failure: tap.failure(thrown) };
    }
  },
};
