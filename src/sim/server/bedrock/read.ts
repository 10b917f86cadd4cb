/** Checks a Converse request as strictly as the vendor and reads it. */
import { behaviourOf } from "../../model-name.ts";
import { conversation, type Prompt, type Turn } from "../../prompt.ts";
import { checkShape, isObject, type JsonObject } from "../../shape.ts";
import { schemaProblem } from "../anthropic/output-schema.ts";
import { splitUnknown } from "../unknown.ts";
import type { Reading, RequestFacts } from "../wire.ts";
import { checkMessages, type Message } from "./check-messages.ts";
import { converseShape, countTokensShape, midSystemShape } from "./shape.ts";
import { refuse, refuseIssues } from "./vendor.ts";

/** Models that take no temperature, topP and top_k (as opus 4.7 and later). */
const strictModels = /claude-(?:opus-4-[7-9]|(?:opus|sonnet|haiku)-[5-9])/;
const maxCachePoints = 4;

export function readConverse({ body, model, stream, lenient }: RequestFacts): Reading {
  const shape = model.includes("mid-system") ? midSystemShape : converseShape;
  const { rest, unknown } = splitUnknown(checkShape(body, shape), lenient);
  refuseIssues(rest);
  const messages = check(body, model);
  return { model, prompt: readPrompt(body, messages), stream, array: false, unknown, body };
}

export function readCountTokens({ body, model, lenient }: RequestFacts): Prompt {
  const { rest } = splitUnknown(checkShape(body, countTokensShape), lenient);
  refuseIssues(rest);
  const { converse } = body.input as { converse?: JsonObject };
  if (converse === undefined) refuse("The provided input is not one that the simulator counts: give input.converse.");
  return readPrompt(converse, check(converse, model));
}

/** Everything that a shape cannot say. */
function check(body: JsonObject, model: string): Message[] {
  if (behaviourOf(model).kind === "missing") refuse("Could not resolve the foundation model from the provided model identifier.", 404);
  const messages = (body.messages as Omit<Message, "at">[]).map(({ role, content }, at) => ({ role, content, at }));
  checkMessages(messages, body, model);
  checkCachePoints(body, messages);
  checkTools(body);
  checkFormat(body);
  checkThinking(body, messages);
  if (strictModels.test(model)) checkSampling(body);
  return messages;
}

function checkCachePoints(body: JsonObject, messages: readonly Message[]): void {
  const tools = isObject(body.toolConfig) ? (body.toolConfig.tools as JsonObject[]) : [];
  const system = (body.system ?? []) as JsonObject[];
  for (const { content, at } of messages) {
    for (const [index, block] of content.entries()) {
      const before = content[index - 1];
      if (block.cachePoint === undefined) continue;
      if (before?.reasoningContent !== undefined)
        refuse(`messages.${at}.content.${index}: Cache point cannot be inserted after reasoning block.`);
      if (before === undefined || before.cachePoint !== undefined)
        refuse(`messages.${at}.content.${index}: Cache point must follow a content block.`);
    }
  }
  const points = [...tools, ...system, ...messages.flatMap(({ content }) => content)].flatMap(({ cachePoint }) =>
    isObject(cachePoint) ? [cachePoint] : [],
  );
  if (points.length > maxCachePoints)
    refuse(`You have exceeded the maximum number of cache points: ${maxCachePoints} are allowed, found ${points.length}.`);
  const lifetimes = points.map(({ ttl }) => ttl ?? "5m");
  if (lifetimes.includes("5m") && lifetimes.lastIndexOf("1h") > lifetimes.indexOf("5m"))
    refuse("A cache point with a ttl of 1h must not come after one with a ttl of 5m.");
}

function toolNames(body: JsonObject): unknown[] {
  const tools = isObject(body.toolConfig) ? (body.toolConfig.tools as JsonObject[]) : [];
  return tools.flatMap(({ toolSpec, systemTool }) => [toolSpec, systemTool].flatMap((tool) => (isObject(tool) ? [tool.name] : [])));
}

function checkTools(body: JsonObject): void {
  const names = toolNames(body);
  if (!isObject(body.toolConfig)) return;
  if (names.length === 0) refuse("The toolConfig field must define at least one tool.");
  if (new Set(names).size < names.length) refuse("The tool configuration contains duplicate tool names.");
  for (const tool of body.toolConfig.tools as JsonObject[]) checkMembers(tool, "toolConfig.tools");
  const choice = body.toolConfig.toolChoice;
  if (!isObject(choice)) return;
  checkMembers(choice, "toolConfig.toolChoice");
  if (isObject(choice.tool) && !names.includes(choice.tool.name))
    refuse(`The tool ${String(choice.tool.name)} of toolChoice is not defined in toolConfig.`);
}

/** Unions have one member. */
function checkMembers(union: JsonObject, place: string): void {
  if (Object.values(union).filter((value) => value !== undefined && value !== null).length !== 1)
    refuse(`Malformed input request: ${place}: a union must have exactly one member, please reformat your input and try again.`);
}

function formatOf(body: JsonObject): { schema: unknown } | undefined {
  const output = isObject(body.outputConfig) ? body.outputConfig : {};
  const format = isObject(output.textFormat) ? (output.textFormat as { structure: { jsonSchema?: { schema: string } } }) : undefined;
  if (format?.structure.jsonSchema === undefined) return undefined;
  try {
    return { schema: JSON.parse(format.structure.jsonSchema.schema) };
  } catch {
    return refuse("outputConfig.textFormat.structure.jsonSchema.schema: The provided JSON schema is not valid JSON.");
  }
}

