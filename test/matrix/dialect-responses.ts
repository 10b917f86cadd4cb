/** OpenAI Responses, by the npm package `openai`. The answer is what the terminal event says; deltas must add up to it. */
import { deepStrictEqual } from "node:assert";
import OpenAI from "openai";
import { type Asking, type DialectClient, dataUrl, HeaderTap, holdsUnknown } from "./dialect.ts";
import { parseOr } from "./dialect-chat.ts";
import {
  type Answer,
  type AnswerUsage,
  CannotSay,
  type Finish,
  type Scene,
  type SceneMedia,
  type SceneTurn,
  unknownField,
  unknownValue,
} from "./scene.ts";

type Item = Record<string, unknown> & { type: string };

interface ResponseObject {
  status: string;
  incomplete_details?: { reason?: string } | null;
  output: Item[];
  usage?: {
    input_tokens: number;
    output_tokens: number;
    input_tokens_details?: { cached_tokens?: number; cache_write_tokens?: number };
    output_tokens_details?: { reasoning_tokens?: number };
  } | null;
}

export const responses: DialectClient = {
  name: "openai-responses",
  format: "openai-responses",
  cacheSeconds: 1800,
  lacks: new Set(["candidates"]),
  async ask(asking, scene) {
    const tap = new HeaderTap(asking.strict);
    const client = new OpenAI({ baseURL: `${asking.url}/v1`, apiKey: "sk-matrix-client", maxRetries: 0, fetch: tap.fetch });
    const body = writeBody(asking, scene);
    const partial: Item[] = [];
    let unknownSeen = false;
    try {
      if (!asking.stream) {
        const whole = await client.responses.create(body as unknown as OpenAI.Responses.ResponseCreateParamsNonStreaming);
        return readAnswer(whole as unknown as ResponseObject, tap, holdsUnknown(whole));
      }
      // The SDK's own accumulator throws at events that it does not know; its plain iterator passes them on.
      const stream = await client.responses.create(body as unknown as OpenAI.Responses.ResponseCreateParamsStreaming);
      let next = 0;
      let whole: ResponseObject | undefined;
      for await (const event of stream) {
        unknownSeen ||= holdsUnknown(event);
        const { sequence_number: number } = event as { sequence_number?: number };
        if (number !== undefined) {
          if (number < next) throw new Error(`sequence ${number} after ${next - 1}`);
          next = number + 1;
        }
        collectPartial(event as unknown as Item, partial);
        if (event.type === "error") throw new Error((event as unknown as { message: string }).message);
        if (event.type === "response.failed") throw new Error(event.response.error?.message ?? "failed");
        if (event.type === "response.completed" || event.type === "response.incomplete")
          whole = event.response as unknown as ResponseObject;
      }
      if (whole === undefined) throw new Error("the stream ended without a terminal event");
      expectSame(whole, partial);
      return readAnswer(whole, tap, unknownSeen);
    } catch (thrown) {
      const broken: ResponseObject = { status: "failed", output: partial };
      return { ...readAnswer(broken, tap, unknownSeen), failure: tap.failure(thrown) };
    }
  },
};

/** Texts as their deltas said them. */
function collectPartial(event: Item, items: Item[]): void {
  if (event.type !== "response.output_text.delta") return;
  const at = event.output_index as number;
  const item = (items[at] ??= { type: "message", content: [{ type: "output_text", text: "", annotations: [] }] });
  const [part] = item.content as { text: string }[];
  if (part !== undefined) part.text += event.delta as string;
}

function expectSame(whole: ResponseObject, partial: readonly Item[]): void {
  for (const [index, item] of partial.entries()) {
    if (item === undefined) continue;
    const texts = (found: Item | undefined) =>
      ((found?.content ?? []) as { type: string; text?: string }[])
        .flatMap(({ type, text }) => (type === "output_text" ? [text ?? ""] : []))
        .join("");
    deepStrictEqual(texts(item), texts(whole.output[index]), "deltas and the terminal event differ");
  }
}

