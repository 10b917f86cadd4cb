/** Messages in the roles and groups that xAI has: one message per tool result, reasoning and calls beside the content. */
import { create } from "@bufbuild/protobuf";
import { type Message as CoreMessage, Role, ToolKind, type ToolResult } from "../../../gen/dragoman/v1/generate_pb.ts";
import {
  type Content,
  type Message,
  MessageRole,
  MessageSchema,
  type ToolCall,
  ToolCallSchema,
  ToolCallType,
} from "../../../gen/xai/api/v1/chat_pb.ts";
import { endOfCalls } from "../../core/call-run.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { reportForeignExtras } from "../../core/extras.ts";
import { writeJson } from "../../core/json.ts";
import { isSignedBy } from "../../core/signature.ts";
import { readMessage } from "./json-message.ts";
import { formatName, roles, signatureFamily } from "./wire.ts";
import { isMedia, type Placed, textContent, writeContent } from "./write-content.ts";
import type { WriteContext } from "./write-context.ts";

/** Type of opaque blocks that hold the output of a tool which xAI ran; all others are calls of such tools. */
export const toolOutputType = "tool_output";

export function writeMessages(messages: readonly CoreMessage[], context: WriteContext): Message[] {
  return new MessageWriter(context).write(messages);
}

class MessageWriter {
  readonly #context: WriteContext;
  readonly #written: Message[] = [];
  /** Media of assistants and tools, which only users may send here: they wait for the next turn of the user. */
  #moved: Placed[] = [];

  constructor(context: WriteContext) {
    this.#context = context;
  }

  write(messages: readonly CoreMessage[]): Message[] {
    for (let index = 0; index < messages.length; index++) {
      const end = endOfCalls(messages, index);
      if (end === index) this.#message(messages[index] as CoreMessage, `messages[${index}]`);
      else this.#assistantRun(messages.slice(index, end + 1), index);
      index = end;
    }
    this.#writeMoved();
    this.#speakAsUser(messages);
    // Every message must have content, be it empty.
    for (const { content } of this.#written) if (content.length === 0) content.push(textContent(""));
    return this.#written;
  }

  #message(message: CoreMessage, path: string): void {
    const { report } = this.#context;
    const parts = this.#placed(message, path);
    if (message.role === Role.ASSISTANT) {
      this.#writeMoved();
      this.#assistant(parts);
      return;
    }
    const results = parts.filter(({ part }) => part.part.case === "toolResult");
    for (const placed of results) this.#result(placed);
    const others = parts.filter(({ part }) => part.part.case !== "toolResult");
    if (message.role === Role.TOOL) {
      for (const { path: at } of others) report.emulated(at, "sent as the user: a tool message holds results only");
      this.#moved.push(...others);
    } else if (others.length > 0 || results.length === 0) {
      this.#others(message, others);
    }
  }

