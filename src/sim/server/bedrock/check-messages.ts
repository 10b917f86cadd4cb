/** What the service refuses of a conversation. */
import { isObject, type JsonObject } from "../../shape.ts";
import { isOwnSignature } from "../../signature.ts";
import { isScripted } from "../issued.ts";
import { refuse } from "./vendor.ts";

export interface Message {
  readonly role: "user" | "assistant" | "system";
  readonly content: readonly JsonObject[];
  /** Its place in the request. */
  readonly at: number;
}

/** Models that continue no final assistant message. */
const noPrefill = /claude-(?:opus-4-[6-9]|sonnet-4-6|(?:opus|sonnet|haiku)-[5-9])/;
const maxImages = 20;
const maxDocuments = 5;
const documentName = /^[a-zA-Z0-9()[\]-]+(?:\s[a-zA-Z0-9()[\]-]+)*$/;

export function checkMessages(messages: readonly Message[], body: JsonObject, model: string): void {
  checkRoles(messages, model);
  for (const message of messages) checkContent(message);
  for (const [index, block] of ((body.system ?? []) as JsonObject[]).entries()) {
    oneMember(block, `system.${index}`);
    if (typeof block.text === "string" && block.text.trim() === "")
      refuse(`The text field in the SystemContentBlock object at system.${index} is blank. Add text to the text field, and try again.`);
  }
  checkDocuments(messages);
  checkCalls(messages);
  const usesTools = messages.some(({ content }) =>
    content.some(({ toolUse, toolResult }) => toolUse !== undefined || toolResult !== undefined),
  );
  if (usesTools && !isObject(body.toolConfig))
    refuse("The toolConfig field must be defined when using toolUse and toolResult content blocks.");
}

function checkRoles(messages: readonly Message[], model: string): void {
  const turns = messages.filter(({ role }) => role !== "system");
  if (turns[0]?.role !== "user")
    refuse("A conversation must start with a user message. Try again with a conversation that starts with a user message.");
  if (messages.some(({ role }, index) => role === messages[index - 1]?.role)) {
    refuse(
      "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
    );
  }
  const last = turns.at(-1);
  if (last?.role !== "assistant") return;
  if (noPrefill.test(model))
    refuse("This model does not support assistant message prefill. The conversation must end with a user message.");
  const text = last.content.at(-1)?.text;
  if (typeof text === "string" && /\s$/.test(text))
    refuse("The model returned the following errors: messages: final assistant content cannot end with trailing whitespace");
}

function checkContent({ role, content, at }: Message): void {
  if (content.length === 0)
    refuse(
      `The content field in the Message object at messages.${at} is empty. Add a ContentBlock object to the content field and try again.`,
    );
  for (const [index, block] of content.entries()) checkBlock(block, role, `messages.${at}.content.${index}`);
  const images = content.filter(({ image }) => image !== undefined).length;
  if (images > maxImages) refuse(`messages.${at}: too many images: ${images}, at most ${maxImages}`);
}

function checkBlock(block: JsonObject, role: Message["role"], at: string): void {
  oneMember(block, at);
  if (typeof block.text === "string" && block.text.trim() === "")
    refuse(`The text field in the ContentBlock object at ${at} is blank. Add text to the text field, and try again.`);
  const forAssistant = block.toolUse !== undefined || block.reasoningContent !== undefined;
  const forUser = ["toolResult", "image", "document", "video", "audio"].find((member) => block[member] !== undefined);
  if (forAssistant && role !== "assistant") refuse(`${at}: toolUse and reasoningContent are only taken where the role is assistant.`);
  if (forUser !== undefined && role !== "user") refuse(`${at}: a ${forUser} is only taken where the role is user.`);
  for (const media of [block.image, block.document, block.video, block.audio]) {
    if (isObject(media) && isObject(media.source)) oneMember(media.source, `${at}.source`);
  }
  if (isObject(block.toolResult)) {
    for (const inner of block.toolResult.content as JsonObject[]) oneMember(inner, `${at}.toolResult.content`);
  }
  if (isObject(block.reasoningContent)) checkReasoning(block.reasoningContent, at);
}

function checkReasoning(reasoning: JsonObject, at: string): void {
  oneMember(reasoning, `${at}.reasoningContent`);
  const shown = isObject(reasoning.reasoningText) ? reasoning.reasoningText : undefined;
  if (shown !== undefined && shown.signature === undefined)
    refuse(`The model returned the following errors: ${at}.thinking.signature: Field required`);
  const value = String(shown === undefined ? reasoning.redactedContent : shown.signature);
  if (isScripted("anthropic", value) || isOwnSignature("anthropic", value, shown === undefined ? "" : String(shown.text))) return;
  const kind = shown === undefined ? "`data` in `redacted_thinking`" : "`signature` in `thinking`";
  refuse(`The model returned the following errors: ${at}: Invalid ${kind} block`);
}

/** Unions have one member. */
function oneMember(union: JsonObject, at: string): void {
  if (Object.values(union).filter((value) => value !== undefined && value !== null).length === 1) return;
  refuse(`Malformed input request: ${at}: a union must have exactly one member, please reformat your input and try again.`);
}

function checkDocuments(messages: readonly Message[]): void {
  const names = new Set<string>();
  let count = 0;
  for (const { content, at } of messages) {
    const documents = content.flatMap(({ document }) => (isObject(document) ? [document] : []));
    if (documents.length > 0 && !content.some(({ text }) => typeof text === "string"))
      refuse(`messages.${at}: a text block must stand beside a document block.`);
    const inResults = content.flatMap(({ toolResult }) =>
      isObject(toolResult) ? (toolResult.content as JsonObject[]).flatMap(({ document }) => (isObject(document) ? [document] : [])) : [],
    );
    for (const { name } of [...documents, ...inResults]) {
      if (!documentName.test(String(name))) {
        refuse(
          "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, and square brackets. The name can't contain more than one consecutive whitespace character.",
        );
      }
      if (names.has(String(name))) refuse(`messages.${at}.content: duplicate document names: ${String(name)}`);
      names.add(String(name));
      count++;
    }
  }
  if (count > maxDocuments) refuse(`too many documents: ${count}, at most ${maxDocuments}`);
}

/** Every call is answered in the next message, and nothing else is answered. */
function checkCalls(messages: readonly Message[]): void {
  const idsOf = (message: Message | undefined, member: "toolUse" | "toolResult") =>
    (message?.content ?? []).flatMap((block) => (isObject(block[member]) ? [String(block[member].toolUseId)] : []));
  for (const [index, message] of messages.entries()) {
    const before = message.role === "user" ? idsOf(messages[index - 1], "toolUse") : [];
    const answers = idsOf(message, "toolResult");
    const calls = idsOf(message, "toolUse");
    if (new Set(calls).size < calls.length) refuse(`messages.${index}.content: duplicate toolUse ids`);
    if (new Set(answers).size < answers.length) refuse(`messages.${index}.content: multiple toolResult blocks with one id`);
    if (answers.length > before.length)
      refuse(`The number of toolResult blocks at messages.${index}.content exceeds the number of toolUse blocks of previous turn.`);
    const missing = before.filter((id) => !answers.includes(id));
    if (missing.length > 0) refuse(`Expected toolResult blocks at messages.${index}.content for the following Ids: ${missing.join(", ")}`);
    if (calls.length > 0 && index === messages.length - 1)
      refuse(`Expected toolResult blocks at messages.${index + 1}.content for the following Ids: ${calls.join(", ")}`);
  }
}
