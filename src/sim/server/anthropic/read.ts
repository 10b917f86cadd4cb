/** Checks a messages request as strictly as the vendor and reads it. */
import { behaviourOf } from "../../model-name.ts";
import { conversation, type Prompt, type Turn } from "../../prompt.ts";
import { checkShape, isObject, type JsonObject } from "../../shape.ts";
import { isOwnSignature } from "../../signature.ts";
import { isScripted } from "../issued.ts";
import { splitUnknown } from "../unknown.ts";
import type { Reading, RequestFacts } from "../wire.ts";
import { schemaProblem } from "./output-schema.ts";
import { countTokensShape, messagesShape, midSystemShape } from "./shape.ts";
import { refuse, refuseIssues } from "./vendor.ts";

interface Block extends JsonObject {
  readonly type: string;
}

interface Message {
  readonly role: "user" | "assistant" | "system";
  readonly content: readonly Block[];
  /** Its place in the request. */
  readonly at: number;
}

interface CustomTool {
  readonly name?: string;
  readonly input_schema?: unknown;
}

/** Models that continue no final assistant message, and take no temperature, top_p and top_k (as opus 4.7 and later). */
const strictModels = /claude-(?:opus-4-[7-9]|(?:opus|sonnet|haiku)-[5-9])/;
const maxCacheMarkers = 4;

export function readMessages(request: RequestFacts): Reading {
  return read(request, "generate");
}

export function readCountTokens(request: RequestFacts): Reading {
  return read(request, "count");
}

function read({ body, lenient }: RequestFacts, purpose: "generate" | "count"): Reading {
  const named = String(body.model ?? "");
  const shape = purpose === "count" ? countTokensShape : named.includes("mid-system") ? midSystemShape : messagesShape;
  refuseSystemRole(body, shape === midSystemShape);
  const { rest, unknown } = splitUnknown(checkShape(body, shape), lenient);
  refuseIssues(rest);
  const model = String(body.model);
  if (behaviourOf(model).kind === "missing") refuse(`model: ${model}`, 404);
  const messages = (body.messages as { role: Message["role"]; content: string | Block[] }[]).map(({ role, content }, at) => ({
    role,
    content: typeof content === "string" ? [{ type: "text", text: content }] : content,
    at,
  }));
  checkContent(messages, model);
  const merged = mergeNeighbours(messages);
  checkCalls(merged);
  checkCacheMarkers(body, messages);
  checkThinking(body, merged);
  checkTools(body);
  checkSampling(body, model);
  return { model, prompt: readPrompt(body, messages), stream: body.stream === true, array: false, unknown, body };
}

/** The vendor looks at roles before anything else. */
function refuseSystemRole({ messages }: JsonObject, midSystem: boolean): void {
  if (midSystem || !Array.isArray(messages)) return;
  if (messages.some((message) => isObject(message) && message.role === "system")) {
    refuse(
      'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an input message role.',
    );
  }
}

function checkContent(messages: readonly Message[], model: string): void {
  const [first] = messages;
  if (first === undefined) refuse("messages: at least one message is required");
  if (first.role !== "user") refuse('messages: first message must use the "user" role');
  for (const { role, content, at } of messages) {
    const last = at === messages.length - 1;
    if (content.length === 0 && !(last && role === "assistant")) {
      refuse(`messages.${at}: all messages must have non-empty content except for the optional final assistant message`);
    }
    for (const [index, block] of content.entries()) checkBlock(block, role, `messages.${at}.content.${index}`);
  }
  const last = messages.at(-1);
  if (last?.role !== "assistant") return;
  if (strictModels.test(model))
    refuse("This model does not support assistant message prefill. The conversation must end with a user message.");
  const text = last.content.at(-1)?.text;
  if (typeof text === "string" && /\s$/.test(text)) refuse("messages: final assistant content cannot end with trailing whitespace");
}

function checkBlock(block: Block, role: Message["role"], at: string): void {
  if (block.type === "text") {
    if (block.text === "") {
      if (isObject(block.cache_control)) refuse(`${at}.text: cache_control cannot be set for empty text blocks`);
      refuse("messages: text content blocks must be non-empty");
    }
    if (String(block.text).trim() === "") refuse("messages: text content blocks must contain non-whitespace text");
  }
  const forAssistant = block.type === "thinking" || block.type === "redacted_thinking" || block.type === "tool_use";
  if (forAssistant && role !== "assistant")
    refuse(`${at.replace(/\.content.*/, "")}: \`${block.type}\` blocks can only be in \`assistant\` messages`);
  if (block.type === "tool_result" && role !== "user")
    refuse(`${at.replace(/\.content.*/, "")}: \`tool_result\` blocks can only be in \`user\` messages`);
  if (block.type === "thinking" && !isIssued(String(block.signature), String(block.thinking))) {
    refuse(`${at}: Invalid \`signature\` in \`thinking\` block`);
  }
  if (block.type === "redacted_thinking" && !isIssued(String(block.data), ""))
    refuse(`${at}: Invalid \`data\` in \`redacted_thinking\` block`);
}

