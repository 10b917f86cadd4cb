/**
 * Builds the events of one answer from its pieces, whether they came one by one or as a whole: the one place that knows
 * what each kind of block becomes.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Annotation,
  BlockKind,
  FinishReason,
  type OpaquePart,
  OpaquePartSchema,
  type Signature,
  SignatureSchema,
  ToolCallSchema,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { EventBuilder, type Extras, finishedEvent, type GenerateEvent, opaqueEvent, startedEvent, usageEvent } from "../../core/event.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText } from "../../core/json.ts";
import { objectMember, textMember } from "../../core/members.ts";
import type { ConverseCallState } from "./call-state.ts";
import { readCitation } from "./citations.ts";
import { OpaqueBlock } from "./opaque-block.ts";
import { readUsage } from "./usage.ts";
import { finishReasons, formatName, unknownMembers } from "./wire.ts";

/** The answer is one candidate. */
const candidate = 0;

type BlockForm = "text" | "reasoning" | "tool" | "schema" | "image" | "opaque";

interface OpenBlock {
  readonly form: BlockForm;
  /** Number of the block among the core's. */
  readonly index: number;
  /** Signature of reasoning, or its ciphertext, in pieces. */
  readonly signature: string[];
  redacted: boolean;
  /** Arguments of a call, in pieces, to know at the end whether they are whole. */
  readonly args: string[];
  readonly isCustom: boolean;
  readonly opaque: OpaqueBlock | undefined;
}

const toolKnown = new Set(["toolUseId", "name", "type", "input"]);
/** Members of an event that are modelled, or padding that hides its length. */
const eventKnown = new Set(["role", "start", "delta", "contentBlockIndex", "stopReason", "p"]);
/** Members of a whole answer, or of the start and the metadata of a stream. */
const answerKnown = new Set([...eventKnown, "output", "additionalModelResponseFields", "usage"]);

export class AnswerBuilder {
  readonly #provider: string;
  readonly #state: ConverseCallState;
  readonly #events = new EventBuilder();
  /** By `contentBlockIndex`, which counts all blocks. */
  readonly #open = new Map<number, OpenBlock>();
  #started = false;
  /** What the start said beside what is modelled; what is said of the whole answer at its end holds it too. */
  #startExtras: JsonObject = {};
  #finished = false;
  #calledTool = false;

  constructor(provider: string, state: ConverseCallState) {
    this.#provider = provider;
    this.#state = state;
  }

  get finished(): boolean {
    return this.#finished;
  }

  take(): GenerateEvent[] {
    return this.#events.take();
  }

  /** The API names neither answer nor model. */
  start(message: JsonObject): void {
    if (this.#started) return;
    this.#started = true;
    this.#startExtras = message;
    this.#events.push(startedEvent({ provider: this.#provider }, unknownMembers(message, eventKnown)));
  }

  opaqueEvent(type: string, dataJson: string): void {
    this.#events.push(opaqueEvent(formatName, type, dataJson));
  }

  /** `start` has one member, which names the kind; text and reasoning have none, and begin with their first delta. */
  startBlock(wireIndex: number, start: JsonObject, extras: Extras = {}): void {
    this.start({});
    this.endBlock(wireIndex);
    const tool = objectMember(start, "toolUse");
    const image = objectMember(start, "image");
    // A call with a type is one that the service runs by itself.
    if (tool !== undefined && textMember(tool, "type") === "") this.#startTool(wireIndex, tool, extras);
    else if (image !== undefined) {
      const init = { mimeType: `image/${textMember(image, "format")}` };
      this.#opened(wireIndex, "image", this.#events.startBlock(candidate, BlockKind.IMAGE, init, extras));
    } else {
      const opaque = new OpaqueBlock(start);
      const init = { opaque: opaquePart(opaque.kind, jsonText(start)) };
      this.#opened(wireIndex, "opaque", this.#events.startBlock(candidate, BlockKind.OPAQUE, init, extras), { opaque });
    }
  }

  #startTool(wireIndex: number, tool: JsonObject, extras: Extras): void {
    const name = textMember(tool, "name");
    if (this.#state.schemaTool !== "" && name === this.#state.schemaTool) {
      this.#opened(wireIndex, "schema", this.#events.startBlock(candidate, BlockKind.TEXT, {}, extras));
      return;
    }
    this.#calledTool = true;
    const isCustom = this.#state.customTools.has(name);
    const toolCall = create(ToolCallSchema, {
      id: textMember(tool, "toolUseId"),
      name: this.#state.originalName(name),
      kind: isCustom ? ToolKind.CUSTOM : ToolKind.FUNCTION,
    });
    const index = this.#events.startBlock(candidate, BlockKind.TOOL_CALL, { toolCall }, { ...unknownMembers(tool, toolKnown), ...extras });
    this.#opened(wireIndex, "tool", index, { isCustom });
  }

