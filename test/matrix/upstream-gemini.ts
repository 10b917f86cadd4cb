/** What an upstream of Gemini's format was told. */
import { type Received, unknownField } from "./scene.ts";
import { type Json, list, mediaOfData, number, object, short, some, text, view } from "./upstream-view.ts";

export function readGemini(body: Json): Received {
  const contents = list(body.contents);
  const parts = contents.flatMap((content) => list(content.parts));
  const config = object(body.generationConfig);
  const thinking = object(config.thinkingConfig);
  const calling = object(object(body.toolConfig).functionCallingConfig);
  const results = parts.flatMap(({ functionResponse }) => (functionResponse === undefined ? [] : [object(functionResponse)]));
  const allowed = calling.allowedFunctionNames as string[] | undefined;
  return view({
    system: some(list(object(body.systemInstruction).parts).flatMap((part) => text(part.text) ?? [])),
    turns: some(
      contents.flatMap(({ role, parts: own }) => {
        const words = list(own).flatMap((part) => (part.thought === true ? [] : (text(part.text) ?? [])));
        return words.length === 0 ? [] : [`${role === "model" ? "assistant" : role}: ${short(words.join(""))}`];
      }),
    ),
    media: some(parts.flatMap(mediaOf)),
    tools: some(
      list(body.tools).flatMap(({ functionDeclarations }) =>
        list(functionDeclarations).map(({ name, description, parametersJsonSchema, parameters }) => ({
          name: text(name) ?? "",
          description: text(description) ?? "",
          schema: object(parametersJsonSchema ?? parameters),
        })),
      ),
    ),
    choice: choiceOf(calling.mode, allowed),
    calls: some(
      parts.flatMap(({ functionCall }) =>
        functionCall === undefined ? [] : [{ name: text(object(functionCall).name) ?? "", arguments: object(functionCall).args ?? {} }],
      ),
    ),
    results: some(results.map(({ response }) => resultOf(object(response)))),
    resultErrors: results.some(({ response }) => object(response).error !== undefined)
      ? results.map(({ response }) => object(response).error !== undefined)
      : undefined,
    resultImages: results.flatMap((result) => list(result.parts)).length || undefined,
    json:
      config.responseMimeType === "application/json" && config.responseJsonSchema === undefined && config.responseSchema === undefined
        ? true
        : undefined,
    schema: config.responseJsonSchema ?? config.responseSchema,
    effort:
      text(thinking.thinkingLevel)?.toLowerCase() ??
      (thinking.thinkingBudget === undefined ? undefined : `budget ${thinking.thinkingBudget}`),
    signatures: some(parts.flatMap(({ thoughtSignature }) => text(thoughtSignature) ?? [])),
    stop: config.stopSequences as string[] | undefined,
    seed: number(config.seed),
    topLogprobs: number(config.logprobs),
    candidates: number(config.candidateCount),
    maxTokens: number(config.maxOutputTokens),
    // One name in two spellings: https://protobuf.dev/programming-guides/json/
    unknown: body[unknownField] ?? body.dragomanMatrixField,
  });
}

function choiceOf(mode: unknown, allowed: readonly string[] | undefined): Received["choice"] | undefined {
  if (mode === "ANY") return allowed?.length === 1 ? { name: allowed[0] ?? "" } : "required";
  return ({ NONE: "none", AUTO: "auto" } as const)[mode as "NONE"];
}

/** `{output: text}` and `{error: text}` are texts; any other object is the result itself. */
function resultOf(response: Json): string {
  const words = response.output ?? response.error;
  return typeof words === "string" && Object.keys(response).length === 1 ? words : JSON.stringify(response);
}

function mediaOf({ inlineData, fileData }: Json): string[] {
  if (inlineData !== undefined) {
    const { mimeType, data } = object(inlineData);
    const type = text(mimeType) ?? "";
    return [mediaOfData(kindOf(type), type, text(data) ?? "")];
  }
  if (fileData === undefined) return [];
  const { mimeType, fileUri } = object(fileData);
  return [`${kindOf(text(mimeType) ?? "")} url ${fileUri}`];
}

function kindOf(mimeType: string): string {
  const [first = ""] = mimeType.split("/");
  return first === "image" || first === "audio" || first === "video" ? first : "file";
}