function isIssued(signature: string, text: string): boolean {
  return isScripted("anthropic", signature) || isOwnSignature("anthropic", signature, text);
}

/** Neighbours of one role are one turn to the service. */
function mergeNeighbours(messages: readonly Message[]): Message[] {
  const merged: Message[] = [];
  for (const message of messages) {
    const last = merged.at(-1);
    if (last?.role === message.role) merged[merged.length - 1] = { ...last, content: [...last.content, ...message.content] };
    else merged.push(message);
  }
  return merged;
}

/** Every call is answered first thing in the next message, and nothing else is answered. */
function checkCalls(messages: readonly Message[]): void {
  const seen = new Set<string>();
  for (const [index, { role, content, at }] of messages.entries()) {
    if (role === "user") checkResults(messages[index - 1], content, at);
    const calls = content.filter(({ type }) => type === "tool_use").map(({ id }) => String(id));
    for (const id of calls) {
      if (seen.has(id)) refuse("messages: `tool_use` ids must be unique");
      seen.add(id);
    }
    const next = messages[index + 1];
    if (calls.length === 0) continue;
    const answered = new Set(leadingResults(next?.content ?? []));
    const missing = calls.filter((id) => !answered.has(id));
    if (missing.length > 0) {
      refuse(
        `messages.${at}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${missing.join(", ")}. Each \`tool_use\` block must have a corresponding \`tool_result\` block in the next message.`,
      );
    }
  }
}

function leadingResults(content: readonly Block[]): string[] {
  const end = content.findIndex(({ type }) => type !== "tool_result");
  return content.slice(0, end === -1 ? undefined : end).map(({ tool_use_id }) => String(tool_use_id));
}

function checkResults(before: Message | undefined, content: readonly Block[], at: number): void {
  const calls = new Set(before?.content.filter(({ type }) => type === "tool_use").map(({ id }) => id));
  const answered = new Set<unknown>();
  for (const [index, { type, tool_use_id: id }] of content.entries()) {
    if (type !== "tool_result") continue;
    if (!calls.has(id)) {
      refuse(
        `messages.${at}.content.${index}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${String(id)}. Each \`tool_result\` block must have a corresponding \`tool_use\` block in the previous message.`,
      );
    }
    if (answered.has(id)) {
      refuse(
        `messages.${at}.content.${index}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${String(id)}`,
      );
    }
    answered.add(id);
  }
}

function checkCacheMarkers(body: JsonObject, messages: readonly Message[]): void {
  const system = Array.isArray(body.system) ? (body.system as Block[]) : [];
  const tools = (body.tools ?? []) as JsonObject[];
  const blocks = messages.flatMap(({ content }) => content);
  const inner = blocks.flatMap(({ content }) => (Array.isArray(content) ? (content as JsonObject[]) : []));
  for (const [index, block] of system.entries()) {
    if (block.text !== "") continue;
    refuse(
      isObject(block.cache_control)
        ? `system.${index}: cache_control cannot be set for empty text blocks`
        : "system: text content blocks must be non-empty",
    );
  }
  const marked = [body, ...tools, ...system, ...blocks, ...inner].filter(({ cache_control }) => isObject(cache_control));
  if (marked.length > maxCacheMarkers)
    refuse(`A maximum of ${maxCacheMarkers} blocks with cache_control may be provided. Found ${marked.length}.`);
  const lifetimes = [...tools, ...system, ...blocks].flatMap(({ cache_control: one }) => (isObject(one) ? [one.ttl ?? "5m"] : []));
  if (lifetimes.lastIndexOf("1h") > lifetimes.indexOf("5m") && lifetimes.includes("5m")) {
    refuse(
      "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`.",
    );
  }
}

function checkThinking(body: JsonObject, messages: readonly Message[]): void {
  const thinking = isObject(body.thinking) ? body.thinking : undefined;
  if (thinking?.type !== "enabled" && thinking?.type !== "adaptive") return;
  if (thinking.type === "enabled" && body.max_tokens !== undefined && Number(thinking.budget_tokens) >= Number(body.max_tokens)) {
    refuse(
      "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size",
    );
  }
  const choice = isObject(body.tool_choice) ? body.tool_choice.type : undefined;
  if (choice === "any" || choice === "tool") refuse("Thinking may not be enabled when tool_choice forces tool use.");
  if (thinking.type !== "enabled") return;
  if (body.temperature !== undefined && body.temperature !== null && body.temperature !== 1) {
    refuse(
      "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking",
    );
  }
  if (body.top_k !== undefined && body.top_k !== null) refuse("`top_k` must be unset when thinking is enabled.");
  checkThinkingFirst(messages);
}