function writeBody({ model, stream }: Asking, scene: Scene): Record<string, unknown> {
  const { choice, output } = scene;
  if (scene.stop !== undefined) throw new CannotSay("stop sequences");
  if (scene.seed !== undefined) throw new CannotSay("a seed");
  if (scene.candidates !== undefined) throw new CannotSay("several candidates");
  return {
    model,
    // Without state: what the answer holds is what comes back.
    store: false,
    include: [
      ...(scene.effort === undefined ? [] : ["reasoning.encrypted_content"]),
      ...(scene.topLogprobs === undefined ? [] : ["message.output_text.logprobs"]),
    ],
    ...(scene.system !== undefined && { instructions: scene.system }),
    input: [...(scene.developer === undefined ? [] : [{ role: "developer", content: scene.developer }]), ...scene.turns.flatMap(writeTurn)],
    ...(stream ? { stream } : {}),
    ...(scene.tools && {
      tools: scene.tools.map(({ name, description, schema }) => ({
        type: "function",
        name,
        description,
        parameters: schema,
        strict: false,
      })),
    }),
    ...(choice !== undefined && { tool_choice: typeof choice === "string" ? choice : { type: "function", name: choice.name } }),
    ...(output !== undefined && {
      text: {
        format:
          output === "json" ? { type: "json_object" } : { type: "json_schema", name: output.name, schema: output.schema, strict: true },
      },
    }),
    ...(scene.effort && { reasoning: { effort: scene.effort, summary: "auto" } }),
    ...(scene.topLogprobs !== undefined && { top_logprobs: scene.topLogprobs }),
    ...(scene.maxTokens !== undefined && { max_output_tokens: scene.maxTokens }),
    ...(scene.unknown && { [unknownField]: unknownValue }),
  };
}

function writeTurn(turn: SceneTurn): unknown[] {
  switch (turn.role) {
    case "user": {
      const { media = [], cacheSeconds } = turn;
      const breakpoint = cacheSeconds === undefined ? {} : { prompt_cache_breakpoint: { mode: "explicit", ttl: "30m" } };
      return [{ role: "user", content: [...media.map(writeMedia), { type: "input_text", text: turn.text, ...breakpoint }] }];
    }
    case "assistant":
      return [
        ...(turn.text === "" ? [] : [{ role: "assistant", content: turn.text }]),
        ...(turn.calls ?? []).map(({ id, name, arguments: input }) => ({
          type: "function_call",
          call_id: id,
          name,
          arguments: JSON.stringify(input),
        })),
      ];
    case "replay":
      return turn.answer.native as Item[];
    case "tool":
      if (turn.results.some(({ isError }) => isError)) throw new CannotSay("an error in a tool result");
      return turn.results.map(({ id, text, image }) => ({
        type: "function_call_output",
        call_id: id,
        output:
          image === undefined
            ? text
            : [
                { type: "input_text", text },
                { type: "input_image", detail: "auto", image_url: dataUrl("image/png", image) },
              ],
      }));
  }
}

function writeMedia(media: SceneMedia): unknown {
  if (media.kind === "image")
    return { type: "input_image", detail: "auto", image_url: "url" in media ? media.url : dataUrl(media.mimeType, media.data) };
  if (media.kind === "audio") throw new CannotSay("audio");
  return { type: "input_file", filename: media.filename, file_data: dataUrl(media.mimeType, media.data) };
}

function readAnswer({ status, incomplete_details, output, usage }: ResponseObject, tap: HeaderTap, unknownSeen: boolean): Answer {
  const parts = output.flatMap((item) => (item?.type === "message" ? (item.content as Item[]) : []));
  const calls = output
    .filter((item) => item?.type === "function_call")
    .map((item) => ({ id: item.call_id as string, name: item.name as string, arguments: parseOr(item.arguments as string) }));
  const reasoning = output
    .filter((item) => item?.type === "reasoning")
    .flatMap((item) => [...((item.summary ?? []) as Item[]), ...((item.content ?? []) as Item[])].map(({ text }) => text as string));
  const finish: Finish =
    status === "incomplete"
      ? incomplete_details?.reason === "content_filter"
        ? "content_filter"
        : "length"
      : calls.length > 0
        ? "tool_calls"
        : "stop";
  const said: AnswerUsage | undefined = usage
    ? {
        input: usage.input_tokens,
        output: usage.output_tokens,
        cacheRead: usage.input_tokens_details?.cached_tokens,
        cacheWrite: usage.input_tokens_details?.cache_write_tokens,
        reasoning: usage.output_tokens_details?.reasoning_tokens,
      }
    : undefined;
  const text = parts.flatMap((part) => (part.type === "output_text" ? [part.text as string] : [])).join("");
  const candidate = {
    text,
    reasoning: reasoning.join(""),
    calls,
    refusal: parts.flatMap((part) => (part.type === "refusal" ? [part.refusal as string] : [])).join(""),
    citations: parts.flatMap((part) => ((part.annotations ?? []) as { url?: string }[]).flatMap(({ url }) => url ?? [])),
    logprobs: parts.reduce((sum, part) => sum + ((part.logprobs as unknown[] | undefined)?.length ?? 0), 0),
    finish: status === "failed" ? ("" as const) : finish,
  };
  return {
    candidates: status === "failed" && text === "" ? [] : [candidate],
    usage: said,
    failure: undefined,
    notes: tap.notes(),
    unknownSeen,
    native: output,
  };
}
