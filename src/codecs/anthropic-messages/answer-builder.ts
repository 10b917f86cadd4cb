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
import type { CallState } from "../../core/call-state.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { GatewayError } from "../../core/error.ts";
import {
  deltaEvent,
  EventBuilder,
  type Extras,
  finishedEvent,
  type GenerateEvent,
  opaqueEvent,
  startedEvent,
  usageEvent,
} from "../../core/event.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText } from "../../core/json.ts";
import { objectMember, textMember } from "../../core/members.ts";
import { readCitation } from "./citations.ts";
import { OpaqueBlock } from "./opaque-block.ts";
import { UsageReader } from "./usage.ts";
import { finishReasons, formatName, signatureFamily, unknownMembers } from "./wire.ts";

/** The answer is one candidate. */
const candidate = 0;

type BlockForm = "text" | "thinking" | "redacted" | "tool" | "schema" | "opaque";

interface OpenBlock {
  readonly form: BlockForm;
  /** Number of the block among the core's. */
  readonly index: number;
  /** Signature of thinking, in pieces; ciphertext of redacted thinking. */
  readonly signature: string[];
  /** Arguments of a call, in pieces, to know at the end whether they are whole. */
  readonly args: string[];
  /** Arguments that came with the block's start; used where no pieces follow. */
  readonly input: JsonValue | undefined;
  readonly isCustom: boolean;
  readonly opaque: OpaqueBlock | undefined;
}

/** Members of a message that are modelled or belong to its end. */
const messageKnown = new Set([
  "id",
  "type",
  "role",
  "model",
  "content",
  "usage",
  "stop_reason",
  "stop_sequence",
  "stop_details",
  "container",
  "context_management",
]);
/** Members that a stream says in message_delta, and a whole message among all others. */
const finishMembers = new Set(["stop_details", "container", "context_management"]);
const stopDetailsKnown = new Set(["type", "category", "explanation"]);
const textKnown = new Set(["type", "text", "citations"]);
const thinkingKnown = new Set(["type", "thinking", "signature"]);
const redactedKnown = new Set(["type", "data"]);
const toolKnown = new Set(["type", "id", "name", "input"]);

export class AnswerBuilder {
  readonly #provider: string;
  readonly #state: CallState;
  readonly #events = new EventBuilder();
  readonly #usage = new UsageReader();
  /** By the wire's index. */
  readonly #open = new Map<number, OpenBlock>();
  #started = false;
  #finished = false;
  #calledTool = false;
  /** What the message's start said of its end. */
  #finish: JsonObject = {};

  constructor(provider: string, state: CallState) {
    this.#provider = provider;
    this.#state = state;
  }

  take(): GenerateEvent[] {
    return this.#events.take();
  }

