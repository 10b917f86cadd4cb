/** OpenAI Chat Completions, by the npm package `openai`. */
import OpenAI from "openai";
import { type Asking, type DialectClient, dataUrl, HeaderTap, holdsUnknown } from "./dialect.ts";
import { type Answer, CannotSay, type Scene, type SceneMedia, type SceneTurn, unknownField, unknownValue } from "./scene.ts";

interface ChatToolCall {
  id: string;
  type: "function";
  function: { name: string; arguments: string };
}

/** Also what is sent back as history. */
interface ChatMessage {
  role: "assistant";
  content: string | null;
  refusal?: string;
  reasoning_content?: string;
  tool_calls?: ChatToolCall[];
}

interface ChatChoice {
  index: number;
  message?: Partial<ChatMessage> & { annotations?: unknown[] };
  delta?: Partial<Omit<ChatMessage, "tool_calls">> & {
    annotations?: unknown[];
    tool_calls?: (Partial<ChatToolCall> & { index: number })[];
  };
  logprobs?: { content?: unknown[] | null } | null;
  finish_reason: string | null;
}

interface ChatRecord {
  choices: ChatChoice[];
  usage?: {
    prompt_tokens: number;
    completion_tokens: number;
    prompt_tokens_details?: { cached_tokens?: number; cache_write_tokens?: number };
    completion_tokens_details?: { reasoning_tokens?: number };
  } | null;
}

export const chat: DialectClient = {
  name: "openai-chat",
  format: "openai-chat",
  cacheSeconds: 1800,
  lacks: new Set(),
  async ask(asking, scene) {
    const tap = new HeaderTap(asking.strict);
    const client = new OpenAI({ baseURL: `${asking.url}/v1`, apiKey: "sk-matrix-client", maxRetries: 0, fetch: tap.fetch });
    const records = new Records();
    const body = writeBody(asking, scene);
    try {
      if (asking.stream) {
        const stream = await client.chat.completions.create(body as unknown as OpenAI.ChatCompletionCreateParamsStreaming);
        for await (const chunk of stream) records.add(chunk as unknown as ChatRecord);
      } else
        records.add(
          (await client.chat.completions.create(body as unknown as OpenAI.ChatCompletionCreateParamsNonStreaming)) as unknown as ChatRecord,
        );
      return records.answer(tap);
    } catch (thrown) {
      return { ...records.answer(tap), failure: tap.failure(thrown) };
    }
  },
};

function writeBody({ model, stream }: Asking, scene: Scene): Record<string, unknown> {
  const { choice, output } = scene;
  return {
    model,
    messages: [
      ...(scene.system === undefined ? [] : [{ role: "system", content: scene.system }]),
      ...(scene.developer === undefined ? [] : [{ role: "developer", content: scene.developer }]),
      ...scene.turns.flatMap(writeTurn),
    ],
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
    ...(scene.tools && {
      tools: scene.tools.map(({ name, description, schema }) => ({
        type: "function",
        function: { name, description, parameters: schema },
      })),
    }),
    ...(choice !== undefined && {
      tool_choice: typeof choice === "string" ? choice : { type: "function", function: { name: choice.name } },
    }),
    ...(output !== undefined && {
      response_format:
        output === "json"
          ? { type: "json_object" }
          : { type: "json_schema", json_schema: { name: output.name, schema: output.schema, strict: true } },
    }),
    ...(scene.effort && { reasoning_effort: scene.effort }),
    ...(scene.stop && { stop: scene.stop }),
    ...(scene.seed !== undefined && { seed: scene.seed }),
    ...(scene.topLogprobs !== undefined && { logprobs: true, top_logprobs: scene.topLogprobs }),
    ...(scene.candidates !== undefined && { n: scene.candidates }),
    ...(scene.maxTokens !== undefined && { max_completion_tokens: scene.maxTokens }),
    ...(scene.unknown && { [unknownField]: unknownValue }),
  };
}

function writeTurn(turn: SceneTurn): unknown[] {
  switch (turn.role) {
    case "user": {
      const { media = [], cacheSeconds } = turn;
      if (media.length === 0 && cacheSeconds === undefined) return [{ role: "user", content: turn.text }];
      const breakpoint = cacheSeconds === undefined ? {} : { prompt_cache_breakpoint: { mode: "explicit", ttl: "30m" } };
      return [{ role: "user", content: [...media.map(writeMedia), { type: "text", text: turn.text, ...breakpoint }] }];
    }
    case "assistant":
      return [
        {
          role: "assistant",
          content: turn.text === "" ? null : turn.text,
          ...(turn.calls && {
            tool_calls: turn.calls.map(({ id, name, arguments: input }) => ({
              id,
              type: "function",
              function: { name, arguments: JSON.stringify(input) },
            })),
          }),
        },
      ];
    case "replay":
      return [turn.answer.native];
    case "tool":
      if (turn.results.some(({ image }) => image !== undefined)) throw new CannotSay("an image in a tool result");
      if (turn.results.some(({ isError }) => isError)) throw new CannotSay("an error in a tool result");
      return turn.results.map(({ id, text }) => ({ role: "tool", tool_call_id: id, content: text }));
  }
}

