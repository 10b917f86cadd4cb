/** What an upstream of Bedrock's Converse was told. */
import { type Received, unknownField } from "./scene.ts";
import { type Json, list, mediaOfData, number, object, parsed, short, some, text, view } from "./upstream-view.ts";

const documentTypes: Readonly<Record<string, string>> = { pdf: "application/pdf", txt: "text/plain" };

export function readBedrock(body: Json): Received {
  const messages = list(body.messages);
  const blocks = messages.flatMap(({ content }) => list(content));
  const system = list(body.system);
  const config = object(body.inferenceConfig);
  const toolConfig = object(body.toolConfig);
  const extra = object(body.additionalModelRequestFields);
  const choice = object(toolConfig.toolChoice);
  const results = blocks.flatMap(({ toolResult }) => (toolResult === undefined ? [] : [object(toolResult)]));
  const inResults = results.flatMap(({ content }) => list(content));
  const output = object(body.outputConfig);
  const schema = object(object(object(output.textFormat).structure).jsonSchema).schema;
  return view({
    system: some(system.flatMap((block) => text(block.text) ?? [])),
    turns: some(
      messages.flatMap(({ role, content }) => {
        const words = list(content).flatMap((block) => text(block.text) ?? []);
        return words.length === 0 ? [] : [`${role}: ${short(words.join(""))}`];
      }),
    ),
    media: some(blocks.flatMap(mediaOf)),
    tools: some(
      list(toolConfig.tools).flatMap(({ toolSpec }) => {
        if (toolSpec === undefined) return [];
        const { name, description, inputSchema } = object(toolSpec);
        return [{ name: text(name) ?? "", description: text(description) ?? "", schema: object(object(inputSchema).json) }];
      }),
    ),
    choice: choice.tool !== undefined ? { name: text(object(choice.tool).name) ?? "" } : choice.any !== undefined ? "required" : undefined,
    calls: some(
      blocks.flatMap(({ toolUse }) =>
        toolUse === undefined ? [] : [{ name: text(object(toolUse).name) ?? "", arguments: object(toolUse).input }],
      ),
    ),
    results: some(
      results.map(({ content }) =>
        list(content)
          .flatMap((part) => (part.json === undefined ? (text(part.text) ?? []) : [JSON.stringify(part.json)]))
          .join(""),
      ),
    ),
    resultErrors: results.some(({ status }) => status === "error") ? results.map(({ status }) => status === "error") : undefined,
    resultImages: inResults.filter(({ image }) => image !== undefined).length || undefined,
    schema: parsed(schema),
    effort: text(output.effort) ?? budgetOf(extra),
    signatures: some(
      blocks.flatMap(({ reasoningContent }) => {
        const { reasoningText, redactedContent } = object(reasoningContent);
        return text(object(reasoningText).signature) ?? text(redactedContent) ?? [];
      }),
    ),
    cache: some([...list(toolConfig.tools), ...system, ...blocks, ...inResults].flatMap(markerOf)),
    stop: config.stopSequences as string[] | undefined,
    maxTokens: number(config.maxTokens),
    unknown: extra[unknownField] ?? body[unknownField],
  });
}

function budgetOf({ thinking }: Json): string | undefined {
  const { type, budget_tokens } = object(thinking);
  return type === "enabled" ? `budget ${budget_tokens}` : undefined;
}

function mediaOf({ image, document, audio }: Json): string[] {
  const bytesOf = (block: Json) => text(object(block.source).bytes) ?? "";
  if (image !== undefined) return [mediaOfData("image", `image/${object(image).format}`, bytesOf(object(image)))];
  if (audio !== undefined) return [mediaOfData("audio", `audio/${object(audio).format}`, bytesOf(object(audio)))];
  if (document === undefined) return [];
  return [mediaOfData("file", documentTypes[text(object(document).format) ?? ""] ?? "", bytesOf(object(document)))];
}

function markerOf({ cachePoint }: Json): number[] {
  if (cachePoint === undefined) return [];
  return [({ "5m": 300, "1h": 3600 } as const)[object(cachePoint).ttl as "5m"] ?? 0];
}
