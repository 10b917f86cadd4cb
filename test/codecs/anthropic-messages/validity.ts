/**
 * What the Messages API refuses, written down from its documentation and errors, apart from the codec: the problems of
 * a request body, none where the API would take it.
 */
import type { Block, Body } from "./written.ts";

const idShape = /^[a-zA-Z0-9_-]+$/;
const nameShape = /^[a-zA-Z0-9_-]{1,128}$/;

export function problemsOf(body: Body): string[] {
  const problems: string[] = [];
  const say = (problem: string) => problems.push(problem);
  if (!Number.isInteger(body.max_tokens)) say("max_tokens: required");
  if (body.messages.length === 0) say("messages: at least one");
  if (body.messages[0]?.role !== "user") say("messages.0: must be user");
  body.messages.forEach((message, index) => {
    if (message.role !== "user" && message.role !== "assistant") say(`messages.${index}: role ${message.role}`);
    if (message.role === body.messages[index - 1]?.role) say(`messages.${index}: roles must alternate`);
    if (message.content.length === 0) say(`messages.${index}: empty content`);
    message.content.forEach((block, at) => {
      checkBlock(block, `messages.${index}.content.${at}`, message.role, say);
    });
    checkResults(body, index, say);
  });
  const ids = body.messages.flatMap(({ content }) => content.flatMap(({ type, id }) => (type === "tool_use" ? [id] : [])));
  if (new Set(ids).size !== ids.length) say("messages: tool_use ids must be unique");
  for (const block of body.system ?? []) if (block.type !== "text" || isBlank(block.text)) say("system: only text that says something");
  for (const tool of body.tools ?? []) {
    if (!nameShape.test(String(tool.name))) say(`tools: name ${tool.name}`);
    if (tool.type === undefined && (tool.input_schema as Block | undefined)?.type !== "object") say("tools: input_schema.type");
  }
  checkMarkers(body, say);
  checkThinking(body, say);
  for (const stop of (body.stop_sequences ?? []) as string[]) if (isBlank(stop)) say("stop_sequences: white space");
  if (body.temperature !== undefined && Number(body.temperature) > 1) say("temperature: at most 1");
  return problems;
}

function isBlank(text: unknown): boolean {
  return typeof text !== "string" || text.trim() === "";
}

function checkBlock(block: Block, path: string, role: string, say: (problem: string) => void): void {
  switch (block.type) {
    case "text":
      if (isBlank(block.text)) say(`${path}: empty text`);
      break;
    case "tool_use":
      if (role !== "assistant") say(`${path}: tool_use in ${role}`);
      if (!idShape.test(String(block.id))) say(`${path}: id ${block.id}`);
      if (!nameShape.test(String(block.name))) say(`${path}: name ${block.name}`);
      if (typeof block.input !== "object" || block.input === null || Array.isArray(block.input)) say(`${path}: input must be an object`);
      break;
    case "tool_result":
      if (role !== "user") say(`${path}: tool_result in ${role}`);
      for (const inner of (block.content ?? []) as Block[]) checkBlock(inner, `${path}.content`, "user", say);
      break;
    case "thinking":
    case "redacted_thinking":
      if (role !== "assistant") say(`${path}: ${block.type} in ${role}`);
      if (block.cache_control !== undefined) say(`${path}: cache_control on thinking`);
      if (block.type === "thinking" && typeof block.signature !== "string") say(`${path}: signature required`);
      break;
    case "image":
    case "document":
      if (role !== "user") say(`${path}: ${block.type} in ${role}`);
      break;
    default:
  }
}

/** Every call of a message is answered in the next one, before anything else there; nothing else is. */
function checkResults(body: Body, index: number, say: (problem: string) => void): void {
  const idsOf = (at: number, type: string, member: string) =>
    (body.messages[at]?.content ?? []).filter((block) => block.type === type).map((block) => String(block[member]));
  const calls = idsOf(index, "tool_use", "id");
  const answers = idsOf(index + 1, "tool_result", "tool_use_id");
  for (const id of calls) if (!answers.includes(id)) say(`messages.${index}: tool_use ${id} without tool_result`);
  const asked = idsOf(index - 1, "tool_use", "id");
  const results = idsOf(index, "tool_result", "tool_use_id");
  for (const id of results) if (!asked.includes(id)) say(`messages.${index}: tool_result ${id} without tool_use`);
  if (new Set(results).size !== results.length) say(`messages.${index}: one result for each call`);
  const types = (body.messages[index]?.content ?? []).map(({ type }) => type);
  if (types.lastIndexOf("tool_result") !== results.length - 1) say(`messages.${index}: results must come first`);
}

function checkMarkers(body: Body, say: (problem: string) => void): void {
  const markers: Block[] = [];
  const collect = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(collect);
    else if (typeof value === "object" && value !== null) {
      const { cache_control: marker, input: _input, input_schema: _schema, ...rest } = value as Block;
      Object.values(rest).forEach(collect);
      if (marker !== undefined) markers.push(marker as Block);
    }
  };
  for (const part of [body.tools, body.system, body.messages]) collect(part);
  if (body.cache_control !== undefined) markers.push(body.cache_control as Block);
  if (markers.length > 4) say(`cache_control: ${markers.length} markers`);
  const lifetimes = markers.map(({ ttl }) => ttl ?? "5m");
  if (lifetimes.lastIndexOf("1h") > lifetimes.indexOf("5m") && lifetimes.includes("5m")) say("cache_control: 1h after 5m");
}

function checkThinking(body: Body, say: (problem: string) => void): void {
  const thinking = body.thinking as Block | undefined;
  const choice = body.tool_choice as Block | undefined;
  const isOn = thinking !== undefined && thinking.type !== "disabled";
  if (choice !== undefined && body.tools === undefined) say("tool_choice: without tools");
  if (!isOn) return;
  if (choice?.type === "any" || choice?.type === "tool") say("thinking: not with a forced tool choice");
  for (const name of ["temperature", "top_k", "top_p"]) if (body[name] !== undefined) say(`${name}: not with thinking`);
  if (thinking.type !== "enabled") return;
  const budget = Number(thinking.budget_tokens);
  if (budget < 1024 || budget >= Number(body.max_tokens)) say(`thinking.budget_tokens: ${budget}`);
}