function writeMedia(media: SceneMedia): unknown {
  if (media.kind === "image")
    return { type: "image_url", image_url: { url: "url" in media ? media.url : dataUrl(media.mimeType, media.data) } };
  if (media.kind === "audio")
    return { type: "input_audio", input_audio: { data: Buffer.from(media.data).toString("base64"), format: "wav" } };
  return { type: "file", file: { filename: media.filename, file_data: dataUrl(media.mimeType, media.data) } };
}

class Records {
  readonly #candidates: { message: ChatMessage & { annotations: unknown[] }; calls: ChatToolCall[]; logprobs: number; finish: string }[] =
    [];
  #usage: ChatRecord["usage"];
  #unknown = false;

  add(record: ChatRecord): void {
    this.#unknown ||= holdsUnknown(record);
    for (const choice of record.choices) this.#addChoice(choice);
    if (record.usage) this.#usage = record.usage;
  }

  #addChoice({ index, message, delta, logprobs, finish_reason }: ChatChoice): void {
    const candidate = (this.#candidates[index] ??= {
      message: { role: "assistant", content: null, annotations: [] },
      calls: [],
      logprobs: 0,
      finish: "",
    });
    const piece = message ?? delta ?? {};
    const whole = candidate.message;
    if (typeof piece.content === "string" && piece.content !== "") whole.content = (whole.content ?? "") + piece.content;
    if (piece.refusal) whole.refusal = (whole.refusal ?? "") + piece.refusal;
    if (piece.reasoning_content) whole.reasoning_content = (whole.reasoning_content ?? "") + piece.reasoning_content;
    whole.annotations.push(...(piece.annotations ?? []));
    for (const [place, call] of (message?.tool_calls ?? delta?.tool_calls ?? []).entries()) {
      const at = "index" in call ? call.index : place;
      const { function: fn, id, index: _, ...rest } = call as Partial<ChatToolCall> & { index?: number };
      const entry = (candidate.calls[at] ??= { id: "", type: "function", function: { name: "", arguments: "" } });
      Object.assign(entry, rest);
      if (id !== undefined) entry.id = id;
      entry.function.name += fn?.name ?? "";
      entry.function.arguments += fn?.arguments ?? "";
    }
    candidate.logprobs += logprobs?.content?.length ?? 0;
    candidate.finish += finish_reason ?? "";
  }

  answer(tap: HeaderTap): Answer {
    const usage = this.#usage;
    const [first] = this.#candidates;
    const native =
      first === undefined
        ? undefined
        : { ...first.message, annotations: undefined, ...(first.calls.length > 0 && { tool_calls: first.calls }) };
    return {
      candidates: this.#candidates.map(({ message, calls, logprobs, finish }) => ({
        text: message.content ?? "",
        reasoning: message.reasoning_content ?? "",
        calls: calls.map(({ id, function: { name, arguments: text } }) => ({ id, name, arguments: parseOr(text) })),
        refusal: message.refusal ?? "",
        citations: message.annotations.flatMap((annotation) => (annotation as { url_citation?: { url: string } }).url_citation?.url ?? []),
        logprobs,
        finish: finishes[finish] ?? (finish === "" ? "" : "stop"),
      })),
      usage: usage
        ? {
            input: usage.prompt_tokens,
            output: usage.completion_tokens,
            cacheRead: usage.prompt_tokens_details?.cached_tokens,
            cacheWrite: usage.prompt_tokens_details?.cache_write_tokens,
            reasoning: usage.completion_tokens_details?.reasoning_tokens,
          }
        : undefined,
      failure: undefined,
      notes: tap.notes(),
      unknownSeen: this.#unknown,
      native,
    };
  }
}

const finishes: Readonly<Record<string, Answer["candidates"][number]["finish"]>> = {
  stop: "stop",
  length: "length",
  tool_calls: "tool_calls",
  content_filter: "content_filter",
};

/** Arguments of a call that broke off are no JSON: then the text. */
export function parseOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
