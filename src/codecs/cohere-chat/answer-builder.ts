/**
 * Builds the events of one answer from its pieces, whether they came one by one or as a whole: the one place that knows
 * what each kind of content becomes.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Annotation,
  BlockKind,
  FinishReason,
  OpaquePartSchema,
  type TokenLogprob,
  ToolCallSchema,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { CallState } from "../../core/call-state.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { EventBuilder, finishedEvent, type GenerateEvent, opaqueEvent, startedEvent, usageEvent } from "../../core/event.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText } from "../../core/json.ts";
import { textMember } from "../../core/members.ts";
import { contentIndexOf, readCitation } from "./citations.ts";
import { readUsage } from "./usage.ts";
import { finishReasons, formatName, objectMember, planMark, unknownMembers } from "./wire.ts";

/** The answer is one candidate. */
const candidate = 0;

const textKnown = new Set(["type", "text"]);
const thinkingKnown = new Set(["type", "thinking"]);
const callKnown = new Set(["id", "type", "function"]);
const endKnown = new Set(["finish_reason", "usage", "error"]);

interface OpenContent {
  /** Number of the block among the core's. */
  readonly index: number;
  readonly wireIndex: number;
}

interface OpenCall {
  readonly index: number;
  readonly form: "call" | "custom" | "schema";
  readonly args: string[];
}

export class AnswerBuilder {
  readonly #provider: string;
  readonly #state: CallState;
  readonly #events = new EventBuilder();
  /** Text or thinking that may still be cited: its end waits for whatever comes next. */
  #content: OpenContent | undefined;
  #contentEnded = false;
  /** The plan beside tool calls. */
  #plan: number | undefined;
  /** By the wire's index. */
  readonly #calls = new Map<number, OpenCall>();
  #started = false;
  #calledTool = false;

  constructor(provider: string, state: CallState) {
    this.#provider = provider;
    this.#state = state;
  }

  take(): GenerateEvent[] {
    return this.#events.take();
  }

