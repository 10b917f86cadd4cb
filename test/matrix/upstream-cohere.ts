/** What an upstream of Cohere's v2 chat was told. */
import { type Received, unknownField } from "./scene.ts";
import { toolOf } from "./upstream-openai.ts";
import { type Json, list, mediaOfUrl, number, object, parsed, short, some, text, view } from "./upstream-view.ts";

export function readCohere(body: Json): Received {
  const messages = list(body.messages);
  const parts = messages.flatMap(partsOf);
  const results = messages.filter(({ role }) => role === "tool");
  const format = object(body.response_format);
  const thinking = object(body.thinking);
  const tools = list(body.tools).map(({ function: declared }) => toolOf(object(declared), "parameters"));
  return view({
    system: some(
      messages.filter(({ role }) => role === "system").flatMap((message) => partsOf(message).flatMap((part) => text(part.text) ?? [])),
    ),
    turns: some(
      messages.flatMap((message) => {
        const words = wordsOf(message);
        return (message.role === "user" || message.role === "assistant") && words !== "" ? [`${message.role}: ${short(words)}`] : [];
      }),
    ),
    media: some(
      parts.flatMap(({ image_url }) => (image_url === undefined ? [] : [mediaOfUrl("image", text(object(image_url).url) ?? "")])),
    ),
    tools: some(tools),
    choice: ({ REQUIRED: "required", NONE: "none" } as const)[body.tool_choice as "NONE"],
    calls: some(
      messages.flatMap(({ tool_calls }) =>
        list(tool_calls).map(({ function: call }) => ({ name: text(object(call).name) ?? "", arguments: parsed(object(call).arguments) })),
      ),
    ),
    results: some(results.map(wordsOf)),
    json: format.type === "json_object" && format.json_schema === undefined && format.schema === undefined ? true : undefined,
    schema: format.json_schema ?? format.schema,
    effort: thinking.type === "enabled" ? (thinking.token_budget === undefined ? "enabled" : `budget ${thinking.token_budget}`) : undefined,
    stop: body.stop_sequences as string[] | undefined,
    seed: number(body.seed),
    topLogprobs: body.logprobs === true ? 0 : undefined,
    maxTokens: number(body.max_tokens),
    unknown: body[unknownField],
  });
}

function partsOf({ content }: Json): readonly Json[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : list(content);
}

/** A document of a tool's result holds its text one level down. */
function wordsOf(message: Json): string {
  return partsOf(message)
    .map((part) => {
      const { data } = object(part.document);
      return (
        text(part.text) ?? (typeof data === "string" ? data : data === undefined ? "" : (text(object(data).text) ?? JSON.stringify(data)))
      );
    })
    .join("");
}
