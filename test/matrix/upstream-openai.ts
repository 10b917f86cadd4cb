/** What an upstream of OpenAI's formats was told. */
import { type Received, unknownField } from "./scene.ts";
import { type Json, list, mediaOfUrl, number, object, parsed, short, some, text, view } from "./upstream-view.ts";

export function readChat(body: Json): Received {
  const messages = list(body.messages);
  const parts = messages.flatMap(partsOf);
  const calls = messages.flatMap((message) => list(message.tool_calls));
  const results = messages.filter(({ role }) => role === "tool");
  const format = object(body.response_format);
  const choice = body.tool_choice;
  return view({
    system: some(messages.filter(({ role }) => role === "system" || role === "developer").flatMap(textsOf)),
    turns: some(
      messages.flatMap((message) =>
        message.role === "user" || message.role === "assistant" ? [`${message.role}: ${short(wordsOf(message))}`] : [],
      ),
    ),
    media: some(parts.flatMap(mediaOf)),
    tools: some(list(body.tools).map(({ function: declared }) => toolOf(object(declared), "parameters"))),
    choice: choiceOf(choice, text(object(object(choice).function).name)),
    calls: some(calls.map(({ function: call }) => ({ name: text(object(call).name) ?? "", arguments: parsed(object(call).arguments) }))),
    results: some(results.map(wordsOf)),
    resultErrors: undefined,
    json: format.type === "json_object" ? true : undefined,
    schema: object(format.json_schema).schema,
    effort: text(body.reasoning_effort),
    signatures: some(calls.flatMap((call) => text(object(object(call.extra_content).google).thought_signature) ?? [])),
    cache: some([...parts, ...messages].flatMap((part) => breakpointOf(part))),
    stop: typeof body.stop === "string" ? [body.stop] : (body.stop as string[] | undefined),
    seed: number(body.seed),
    topLogprobs: number(body.top_logprobs),
    candidates: number(body.n),
    maxTokens: number(body.max_completion_tokens) ?? number(body.max_tokens),
    unknown: body[unknownField],
  });
}

export function readResponses(body: Json): Received {
  const items = typeof body.input === "string" ? [{ role: "user", content: body.input }] : list(body.input);
  const messages: readonly Json[] = items.filter(({ type }) => type === undefined || type === "message");
  const parts = messages.flatMap(partsOf);
  const calls = items.filter(({ type }) => type === "function_call");
  const results = items.filter(({ type }) => type === "function_call_output");
  const resultParts = results.flatMap(({ output }) => (typeof output === "string" ? [] : list(output)));
  const format = object(object(body.text).format);
  return view({
    system: some([
      ...(typeof body.instructions === "string" ? [body.instructions] : []),
      ...messages.filter(({ role }) => role === "system" || role === "developer").flatMap(textsOf),
    ]),
    turns: some(
      messages.flatMap((message) =>
        message.role === "user" || message.role === "assistant" ? [`${message.role}: ${short(wordsOf(message))}`] : [],
      ),
    ),
    media: some(parts.flatMap(mediaOf)),
    tools: some(list(body.tools).map((tool) => toolOf(tool, "parameters"))),
    choice: choiceOf(body.tool_choice, text(object(body.tool_choice).name)),
    calls: some(calls.map((call) => ({ name: text(call.name) ?? "", arguments: parsed(call.arguments) }))),
    results: some(
      results.map(({ output }) =>
        typeof output === "string"
          ? output
          : list(output)
              .flatMap((part) => text(part.text) ?? [])
              .join(""),
      ),
    ),
    resultImages: resultParts.filter(({ type }) => type === "input_image").length || undefined,
    json: format.type === "json_object" ? true : undefined,
    schema: format.schema,
    effort: text(object(body.reasoning).effort),
    signatures: some(items.flatMap(({ type, encrypted_content }) => (type === "reasoning" ? (text(encrypted_content) ?? []) : []))),
    cache: some([...parts, ...messages].flatMap((part) => breakpointOf(part))),
    topLogprobs: number(body.top_logprobs),
    maxTokens: number(body.max_output_tokens),
    unknown: body[unknownField],
  });
}

function partsOf({ content }: Json): readonly Json[] {
  return typeof content === "string" ? [{ type: "text", text: content }] : list(content);
}

function textsOf(message: Json): string[] {
  return partsOf(message).flatMap((part) => text(part.text) ?? []);
}

function wordsOf(message: Json): string {
  return textsOf(message).join("");
}

function mediaOf(part: Json): string[] {
  const audio = object(part.input_audio);
  const file = object(part.file);
  const url = text(object(part.image_url).url) ?? text(part.image_url);
  if (url !== undefined) return [mediaOfUrl("image", url)];
  if (typeof audio.data === "string") return [mediaOfUrl("audio", `data:audio/${audio.format};base64,${audio.data}`)];
  const data = text(file.file_data) ?? text(part.file_data) ?? text(part.file_url);
  return data === undefined ? [] : [mediaOfUrl("file", data)];
}

export function toolOf(tool: Json, schema: string): NonNullable<Received["tools"]>[number] {
  return { name: text(tool.name) ?? "", description: text(tool.description) ?? "", schema: object(tool[schema]) };
}

function choiceOf(choice: unknown, name: string | undefined): Received["choice"] | undefined {
  if (name !== undefined) return { name };
  return choice === "none" || choice === "required" || choice === "auto" ? choice : undefined;
}

function breakpointOf(part: Json): number[] {
  const { prompt_cache_breakpoint: mark } = part;
  if (mark === undefined || mark === null) return [];
  const ttl = /^(\d+)([mh])$/.exec(text(object(mark).ttl) ?? "");
  return [ttl === null ? 0 : Number(ttl[1]) * (ttl[2] === "h" ? 3600 : 60)];
}
