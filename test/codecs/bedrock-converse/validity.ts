/**
 * What the Converse API refuses, written down from its documentation and errors, apart from the codec: the problems of a
 * request body, none where the API would take it.
 */
import type { Block, Body } from "./written.ts";

const nameShape = /^[a-zA-Z0-9_-]{1,64}$/;
const documentShape = /^(?!.*\s\s)[a-zA-Z0-9\s()[\]-]{1,200}$/;

type Say = (problem: string) => void;

export function problemsOf(body: Body): string[] {
  const problems: string[] = [];
  const say = (problem: string) => problems.push(problem);
  if (body.messages.length === 0) say("messages: at least one");
  if (body.messages[0]?.role !== "user") say("messages.0: must be user");
  body.messages.forEach(({ role, content }, index) => {
    if (role !== "user" && role !== "assistant" && role !== "system") say(`messages.${index}: role ${role}`);
    if (role === body.messages[index - 1]?.role) say(`messages.${index}: roles must alternate`);
    if (content.length === 0) say(`messages.${index}: empty content`);
    content.forEach((block, at) => {
      checkBlock(block, `messages.${index}.content.${at}`, role, say);
    });
    if (content.some(({ document }) => document !== undefined) && !content.some(({ text }) => text !== undefined))
      say(`messages.${index}: a document without text`);
    checkResults(body, index, say);
  });
  for (const block of body.system ?? []) {
    oneMember(block, "system", say);
    if (block.text !== undefined && isBlank(block.text)) say("system: blank text");
  }
  checkTools(body, say);
  checkDocuments(body, say);
  checkPoints(body, say);
  checkThinking(body, say);
  const config = (body.inferenceConfig ?? {}) as Block;
  for (const stop of (config.stopSequences ?? []) as string[]) if (isBlank(stop)) say("stopSequences: white space");
  if (config.temperature !== undefined && Number(config.temperature) > 1) say("temperature: at most 1");
  return problems;
}

function isBlank(text: unknown): boolean {
  return typeof text !== "string" || text.trim() === "";
}

function oneMember(union: Block, path: string, say: Say): void {
  if (Object.keys(union).length !== 1) say(`${path}: not one member: ${Object.keys(union)}`);
}

function checkBlock(block: Block, path: string, role: string, say: Say): void {
  oneMember(block, path, say);
  if (block.text !== undefined && isBlank(block.text)) say(`${path}: blank text`);
  const call = block.toolUse as Block | undefined;
  if (call !== undefined) {
    if (role !== "assistant") say(`${path}: toolUse in ${role}`);
    if (!nameShape.test(String(call.toolUseId))) say(`${path}: id ${call.toolUseId}`);
    if (!nameShape.test(String(call.name))) say(`${path}: name ${call.name}`);
    if (typeof call.input !== "object" || call.input === null || Array.isArray(call.input)) say(`${path}: input must be an object`);
  }
  const result = block.toolResult as Block | undefined;
  if (result !== undefined) {
    if (role !== "user") say(`${path}: toolResult in ${role}`);
    for (const inner of result.content as Block[]) checkBlock(inner, `${path}.content`, "user", say);
  }
  if (block.reasoningContent !== undefined && role !== "assistant") say(`${path}: reasoning in ${role}`);
  for (const member of ["image", "document", "video", "audio"]) {
    if (block[member] === undefined) continue;
    if (role !== "user") say(`${path}: ${member} in ${role}`);
    oneMember((block[member] as Block).source as Block, `${path}.${member}.source`, say);
  }
}

function callsOf(body: Body, at: number, member: "toolUse" | "toolResult"): string[] {
  return (body.messages[at]?.content ?? []).flatMap((block) => {
    const value = block[member] as Block | undefined;
    return value === undefined ? [] : [String(value.toolUseId)];
  });
}

/** Every call of a message is answered in the next one, in the same order; nothing else is. */
function checkResults(body: Body, index: number, say: Say): void {
  const calls = callsOf(body, index, "toolUse");
  if (calls.length > 0 && JSON.stringify(callsOf(body, index + 1, "toolResult")) !== JSON.stringify(calls))
    say(`messages.${index}: results of ${calls}`);
  if (callsOf(body, index, "toolResult").length > callsOf(body, index - 1, "toolUse").length)
    say(`messages.${index}: more results than calls`);
}

function checkTools(body: Body, say: Say): void {
  const uses = body.messages.some(({ content }) =>
    content.some(({ toolUse, toolResult }) => toolUse !== undefined || toolResult !== undefined),
  );
  if (uses && body.toolConfig === undefined) say("toolConfig: must be defined");
  const { tools = [], toolChoice } = body.toolConfig ?? {};
  if (body.toolConfig !== undefined && tools.length === 0) say("toolConfig.tools: at least one");
  const specs = tools.flatMap(({ toolSpec }) => (toolSpec === undefined ? [] : [toolSpec as Block]));
  for (const { name, inputSchema } of specs) {
    if (!nameShape.test(String(name))) say(`toolConfig: name ${name}`);
    if (((inputSchema as Block).json as Block).type !== "object") say("toolConfig: inputSchema.json.type");
  }
  if (toolChoice === undefined) return;
  oneMember(toolChoice, "toolChoice", say);
  if (!["auto", "any", "tool"].includes(Object.keys(toolChoice)[0] ?? "")) say(`toolChoice: ${Object.keys(toolChoice)}`);
}

function checkDocuments(body: Body, say: Say): void {
  const names = body.messages.flatMap(({ content }) =>
    content.flatMap(({ document }) => (document === undefined ? [] : [String((document as Block).name)])),
  );
  for (const name of names) if (!documentShape.test(name)) say(`document: name ${JSON.stringify(name)}`);
  if (new Set(names).size < names.length) say("document: names must differ");
}

function checkPoints(body: Body, say: Say): void {
  const lists = [body.toolConfig?.tools ?? [], body.system ?? [], ...body.messages.map(({ content }) => content)];
  for (const list of lists) {
    list.forEach(({ cachePoint }, index) => {
      const before = list[index - 1];
      if (cachePoint !== undefined && (before === undefined || before.cachePoint !== undefined || before.reasoningContent !== undefined))
        say("cachePoint: after nothing, another, or reasoning");
    });
  }
  const points = lists.flat().flatMap(({ cachePoint }) => (cachePoint === undefined ? [] : [cachePoint as Block]));
  if (points.length > 4) say(`cachePoint: ${points.length}`);
  const lifetimes = points.map(({ ttl }) => ttl ?? "5m");
  if (lifetimes.includes("5m") && lifetimes.lastIndexOf("1h") > lifetimes.indexOf("5m")) say("cachePoint: 1h after 5m");
}

function checkThinking(body: Body, say: Say): void {
  const fields = body.additionalModelRequestFields ?? {};
  const thinking = fields.thinking as Block | undefined;
  if (thinking === undefined || thinking.type === "disabled") return;
  const choice = body.toolConfig?.toolChoice;
  if (choice?.any !== undefined || choice?.tool !== undefined) say("thinking: not with a forced choice");
  const config = (body.inferenceConfig ?? {}) as Block;
  for (const name of ["temperature", "topP"]) if (config[name] !== undefined) say(`${name}: not with thinking`);
  if (fields.top_k !== undefined) say("top_k: not with thinking");
  if (thinking.type !== "enabled") return;
  const budget = Number(thinking.budget_tokens);
  if (budget < 1024 || (config.maxTokens !== undefined && budget >= Number(config.maxTokens))) say(`budget_tokens: ${budget}`);
}