  growBlock(wireIndex: number, delta: JsonObject): void {
    const open = this.#open.get(wireIndex);
    if (open?.opaque !== undefined) {
      open.opaque.grow(delta);
      this.#events.delta(candidate, open.index, { case: "opaqueJson", value: jsonText(delta) });
      return;
    }
    if (typeof delta.text === "string") this.text(wireIndex, delta.text);
    else if (isJsonObject(delta.citation)) this.cite(wireIndex, [delta.citation]);
    else if (isJsonObject(delta.reasoningContent)) this.#reason(wireIndex, delta.reasoningContent);
    else if (isJsonObject(delta.toolUse) && open !== undefined) this.#arguments(open, textMember(delta.toolUse, "input"));
    else if (isJsonObject(delta.image) && open !== undefined) this.image(wireIndex, delta.image);
    else this.opaqueEvent("contentBlockDelta", jsonText({ contentBlockIndex: wireIndex, delta }));
  }

  /** Opens a text block where none is open: it has no start on the wire. */
  text(wireIndex: number, text: string): void {
    const { index } = this.#ensure(wireIndex, "text");
    if (text !== "") this.#events.text(candidate, index, text);
  }

  cite(wireIndex: number, citations: readonly JsonValue[]): void {
    const { index } = this.#ensure(wireIndex, "text");
    const annotations = citations.map(readCitation).filter((annotation): annotation is Annotation => annotation !== undefined);
    if (annotations.length > 0) this.#events.delta(candidate, index, { case: undefined }, annotations);
  }

