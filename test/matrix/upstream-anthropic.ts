/** What an upstream of Anthropic's format was told. */
import { type Received, unknownField } from "./scene.ts";
import { toolOf } from "./upstream-openai.ts";
import { type Json, list, mediaOfData, number, object, short, some, text, view } from "./upstream-view.ts";

export function readAnthropic(body: Json): Received {
  const messages = list(body.messages);
  const system = blocksOf(body.system);
  const blocks = messages.flatMap(({ content }) => blocksOf(content));
  const results = blocks.filter(({ type }) => type === "tool_result");
  const inResults = results.flatMap(({ content }) => blocksOf(content));
  const choice = object(body.tool_choice);
  const config = object(body.output_config);
  const thinking = object(body.thinking);
  return view({
    system: some(system.map(wordsOf)),
    turns: some(
      messages.flatMap(({ role, content }) => {
        const words = blocksOf(content).flatMap((block) => (block.type === "text" ? [wordsOf(block)] : []));
        return words.length === 0 ? [] : [`${role}: ${short(words.join(""))}`];
      }),
    ),
    media: some(blocks.flatMap(mediaOf)),
    tools: some(list(body.tools).map((tool) => toolOf(tool, "input_schema"))),
    choice:
      choice.type === "tool"
        ? { name: text(choice.name) ?? "" }
        : ({ any: "required", none: "none", auto: "auto" } as const)[choice.type as "any"],
    calls: some(blocks.flatMap(({ type, name, input }) => (type === "tool_use" ? [{ name: text(name) ?? "", arguments: input }] : []))),
    results: some(results.map(({ content }) => blocksOf(content).map(wordsOf).join(""))),
    resultErrors: results.some(({ is_error }) => is_error === true) ? results.map(({ is_error }) => is_error === true) : undefined,
    resultImages: inResults.filter(({ type }) => type === "image").length || undefined,
    schema: object(config.format).schema,
    effort: text(config.effort) ?? (thinking.type === "enabled" ? `budget ${thinking.budget_tokens}` : undefined),
    signatures: some(
      blocks.flatMap(({ type, signature, data }) =>
        type === "thinking" ? (text(signature) ?? []) : type === "redacted_thinking" ? (text(data) ?? []) : [],
      ),
    ),
    cache: some([...list(body.tools), ...system, ...blocks, ...inResults].flatMap(markerOf)),
    stop: body.stop_sequences as string[] | undefined,
    maxTokens: number(body.max_tokens),
    unknown: body[unknownField],
  });
}

function blocksOf(content: unknown): readonly Json[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : list(content);
}

function wordsOf(block: Json): string {
  return text(block.text) ?? "";
}

function mediaOf({ type, source }: Json): string[] {
  if (type !== "image" && type !== "document") return [];
  const kind = type === "image" ? "image" : "file";
  const { url, media_type, data } = object(source);
  return [typeof url === "string" ? `${kind} url ${url}` : mediaOfData(kind, text(media_type) ?? "", text(data) ?? "")];
}

function markerOf({ cache_control }: Json): number[] {
  if (cache_control === undefined || cache_control === null) return [];
  return [({ "5m": 300, "1h": 3600 } as const)[object(cache_control).ttl as "5m"] ?? 0];
}