  start(id: string, extras: Record<string, string> = {}): void {
    if (this.#started) return;
    this.#started = true;
    this.#events.push(startedEvent({ upstreamId: id, provider: this.#provider }, extras));
  }

  opaqueEvent(type: string, dataJson: string): void {
    this.#events.push(opaqueEvent(formatName, type, dataJson));
  }

  startContent(wireIndex: number, content: JsonObject): void {
    this.start("");
    this.#endQuiet();
    const type = textMember(content, "type");
    if (type === "thinking" || (type === "" && typeof content.thinking === "string")) {
      const index = this.#events.startBlock(candidate, BlockKind.REASONING, {}, unknownMembers(content, thinkingKnown));
      this.#opened(index, wireIndex);
    } else if (type === "text" || type === "") {
      this.#opened(this.#events.startBlock(candidate, BlockKind.TEXT, {}, unknownMembers(content, textKnown)), wireIndex);
    } else {
      const opaque = create(OpaquePartSchema, { format: formatName, type, dataJson: jsonText(content) });
      const index = this.#events.startBlock(candidate, BlockKind.OPAQUE, { opaque });
      this.#events.endBlock(candidate, index, { opaque });
      return;
    }
    this.growContent(wireIndex, content);
  }

  growContent(wireIndex: number, content: JsonObject, logprobs: TokenLogprob[] = []): void {
    if (this.#content?.wireIndex !== wireIndex) {
      const isText = typeof content.text === "string" || typeof content.thinking === "string";
      // A piece without a start: some servers leave it out.
      if (isText) this.startContent(wireIndex, { ...content, text: content.text ?? "" });
      return;
    }
    const text = textMember(content, "text") || textMember(content, "thinking");
    if (text !== "" || logprobs.length > 0) this.#grow(this.#content.index, text, [], logprobs);
  }

  endContent(wireIndex: number): void {
    if (this.#content?.wireIndex === wireIndex) this.#contentEnded = true;
  }

  growPlan(text: string): void {
    this.start("");
    if (text === "") return;
    if (this.#plan === undefined) {
      this.#endQuiet();
      this.#plan = this.#events.startBlock(candidate, BlockKind.REASONING, {}, { [formatName]: `{"${planMark}":true}` });
    }
    this.#events.text(candidate, this.#plan, text);
  }

  startCall(wireIndex: number, call: JsonObject): void {
    this.start("");
    this.#endQuiet();
    // An index that is used again begins another call.
    this.endCall(wireIndex);
    const { name: sent = "", arguments: first } = objectMember(call, "function");
    const name = typeof sent === "string" ? sent : "";
    if (this.#state.schemaTool !== "" && name === this.#state.schemaTool) {
      this.#calls.set(wireIndex, { index: this.#events.startBlock(candidate, BlockKind.TEXT), form: "schema", args: [] });
    } else {
      this.#calledTool = true;
      const isCustom = this.#state.customTools.has(name);
      const kind = isCustom ? ToolKind.CUSTOM : ToolKind.FUNCTION;
      const toolCall = create(ToolCallSchema, { id: textMember(call, "id"), name: this.#state.originalName(name), kind });
      const index = this.#events.startBlock(candidate, BlockKind.TOOL_CALL, { toolCall }, unknownMembers(call, callKnown));
      this.#calls.set(wireIndex, { index, form: isCustom ? "custom" : "call", args: [] });
    }
    this.growCall(wireIndex, typeof first === "string" ? first : "");
  }

  growCall(wireIndex: number, fragment: string): void {
    const call = this.#calls.get(wireIndex);
    if (call === undefined || fragment === "") return;
    call.args.push(fragment);
    if (call.form === "schema") this.#events.text(candidate, call.index, fragment);
    else if (call.form === "call") this.#events.argumentsJson(candidate, call.index, fragment);
  }

  endCall(wireIndex: number): void {
    const call = this.#calls.get(wireIndex);
    if (call === undefined) return;
    // No arguments are an empty object in every dialect.
    if (call.args.length === 0) this.growCall(wireIndex, "{}");
    this.#calls.delete(wireIndex);
    const text = call.args.join("");
    const args = parseObject(text);
    if (call.form === "custom") {
      const input = args?.[customToolArgument];
      this.#events.text(candidate, call.index, typeof input === "string" ? input : text);
    }
    this.#events.endBlock(candidate, call.index, { incomplete: args === undefined });
  }

  /** A citation whose text has ended already is kept for this format alone. */
  cite(citation: JsonObject): void {
    const wireIndex = contentIndexOf(citation);
    const isPlan = citation.type === "PLAN";
    const content = wireIndex === undefined || wireIndex === this.#content?.wireIndex ? this.#content?.index : undefined;
    const index = isPlan ? this.#plan : content;
    if (index === undefined) this.opaqueEvent("citation", jsonText(citation));
    else this.#grow(index, "", readCitation(citation), []);
  }

  usage(value: JsonValue | undefined): void {
    const usage = readUsage(value);
    if (usage !== undefined) this.#events.push(usageEvent(usage));
  }

  /** The end mark: `finish_reason` and what stands beside it. */
  finish(end: JsonObject): void {
    this.start("");
    this.#endQuiet();
    for (const wireIndex of [...this.#calls.keys()]) this.endCall(wireIndex);
    this.usage(end.usage);
    const rawReason = textMember(end, "finish_reason");
    const said = Object.hasOwn(finishReasons, rawReason) ? finishReasons[rawReason] : undefined;
    // The call that stood for an output schema was no call of the client's tools.
    const isEmulated = said === FinishReason.TOOL_CALLS && this.#state.schemaTool !== "" && !this.#calledTool;
    const reason = isEmulated ? FinishReason.STOP : (said ?? FinishReason.UNSPECIFIED);
    this.#events.push(finishedEvent({ candidate, reason, rawReason }, unknownMembers(end, endKnown)));
  }

  /** Ends what is open as incomplete. */
  abandon(): void {
    if (this.#contentEnded) this.#endQuiet();
    this.#calls.clear();
    this.#content = undefined;
    this.#plan = undefined;
    this.#events.endOpenBlocks({ incomplete: true });
  }

  #opened(index: number, wireIndex: number): void {
    this.#content = { index, wireIndex };
    this.#contentEnded = false;
  }

  #grow(index: number, text: string, annotations: Annotation[], logprobs: TokenLogprob[]): void {
    const delta = text === "" ? ({ case: undefined } as const) : ({ case: "text", value: text } as const);
    this.#events.delta(candidate, index, delta, annotations, logprobs);
  }

  /** Ends the text or plan that something else follows. */
  #endQuiet(): void {
    if (this.#plan !== undefined) this.#events.endBlock(candidate, this.#plan);
    if (this.#content !== undefined) this.#events.endBlock(candidate, this.#content.index);
    this.#plan = undefined;
    this.#content = undefined;
  }
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(text) as JsonValue;
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