  #reason(wireIndex: number, delta: JsonObject): void {
    if (typeof delta.text === "string") this.reasoning(wireIndex, delta.text, "");
    if (typeof delta.signature === "string") this.reasoning(wireIndex, "", delta.signature);
    if (typeof delta.redactedContent === "string") this.redacted(wireIndex, delta.redactedContent);
  }

  reasoning(wireIndex: number, text: string, signature: string): void {
    const block = this.#ensure(wireIndex, "reasoning");
    if (text !== "") this.#events.text(candidate, block.index, text);
    if (signature !== "") block.signature.push(signature);
  }

  redacted(wireIndex: number, ciphertext: string): void {
    const block = this.#ensure(wireIndex, "reasoning");
    block.redacted = true;
    block.signature.push(ciphertext);
  }

  image(wireIndex: number, image: JsonObject): void {
    const block = this.#open.get(wireIndex);
    const bytes = objectMember(image, "source")?.bytes;
    if (block === undefined || typeof bytes !== "string") return;
    this.#events.delta(candidate, block.index, { case: "data", value: Buffer.from(bytes, "base64") });
  }

  /** Arguments that came as a whole. */
  input(wireIndex: number, input: JsonValue | undefined): void {
    const block = this.#open.get(wireIndex);
    if (block !== undefined && isJsonObject(input)) this.#arguments(block, jsonText(input));
  }

  endBlock(wireIndex: number, extras: Extras = {}): void {
    const block = this.#open.get(wireIndex);
    if (block === undefined) return;
    this.#open.delete(wireIndex);
    const { form, index, redacted, opaque } = block;
    if (form === "reasoning")
      this.#events.endBlock(candidate, index, { ...(redacted ? { redacted } : {}), ...this.#signed(block) }, extras);
    else if (opaque !== undefined) this.#events.endBlock(candidate, index, { opaque: opaquePart(opaque.kind, opaque.text()) }, extras);
    else if (form === "tool" || form === "schema") this.#endArguments(block, extras);
    else this.#events.endBlock(candidate, index, {}, extras);
  }

  /** `stop` holds the stop reason and the fields that the client asked of the model. */
  finish(stop: JsonObject): void {
    this.start({});
    if (this.#finished) return;
    this.#finished = true;
    for (const wireIndex of [...this.#open.keys()]) this.endBlock(wireIndex);
    const rawReason = textMember(stop, "stopReason");
    const said = Object.hasOwn(finishReasons, rawReason) ? finishReasons[rawReason] : undefined;
    // The call that stood for an output schema was no call of the client's tools.
    const isEmulated = said === FinishReason.TOOL_CALLS && this.#state.schemaTool !== "" && !this.#calledTool;
    const reason = isEmulated ? FinishReason.STOP : (said ?? FinishReason.UNSPECIFIED);
    this.#events.push(finishedEvent({ candidate, reason, rawReason }, unknownMembers(stop, eventKnown)));
  }

  /** Usage, and what else is said beside the answer. */
  metadata(metadata: JsonObject): void {
    this.start({});
    const usage = readUsage(metadata);
    const extras = unknownMembers({ ...this.#startExtras, ...metadata }, answerKnown);
    if (usage !== undefined) this.#events.push(usageEvent(usage, extras));
    else if (extras[formatName] !== undefined) this.opaqueEvent("metadata", extras[formatName]);
  }

  /** Ends what is open as incomplete. */
  abandon(): void {
    this.#open.clear();
    this.#events.endOpenBlocks({ incomplete: true });
  }

  #ensure(wireIndex: number, form: "text" | "reasoning"): OpenBlock {
    this.start({});
    const open = this.#open.get(wireIndex);
    if (open?.form === form) return open;
    this.endBlock(wireIndex);
    return this.#opened(wireIndex, form, this.#events.startBlock(candidate, form === "text" ? BlockKind.TEXT : BlockKind.REASONING));
  }

  #opened(wireIndex: number, form: BlockForm, index: number, more: { isCustom?: boolean; opaque?: OpaqueBlock } = {}): OpenBlock {
    const { isCustom = false, opaque } = more;
    const block: OpenBlock = { form, index, signature: [], redacted: false, args: [], isCustom, opaque };
    this.#open.set(wireIndex, block);
    return block;
  }

  #arguments(block: OpenBlock, fragment: string): void {
    if (fragment === "") return;
    block.args.push(fragment);
    if (block.form === "schema") this.#events.text(candidate, block.index, fragment);
    else if (block.form === "tool" && !block.isCustom) this.#events.argumentsJson(candidate, block.index, fragment);
  }

  #endArguments(block: OpenBlock, extras: Extras): void {
    // No pieces: no arguments, which is an empty object in every dialect.
    if (block.args.length === 0) this.#arguments(block, "{}");
    const args = parseObject(block.args.join(""));
    if (block.isCustom) {
      const text = args?.[customToolArgument];
      this.#events.text(candidate, block.index, typeof text === "string" ? text : block.args.join(""));
    }
    this.#events.endBlock(candidate, block.index, { incomplete: args === undefined }, extras);
  }

  #signed({ signature }: OpenBlock): { signature?: Signature } {
    const value = signature.join("");
    if (value === "") return {};
    return { signature: create(SignatureSchema, { value, format: this.#state.signatureFamily, provider: this.#provider }) };
  }
}

/** What an event says beside what is modelled. */
export function eventExtras(event: JsonObject): Extras {
  return unknownMembers(event, eventKnown);
}

function opaquePart(type: string, dataJson: string): OpaquePart {
  return create(OpaquePartSchema, { format: formatName, type, dataJson });
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(text) as JsonValue;
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