/** The turn whose calls are being answered must show the thinking that led to them. */
function checkThinkingFirst(messages: readonly Message[]): void {
  const last = messages.at(-1);
  const before = messages.at(-2);
  if (last?.role !== "user" || !last.content.some(({ type }) => type === "tool_result") || before?.role !== "assistant") return;
  const found = before.content[0]?.type;
  if (found === "thinking" || found === "redacted_thinking") return;
  refuse(
    `messages.${before.at}.content.0.type: Expected \`thinking\` or \`redacted_thinking\`, but found \`${found}\`. When \`thinking\` is enabled, a final \`assistant\` message must start with a thinking block (preceeding the lastmost set of \`tool_use\` and \`tool_result\` blocks). To avoid this requirement, disable \`thinking\`.`,
  );
}

function checkTools(body: JsonObject): void {
  const tools = (body.tools ?? []) as CustomTool[];
  const names = tools.map(({ name }) => name);
  if (new Set(names).size < names.length) refuse("tools: Tool names must be unique.");
  const choice = isObject(body.tool_choice) ? body.tool_choice : undefined;
  if (choice !== undefined && tools.length === 0) refuse("tool_choice: tool_choice may only be specified while providing tools");
  if (choice?.type === "tool" && !names.includes(String(choice.name)))
    refuse(`tool_choice: Tool '${String(choice.name)}' not found in provided tools`);
  const format = isObject(body.output_config) && isObject(body.output_config.format) ? body.output_config.format : undefined;
  const problem = format === undefined ? undefined : schemaProblem(format.schema);
  if (problem !== undefined) refuse(`output_config.format.schema: ${problem}`);
  tools.forEach((tool, index) => {
    const strict = (tool as JsonObject).strict === true ? schemaProblem(tool.input_schema) : undefined;
    if (strict !== undefined) refuse(`tools.${index}.custom.input_schema: ${strict}`);
  });
}

function checkSampling(body: JsonObject, model: string): void {
  const stops = (body.stop_sequences ?? []) as string[];
  if (stops.some((stop) => stop.trim() === "")) refuse("stop_sequences: each stop sequence must contain non-whitespace");
  if (!strictModels.test(model)) return;
  const refused = ["temperature", "top_p", "top_k"].find((name) => body[name] !== undefined && body[name] !== null);
  if (refused !== undefined) refuse(`\`${refused}\` is deprecated for this model.`);
}

function readPrompt(body: JsonObject, messages: readonly Message[]): Prompt {
  const system = typeof body.system === "string" ? [{ type: "text", text: body.system }] : ((body.system ?? []) as Block[]);
  const turns: Turn[] = messages.map(readTurn);
  if (system.length > 0) turns.unshift({ speaker: "system", texts: system.map(({ text }) => String(text)), toolResults: [] });
  const format = isObject(body.output_config) && isObject(body.output_config.format) ? body.output_config.format : undefined;
  return {
    ...conversation(turns),
    maxOutputTokens: body.max_tokens as number | undefined,
    stop: (body.stop_sequences ?? []) as string[],
    candidates: 1,
    output: format === undefined ? undefined : { kind: "schema", schema: format.schema },
    forcedTool: readForcedTool(body),
    reasoning: readReasoning(body.thinking),
  };
}

function readTurn({ role, content }: Message): Turn {
  const texts: string[] = [];
  const toolResults: string[] = [];
  const other: string[] = [];
  for (const block of content) {
    if (block.type === "text") texts.push(String(block.text));
    else if (block.type === "tool_use") other.push(String(block.name), JSON.stringify(block.input));
    else if (block.type === "thinking") other.push(String(block.thinking));
    else if (block.type === "tool_result") toolResults.push(resultText(block.content));
  }
  return { speaker: role === "assistant" ? "model" : role, texts, toolResults, other };
}

function resultText(content: unknown): string {
  if (typeof content === "string") return content;
  return Array.isArray(content) ? content.map((block: JsonObject) => (typeof block.text === "string" ? block.text : "")).join("") : "";
}

function readForcedTool(body: JsonObject): Prompt["forcedTool"] {
  const choice = isObject(body.tool_choice) ? body.tool_choice : undefined;
  if (choice?.type !== "any" && choice?.type !== "tool") return undefined;
  const tool = ((body.tools ?? []) as CustomTool[]).find(
    ({ name, input_schema }) => input_schema !== undefined && (choice.type === "any" || choice.name === name),
  );
  return tool === undefined ? undefined : { name: String(tool.name), parameters: tool.input_schema };
}

function readReasoning(thinking: unknown): Prompt["reasoning"] {
  if (!isObject(thinking)) return "default";
  if (thinking.type === "disabled") return "off";
  if (thinking.display === "omitted") return "hidden";
  return thinking.type === "enabled" ? "asked" : "default";
}
