/** What an upstream of xAI's gRPC Chat was told, by the JSON form of its messages. */
import { type Received, unknownField } from "./scene.ts";
import { toolOf } from "./upstream-openai.ts";
import { type Json, list, mediaOfData, mediaOfUrl, number, object, parsed, short, some, text, view } from "./upstream-view.ts";

export function readXai(body: Json): Received {
  const messages = list(body.messages);
  const contents = messages.flatMap(({ content }) => list(content));
  const calls = messages.flatMap(({ toolCalls }) => list(toolCalls));
  const results = messages.filter(({ role }) => role === "ROLE_TOOL");
  const format = object(body.responseFormat);
  const choice = object(body.toolChoice);
  return view({
    system: some(
      messages
        .filter(({ role }) => role === "ROLE_SYSTEM" || role === "ROLE_DEVELOPER")
        .flatMap(({ content }) => list(content).flatMap((part) => text(part.text) ?? [])),
    ),
    turns: some(
      messages.flatMap((message) => {
        const role = ({ ROLE_USER: "user", ROLE_ASSISTANT: "assistant" } as const)[message.role as "ROLE_USER"];
        const words = wordsOf(message);
        return role === undefined || words === "" ? [] : [`${role}: ${short(words)}`];
      }),
    ),
    media: some(contents.flatMap(mediaOf)),
    tools: some(
      list(body.tools).map(({ function: declared }) => {
        const { parameters, ...rest } = object(declared);
        return toolOf({ ...rest, parameters: parsed(parameters) }, "parameters");
      }),
    ),
    choice:
      typeof choice.functionName === "string"
        ? { name: choice.functionName }
        : ({ TOOL_MODE_NONE: "none", TOOL_MODE_REQUIRED: "required", TOOL_MODE_AUTO: "auto" } as const)[choice.mode as "TOOL_MODE_NONE"],
    calls: some(calls.map(({ function: call }) => ({ name: text(object(call).name) ?? "", arguments: parsed(object(call).arguments) }))),
    results: some(results.map(wordsOf)),
    json: format.formatType === "FORMAT_TYPE_JSON_OBJECT" ? true : undefined,
    schema: parsed(format.schema),
    effort: text(body.reasoningEffort)?.replace("EFFORT_", "").toLowerCase(),
    signatures: some(messages.flatMap(({ encryptedContent }) => text(encryptedContent) || [])),
    stop: body.stop as string[] | undefined,
    seed: number(body.seed),
    topLogprobs: number(body.topLogprobs),
    candidates: number(body.n),
    maxTokens: number(body.maxTokens),
    unknown: body[unknownField],
  });
}

function wordsOf({ content }: Json): string {
  return list(content)
    .flatMap((part) => text(part.text) ?? [])
    .join("");
}

function mediaOf({ imageUrl, file }: Json): string[] {
  if (imageUrl !== undefined) return [mediaOfUrl("image", text(object(imageUrl).imageUrl) ?? "")];
  if (file === undefined) return [];
  const { data, mimeType, url } = object(file);
  return [typeof url === "string" && url !== "" ? `file url ${url}` : mediaOfData("file", text(mimeType) ?? "", text(data) ?? "")];
}