  /** Messages of the assistant that are written as one. */
  #assistantRun(messages: readonly CoreMessage[], first: number): void {
    this.#writeMoved();
    this.#assistant(messages.flatMap((message, at) => this.#placed(message, `messages[${first + at}]`)));
  }

  /** Its parts with their places; what else it says has no place here. */
  #placed({ parts, name, role, extrasJson }: CoreMessage, path: string): Placed[] {
    const { report } = this.#context;
    if (name !== "" && role !== Role.USER) report.dropped(`${path}.name`, "only users have names here");
    reportForeignExtras(extrasJson, formatName, path, report);
    return parts.map((part, index) => ({ part, path: `${path}.parts[${index}]` }));
  }

  #others({ role, name }: CoreMessage, parts: readonly Placed[]): void {
    const { report } = this.#context;
    const isUser = role === Role.USER;
    if (!isUser) {
      this.#writeMoved();
      for (const { part, path } of parts) if (isMedia(part)) report.refused(path, "must be text in a system message");
    }
    const moved = isUser ? this.#moved.splice(0) : [];
    const content = this.#content([...moved, ...parts]);
    this.#written.push(create(MessageSchema, { role: roles[role] ?? MessageRole.ROLE_USER, content, name: isUser ? name : "" }));
  }

  #result({ part, path }: Placed): void {
    if (part.part.case !== "toolResult") return;
    const { report } = this.#context;
    const result = part.part.value;
    const inner = result.content.map((content, index) => ({ part: content, path: `${path}.tool_result.content[${index}]` }));
    const media = inner.filter(({ part: content }) => isMedia(content));
    for (const { path: at } of media) report.emulated(at, "sent as the user after the results: a tool message holds text only");
    this.#moved.push(...media);
    const content = this.#resultContent(result, inner, path);
    if (part.cache !== undefined) report.dropped(`${path}.cache`, "prefixes are cached without markers");
    reportForeignExtras(part.extrasJson, formatName, path, report);
    this.#written.push(create(MessageSchema, { role: MessageRole.ROLE_TOOL, content, toolCallId: result.toolCallId }));
  }

  #resultContent(result: ToolResult, inner: readonly Placed[], path: string): Content[] {
    const texts = inner.filter(({ part }) => !isMedia(part));
    const content = result.resultJson === "" ? this.#content(texts) : [textContent(result.resultJson)];
    if (!result.isError) return content;
    this.#context.report.emulated(`${path}.tool_result.is_error`, 'the text begins with "Error: "');
    return [textContent("Error: "), ...content];
  }

  /** A message has room for one encrypted reasoning: the next one begins a message of its own. */
  #assistant(parts: readonly Placed[]): void {
    let message: Message | undefined;
    const next = () => {
      message = create(MessageSchema, { role: MessageRole.ROLE_ASSISTANT });
      this.#written.push(message);
      return message;
    };
    for (const placed of parts) {
      const { part, path } = placed;
      const { case: kind, value } = part.part;
      if (kind === "reasoning") {
        const thought = this.#reasoning(placed);
        if (thought === undefined) continue;
        const current = message === undefined || (thought.encrypted !== "" && message.encryptedContent !== "") ? next() : message;
        if (thought.text !== "") current.reasoningContent = (current.reasoningContent ?? "") + thought.text;
        if (thought.encrypted !== "") current.encryptedContent = thought.encrypted;
      } else if (kind === "toolCall") {
        (message ?? next()).toolCalls.push(this.#call(placed));
      } else if (kind === "opaque" && value.format === formatName) {
        if (value.type !== toolOutputType)
          (message ?? next()).toolCalls.push(readMessage(ToolCallSchema, value.dataJson, `${path}.opaque.data_json`));
        else {
          this.#written.push(readMessage(MessageSchema, value.dataJson, `${path}.opaque.data_json`));
          message = undefined;
        }
      } else if (isMedia(part)) {
        this.#context.report.emulated(path, "moved to the next turn of the user: the target takes no media from the assistant");
        this.#moved.push(placed);
      } else {
        const content = writeContent(placed, this.#context);
        if (content !== undefined) (message ?? next()).content.push(content);
      }
    }
  }

  /** contract.md 1, rule 4: what another provider signed is left out with its text. */
  #reasoning({ part, path }: Placed): { text: string; encrypted: string } | undefined {
    if (part.part.case !== "reasoning") return undefined;
    const { report, target } = this.#context;
    const { signature } = part;
    const { text, summaries, redacted } = part.part.value;
    if (signature !== undefined && !isSignedBy(signature, signatureFamily, target.provider)) {
      report.dropped(path, "reasoning that another provider signed");
      return undefined;
    }
    if (redacted && signature === undefined) {
      report.dropped(path, "reasoning that is hidden and has no signature");
      return undefined;
    }
    return { text: text || summaries.join("\n\n"), encrypted: signature?.value ?? "" };
  }

  #call({ part, path }: Placed): ToolCall {
    const { report } = this.#context;
    const call = part.part.case === "toolCall" ? part.part.value : undefined;
    const isCustom = call?.kind === ToolKind.CUSTOM;
    if (isCustom) report.emulated(`${path}.tool_call.input_text`, "a function call: the target knows no free-text tools");
    if (part.signature !== undefined) report.dropped(`${path}.signature`, "calls carry no signature here");
    reportForeignExtras(part.extrasJson, formatName, path, report);
    const written = isCustom ? writeJson({ [customToolArgument]: call.inputText }) : call?.argumentsJson || "{}";
    return create(ToolCallSchema, {
      id: call?.id ?? "",
      type: ToolCallType.CLIENT_SIDE_TOOL,
      tool: { case: "function", value: { name: call?.name ?? "", arguments: written } },
    });
  }

  #content(parts: readonly Placed[]): Content[] {
    return parts.flatMap((placed) => writeContent(placed, this.#context) ?? []);
  }

  #writeMoved(): void {
    const moved = this.#moved.splice(0);
    if (moved.length > 0) this.#written.push(create(MessageSchema, { role: MessageRole.ROLE_USER, content: this.#content(moved) }));
  }

  /** The service wants something to answer: where there are only instructions, the last is said by the user. */
  #speakAsUser(messages: readonly CoreMessage[]): void {
    const isInstruction = ({ role }: CoreMessage) => role === Role.SYSTEM || role === Role.DEVELOPER;
    const last = this.#written.at(-1);
    if (last === undefined || !messages.every(isInstruction)) return;
    last.role = MessageRole.ROLE_USER;
    this.#context.report.emulated(`messages[${messages.length - 1}]`, "sent as the user: the target wants a message to answer");
  }
}
