/** Anthropic Messages, by the npm package `@anthropic-ai/sdk`. */
import Anthropic from "@anthropic-ai/sdk";
import { type Asking, type DialectClient, HeaderTap, holdsUnknown } from "./dialect.ts";
import { type Answer, CannotSay, type Finish, type Scene, type SceneMedia, type SceneTurn, unknownField, unknownValue } from "./scene.ts";

type Block = Record<string, unknown> & { type: string };

interface MessageObject {
  content: Block[];
  stop_reason: string | null;
  usage: {
    input_tokens: number;
    output_tokens: number;
    cache_read_input_tokens?: number | null;
    cache_creation_input_tokens?: number | null;
    output_tokens_details?: { thinking_tokens?: number } | null;
  };
}

export const anthropic: DialectClient = {
  name: "anthropic-messages",
  format: "anthropic-messages",
  cacheSeconds: 3600,
  lacks: new Set(["logprobs", "candidates"]),
  async ask(asking, scene) {
    const tap = new HeaderTap(asking.strict);
    const client = new Anthropic({ baseURL: asking.url, apiKey: "sk-matrix-client", maxRetries: 0, fetch: tap.fetch });
    const body = writeBody(asking, scene);
    let text = "";
    let unknownSeen = false;
    try {
      if (!asking.stream) {
        const whole = await client.messages.create(body as unknown as Anthropic.MessageCreateParamsNonStreaming);
        return readAnswer(whole as unknown as MessageObject, tap, holdsUnknown(whole));
      }
      const stream = client.messages.stream(body as unknown as Anthropic.MessageStreamParams);
      stream.on("text", (delta) => {
        text += delta;
      });
      stream.on("streamEvent", (event) => {
        unknownSeen ||= holdsUnknown(event);
      });
      return readAnswer((await stream.finalMessage()) as unknown as MessageObject, tap, unknownSeen);
    } catch (thrown) {
      const candidates = text === "" ? [] : [{ ...nothing, text }];
      return { candidates, usage: undefined, failure: tap.failure(thrown), notes: tap.notes(), unknownSeen, native: undefined };
    }
  },
};

const nothing = { text: "", reasoning: "", calls: [], refusal: "", citations: [], logprobs: 0, finish: "" } as const;

function writeBody({ model }: Asking, scene: Scene): Record<string, unknown> {
  const { choice, output } = scene;
  if (scene.seed !== undefined) throw new CannotSay("a seed");
  if (scene.topLogprobs !== undefined) throw new CannotSay("logprobs");
  if (scene.candidates !== undefined) throw new CannotSay("several candidates");
  if (output === "json") throw new CannotSay("JSON mode");
  const system = [scene.system, scene.developer].flatMap((text) => (text === undefined ? [] : [{ type: "text", text }]));
  const outputConfig = {
    ...(scene.effort && { effort: scene.effort }),
    ...(output !== undefined && { format: { type: "json_schema", schema: output.schema } }),
  };
  return {
    model,
    max_tokens: scene.maxTokens ?? 4096,
    ...(system.length > 0 && { system }),
    messages: scene.turns.map(writeTurn),
    ...(scene.tools && { tools: scene.tools.map(({ name, description, schema }) => ({ name, description, input_schema: schema })) }),
    ...(choice !== undefined && {
      tool_choice: choice === "none" ? { type: "none" } : choice === "required" ? { type: "any" } : { type: "tool", name: choice.name },
    }),
    ...(scene.effort && { thinking: { type: "adaptive" } }),
    ...(Object.keys(outputConfig).length > 0 && { output_config: outputConfig }),
    ...(scene.stop && { stop_sequences: scene.stop }),
    ...(scene.unknown && { [unknownField]: unknownValue }),
  };
}

function writeTurn(turn: SceneTurn): unknown {
  switch (turn.role) {
    case "user": {
      const { media = [], cacheSeconds } = turn;
      const marker = cacheSeconds === undefined ? {} : { cache_control: { type: "ephemeral", ttl: "1h" } };
      return { role: "user", content: [...media.map(writeMedia), { type: "text", text: turn.text, ...marker }] };
    }
    case "assistant":
      return {
        role: "assistant",
        content: [
          ...(turn.text === "" ? [] : [{ type: "text", text: turn.text }]),
          ...(turn.calls ?? []).map(({ id, name, arguments: input }) => ({ type: "tool_use", id, name, input })),
        ],
      };
    case "replay":
      return { role: "assistant", content: turn.answer.native };
    case "tool":
      return {
        role: "user",
        content: turn.results.map(({ id, text, isError, image }) => ({
          type: "tool_result",
          tool_use_id: id,
          content: [
            { type: "text", text },
            ...(image === undefined ? [] : [{ type: "image", source: { type: "base64", media_type: "image/png", data: base64(image) } }]),
          ],
          ...(isError && { is_error: true }),
        })),
      };
  }
}

function writeMedia(media: SceneMedia): unknown {
  if (media.kind === "audio") throw new CannotSay("audio");
  if (media.kind === "file")
    return { type: "document", title: media.filename, source: { type: "base64", media_type: media.mimeType, data: base64(media.data) } };
  return {
    type: "image",
    source: "url" in media ? { type: "url", url: media.url } : { type: "base64", media_type: media.mimeType, data: base64(media.data) },
  };
}

function base64(data: Uint8Array): string {
  return Buffer.from(data).toString("base64");
}

const finishes: Readonly<Record<string, Finish>> = {
  end_turn: "stop",
  stop_sequence: "stop_sequence",
  max_tokens: "length",
  tool_use: "tool_calls",
  refusal: "refusal",
};

function readAnswer({ content, stop_reason, usage }: MessageObject, tap: HeaderTap, unknownSeen: boolean): Answer {
  const textOf = (type: string, field: string) =>
    content.flatMap((block) => (block.type === type ? [block[field] as string] : [])).join("");
  const read = usage.cache_read_input_tokens ?? 0;
  const written = usage.cache_creation_input_tokens ?? 0;
  return {
    candidates: [
      {
        text: textOf("text", "text"),
        reasoning: textOf("thinking", "thinking"),
        calls: content.flatMap((block) =>
          block.type === "tool_use" ? [{ id: block.id as string, name: block.name as string, arguments: block.input }] : [],
        ),
        refusal: "",
        citations: content.flatMap((block) => ((block.citations ?? []) as { url?: string }[]).flatMap(({ url }) => url ?? [])),
        logprobs: 0,
        finish: finishes[stop_reason ?? ""] ?? "stop",
      },
    ],
    usage: {
      input: usage.input_tokens + read + written,
      output: usage.output_tokens,
      cacheRead: read,
      cacheWrite: written,
      reasoning: usage.output_tokens_details?.thinking_tokens,
    },
    failure: undefined,
    notes: tap.notes(),
    unknownSeen,
    native: content,
  };
}