  start(message: JsonObject): void {
    if (this.#started) return;
    this.#started = true;
    for (const name of finishMembers) {
      const value = message[name];
      if (value !== undefined && value !== null) this.#finish[name] = value;
    }
    this.#events.push(
      startedEvent(
        { upstreamId: textMember(message, "id"), servedModel: textMember(message, "model"), provider: this.#provider },
        unknownMembers(message, messageKnown),
      ),
    );
  }

  usage(usage: JsonValue | undefined): void {
    if (this.#usage.read(usage)) this.#events.push(usageEvent(this.#usage.usage()));
  }

  opaqueEvent(type: string, dataJson: string): void {
    this.#events.push(opaqueEvent(formatName, type, dataJson));
  }

  startBlock(wireIndex: number, block: JsonObject): void {
    this.start({});
    if (this.#open.has(wireIndex)) throw this.#broken("a block that is open already");
    const type = textMember(block, "type");
    switch (type) {
      case "text":
        this.#opened(wireIndex, "text", this.#events.startBlock(candidate, BlockKind.TEXT, {}, unknownMembers(block, textKnown)));
        this.#text(wireIndex, textMember(block, "text"));
        if (Array.isArray(block.citations)) this.#annotate(wireIndex, block.citations);
        break;
      case "thinking": {
        const index = this.#events.startBlock(candidate, BlockKind.REASONING, {}, unknownMembers(block, thinkingKnown));
        this.#opened(wireIndex, "thinking", index, { signature: textMember(block, "signature") });
        this.#text(wireIndex, textMember(block, "thinking"));
        break;
      }
      case "redacted_thinking": {
        const index = this.#events.startBlock(candidate, BlockKind.REASONING, {}, unknownMembers(block, redactedKnown));
        this.#opened(wireIndex, "redacted", index, { signature: textMember(block, "data") });
        break;
      }
      case "tool_use":
        this.#startTool(wireIndex, block);
        break;
      default: {
        const opaque = new OpaqueBlock(block);
        const index = this.#events.startBlock(candidate, BlockKind.OPAQUE, { opaque: opaquePart(type, jsonText(block)) });
        this.#opened(wireIndex, "opaque", index, { opaque });
      }
    }
  }

  #startTool(wireIndex: number, block: JsonObject): void {
    const name = textMember(block, "name");
    const { input } = block;
    if (this.#state.schemaTool !== "" && name === this.#state.schemaTool) {
      this.#opened(wireIndex, "schema", this.#events.startBlock(candidate, BlockKind.TEXT), { input });
      return;
    }
    this.#calledTool = true;
    const isCustom = this.#state.customTools.has(name);
    const toolCall = create(ToolCallSchema, {
      id: textMember(block, "id"),
      name: this.#state.originalName(name),
      kind: isCustom ? ToolKind.CUSTOM : ToolKind.FUNCTION,
    });
    const index = this.#events.startBlock(candidate, BlockKind.TOOL_CALL, { toolCall }, unknownMembers(block, toolKnown));
    this.#opened(wireIndex, "tool", index, { input, isCustom });
  }

  /** `unknown`: members beside and in the delta that are not modelled, as its record has them. */
  growBlock(wireIndex: number, delta: JsonObject, unknown?: JsonObject): void {
    const block = this.#open.get(wireIndex);
    if (block === undefined) throw this.#broken("a piece of a block that is not open");
    if (block.opaque !== undefined) {
      block.opaque.grow(delta);
      this.#events.delta(candidate, block.index, { case: "opaqueJson", value: jsonText(delta) });
      return;
    }
    if (unknown !== undefined && this.#growWithUnknown(block, delta, unknownMembers(unknown, new Set()))) return;
    switch (delta.type) {
      case "text_delta":
        this.#text(wireIndex, textMember(delta, "text"));
        break;
      case "thinking_delta":
        this.#text(wireIndex, textMember(delta, "thinking"));
        break;
      case "signature_delta":
        block.signature.push(textMember(delta, "signature"));
        break;
      case "input_json_delta":
        this.#arguments(block, textMember(delta, "partial_json"));
        break;
      case "citations_delta":
        this.#annotate(wireIndex, [delta.citation ?? null]);
        break;
      default:
        this.opaqueEvent("content_block_delta", jsonText({ type: "content_block_delta", index: wireIndex, delta }));
    }
  }

  /** False where the piece has no event of its own, such as one of a signature. */
  #growWithUnknown(block: OpenBlock, delta: JsonObject, extrasJson: Extras): boolean {
    const { index, form } = block;
    const push = (event: GenerateEvent) => this.#events.push({ ...event, extrasJson });
    if (delta.type === "text_delta" || delta.type === "thinking_delta") {
      push(deltaEvent(candidate, index, { case: "text", value: textMember(delta, delta.type === "text_delta" ? "text" : "thinking") }));
    } else if (delta.type === "input_json_delta" && form === "tool" && !block.isCustom) {
      const fragment = textMember(delta, "partial_json");
      block.args.push(fragment);
      push(deltaEvent(candidate, index, { case: "argumentsJson", value: fragment }));
    } else return false;
    return true;
  }

  endBlock(wireIndex: number): void {
    const block = this.#open.get(wireIndex);
    if (block === undefined) return;
    this.#open.delete(wireIndex);
    const { form, index } = block;
    switch (form) {
      case "text":
        this.#events.endBlock(candidate, index);
        break;
      case "thinking":
        this.#events.endBlock(candidate, index, this.#signed(block));
        break;
      case "redacted":
        this.#events.endBlock(candidate, index, { redacted: true, ...this.#signed(block) });
        break;
      case "opaque": {
        const opaque = block.opaque as OpaqueBlock;
        this.#events.endBlock(candidate, index, { opaque: opaquePart(opaque.type, opaque.text()) });
        break;
      }
      default:
        this.#endArguments(block);
    }
  }

  /** Ends the answer if `delta` says why it ended; later ones only add usage. */
  finish(delta: JsonObject): void {
    const rawReason = textMember(delta, "stop_reason");
    if (rawReason === "" || this.#finished) return;
    this.#finishWith(rawReason, delta);
  }

  /** The end mark. */
  end(): void {
    this.start({});
    if (!this.#finished) this.#finishWith("", {});
  }

  /** Ends what is open as incomplete. */
  abandon(): void {
    this.#open.clear();
    this.#events.endOpenBlocks({ incomplete: true });
  }

  #finishWith(rawReason: string, delta: JsonObject): void {
    this.#finished = true;
    for (const name of Object.keys(delta)) if (delta[name] !== null) this.#finish[name] = delta[name] as JsonValue;
    for (const wireIndex of [...this.#open.keys()]) this.endBlock(wireIndex);
    const said = Object.hasOwn(finishReasons, rawReason) ? finishReasons[rawReason] : undefined;
    // The call that stood for an output schema was no call of the client's tools.
    const isEmulated = said === FinishReason.TOOL_CALLS && this.#state.schemaTool !== "" && !this.#calledTool;
    const details = objectMember(this.#finish, "stop_details") ?? {};
    this.#events.push(
      finishedEvent(
        {
          candidate,
          reason: isEmulated ? FinishReason.STOP : (said ?? FinishReason.UNSPECIFIED),
          rawReason,
          stopSequence: textMember(this.#finish, "stop_sequence"),
          message: textMember(details, "explanation"),
          category: textMember(details, "category"),
        },
        finishExtras(this.#finish, said === undefined),
      ),
    );
  }

  #opened(
    wireIndex: number,
    form: BlockForm,
    index: number,
    more: { signature?: string; input?: JsonValue | undefined; isCustom?: boolean; opaque?: OpaqueBlock } = {},
  ): void {
    const { signature = "", input, isCustom = false, opaque } = more;
    this.#open.set(wireIndex, { form, index, signature: signature === "" ? [] : [signature], args: [], input, isCustom, opaque });
  }

  #text(wireIndex: number, text: string): void {
    const block = this.#open.get(wireIndex);
    if (block !== undefined && text !== "") this.#events.text(candidate, block.index, text);
  }

  #annotate(wireIndex: number, citations: readonly JsonValue[]): void {
    const block = this.#open.get(wireIndex);
    const annotations = citations.map(readCitation).filter((annotation): annotation is Annotation => annotation !== undefined);
    if (block === undefined || annotations.length === 0) return;
    this.#events.delta(candidate, block.index, { case: undefined }, annotations);
  }

  #arguments(block: OpenBlock, fragment: string): void {
    // The first piece is often empty.
    if (fragment === "") return;
    block.args.push(fragment);
    if (block.form === "schema") this.#events.text(candidate, block.index, fragment);
    else if (block.form === "tool" && !block.isCustom) this.#events.argumentsJson(candidate, block.index, fragment);
  }

  #endArguments(block: OpenBlock): void {
    // No pieces: the input stood in the start, or there are no arguments, which is an empty object in every dialect.
    if (block.args.length === 0) this.#arguments(block, isJsonObject(block.input) ? jsonText(block.input) : "{}");
    const args = parseObject(block.args.join(""));
    if (block.isCustom) {
      const text = args?.[customToolArgument];
      this.#events.text(candidate, block.index, typeof text === "string" ? text : block.args.join(""));
    }
    this.#events.endBlock(candidate, block.index, { incomplete: args === undefined });
  }

  #signed({ signature }: OpenBlock): { signature?: Signature } {
    const value = signature.join("");
    if (value === "") return {};
    return { signature: create(SignatureSchema, { value, format: signatureFamily, provider: this.#provider }) };
  }

  #broken(what: string): GatewayError {
    return new GatewayError("provider_error", `provider ${this.#provider} sent ${what}`);
  }
}

function opaquePart(type: string, dataJson: string): OpaquePart {
  return create(OpaquePartSchema, { format: formatName, type, dataJson });
}

/** What the end of a message says beside what is modelled. A reason without a word in the core is kept for this format. */
function finishExtras(finish: JsonObject, keepsReason: boolean): Extras {
  const extras: JsonObject = {};
  for (const name of Object.keys(finish)) {
    const value = finish[name] as JsonValue;
    if ((name === "stop_reason" && !keepsReason) || name === "stop_sequence") continue;
    if (name !== "stop_details") extras[name] = value;
    else if (isJsonObject(value) && Object.keys(value).some((member) => !stopDetailsKnown.has(member))) extras[name] = value;
  }
  return unknownMembers(extras, new Set());
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value = JSON.parse(text) as JsonValue;
    return isJsonObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