function checkFormat(body: JsonObject): void {
  const format = formatOf(body);
  const problem = format === undefined ? undefined : schemaProblem(format.schema);
  if (problem !== undefined) refuse(`outputConfig.textFormat.structure.jsonSchema.schema: ${problem}`);
}

function thinkingOf(body: JsonObject): JsonObject | undefined {
  const fields = isObject(body.additionalModelRequestFields) ? body.additionalModelRequestFields : {};
  return isObject(fields.thinking) ? fields.thinking : undefined;
}

/** Claude's own checks, which its errors are passed on from. */
function checkThinking(body: JsonObject, messages: readonly Message[]): void {
  const thinking = thinkingOf(body);
  if (thinking?.type !== "enabled" && thinking?.type !== "adaptive") return;
  const config = isObject(body.inferenceConfig) ? body.inferenceConfig : {};
  const fields = body.additionalModelRequestFields as JsonObject;
  const choice = isObject(body.toolConfig) && isObject(body.toolConfig.toolChoice) ? body.toolConfig.toolChoice : {};
  const modelSays = (what: string) => refuse(`The model returned the following errors: ${what}`);
  if (choice.any !== undefined || choice.tool !== undefined) modelSays("Thinking may not be enabled when tool_choice forces tool use.");
  if (thinking.type !== "enabled") return;
  if (!(Number(thinking.budget_tokens) >= 1024)) modelSays("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024");
  if (config.maxTokens !== undefined && Number(thinking.budget_tokens) >= Number(config.maxTokens))
    modelSays("`max_tokens` must be greater than `thinking.budget_tokens`.");
  if (config.temperature !== undefined && config.temperature !== 1)
    modelSays("`temperature` may only be set to 1 when thinking is enabled.");
  if (fields.top_k !== undefined) modelSays("`top_k` must be unset when thinking is enabled.");
  const [calls, results] = [messages.at(-2), messages.at(-1)];
  if (results?.content[0]?.toolResult === undefined || calls?.content[0]?.reasoningContent !== undefined) return;
  modelSays(
    `messages.${calls?.at}.content.0.type: Expected \`thinking\` or \`redacted_thinking\`, but found \`${Object.keys(calls?.content[0] ?? {})[0]}\`. When \`thinking\` is enabled, a final \`assistant\` message must start with a thinking block.`,
  );
}

function checkSampling(body: JsonObject): void {
  const config = isObject(body.inferenceConfig) ? body.inferenceConfig : {};
  const fields = isObject(body.additionalModelRequestFields) ? body.additionalModelRequestFields : {};
  const refused = config.temperature !== undefined ? "temperature" : config.topP !== undefined ? "top_p" : fields.top_k && "top_k";
  if (refused) refuse(`The model returned the following errors: \`${String(refused)}\` is deprecated for this model.`);
}

function readPrompt(body: JsonObject, messages: readonly Message[]): Prompt {
  const system = ((body.system ?? []) as JsonObject[]).flatMap(({ text }) => (typeof text === "string" ? [text] : []));
  const turns: Turn[] = messages.map(readTurn);
  if (system.length > 0) turns.unshift({ speaker: "system", texts: system, toolResults: [] });
  const config = isObject(body.inferenceConfig) ? body.inferenceConfig : {};
  const format = formatOf(body);
  return {
    ...conversation(turns),
    maxOutputTokens: config.maxTokens as number | undefined,
    stop: (config.stopSequences ?? []) as string[],
    candidates: 1,
    output: format === undefined ? undefined : { kind: "schema", schema: format.schema },
    forcedTool: readForcedTool(body),
    reasoning: readReasoning(thinkingOf(body)),
  };
}

function readTurn({ role, content }: Message): Turn {
  const texts: string[] = [];
  const toolResults: string[] = [];
  const other: string[] = [];
  for (const block of content) {
    if (typeof block.text === "string") texts.push(block.text);
    else if (isObject(block.citationsContent)) texts.push(textOf(block.citationsContent.content));
    else if (isObject(block.toolUse)) other.push(String(block.toolUse.name), JSON.stringify(block.toolUse.input));
    else if (isObject(block.toolResult)) toolResults.push(textOf(block.toolResult.content));
    else if (isObject(block.reasoningContent) && isObject(block.reasoningContent.reasoningText)) {
      other.push(String(block.reasoningContent.reasoningText.text));
    }
  }
  return { speaker: role === "assistant" ? "model" : role, texts, toolResults, other };
}

function textOf(content: unknown): string {
  if (!Array.isArray(content)) return "";
  return content.map(({ text, json }: JsonObject) => (json === undefined ? String(text ?? "") : JSON.stringify(json))).join("");
}

function readForcedTool(body: JsonObject): Prompt["forcedTool"] {
  if (!isObject(body.toolConfig) || !isObject(body.toolConfig.toolChoice)) return undefined;
  const { any, tool: named } = body.toolConfig.toolChoice;
  if (any === undefined && named === undefined) return undefined;
  const specs = (body.toolConfig.tools as JsonObject[]).flatMap(({ toolSpec }) => (isObject(toolSpec) ? [toolSpec] : []));
  const spec = specs.find(({ name }) => any !== undefined || (isObject(named) && named.name === name));
  return spec === undefined ? undefined : { name: String(spec.name), parameters: (spec.inputSchema as JsonObject).json };
}

function readReasoning(thinking: JsonObject | undefined): Prompt["reasoning"] {
  if (thinking === undefined) return "default";
  if (thinking.type === "disabled") return "off";
  if (thinking.display === "omitted") return "hidden";
  return thinking.type === "enabled" ? "asked" : "default";
}
