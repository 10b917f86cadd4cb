/** One candidate of an answer, as its chunks come: parts become blocks, the rest waits for the end. */
import { create } from "@bufbuild/protobuf";
import {
  BlockKind,
  FinishReason,
  MediaSchema,
  type Signature,
  SignatureSchema,
  type TokenLogprob,
  TokenLogprobSchema,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { type EventBuilder, finishedEvent } from "../../core/event.ts";
import { ulid } from "../../core/id.ts";
import { isJsonObject, type JsonObject, jsonText } from "../../core/json.ts";
import { numberMember, objectMember, objectsMember, textMember } from "../../core/members.ts";
import type { CallState } from "./call-state.ts";
import { Grounding } from "./grounding.ts";
import { PartialCall } from "./partial-call.ts";
import {
  extrasOf,
  finishReasons,
  formatName,
  madeIdPrefix,
  mediaKindOf,
  membersText,
  partType,
  signatureFamily,
  unknownMembers,
} from "./wire.ts";

/** What stays open because the next part may go on with it. */
type OpenBlock =
  | { readonly kind: "text"; readonly index: number; readonly thought: boolean; readonly pieces: string[] }
  | { readonly kind: "audio"; readonly index: number; readonly mimeType: string }
  | { readonly kind: "call"; readonly index: number; readonly custom: boolean; readonly partial: PartialCall };

const knownMembers: ReadonlySet<string> = new Set([
  "content",
  "index",
  "finishReason",
  "finishMessage",
  "avgLogprobs",
  "logprobsResult",
  "tokenCount",
]);
const textMembers: ReadonlySet<string> = new Set(["text", "thought", "thoughtSignature"]);
const callMembers: ReadonlySet<string> = new Set(["functionCall", "thoughtSignature"]);
const callFields: ReadonlySet<string> = new Set(["id", "name", "args", "partialArgs", "willContinue"]);
const dataMembers: ReadonlySet<string> = new Set(["inlineData", "thoughtSignature"]);
const dataFields: ReadonlySet<string> = new Set(["mimeType", "data"]);
const fileMembers: ReadonlySet<string> = new Set(["fileData", "thoughtSignature"]);
const fileFields: ReadonlySet<string> = new Set(["mimeType", "fileUri"]);
const signatureMembers: ReadonlySet<string> = new Set(["thoughtSignature"]);
export class CandidateReader {
  readonly #candidate: number;
  readonly #builder: EventBuilder;
  readonly #provider: string;
  readonly #state: CallState;
  readonly #grounding = new Grounding();
  readonly #unknown = new Map<string, string>();
  #open: OpenBlock | undefined;
  /** Unknown members of the parts that make the open block. */
  #partUnknown = new Map<string, string>();
  /** A signature that came with a piece of a call before its last. */
  #callSignature: Signature | undefined;
  #sawCall = false;
  #rawReason = "";
  #message = "";
  #meanLogprob: number | undefined;

  constructor(candidate: number, builder: EventBuilder, provider: string, state: CallState) {
    this.#candidate = candidate;
    this.#builder = builder;
    this.#provider = provider;
    this.#state = state;
  }

  get hasFinishReason(): boolean {
    return this.#rawReason !== "";
  }

  /** The candidate as one chunk has it. */
  read(candidate: JsonObject): void {
    this.#grounding.read(candidate);
    for (const [name, text] of unknownMembers(candidate, knownMembers)) this.#unknown.set(name, text);
    this.#rawReason = textMember(candidate, "finishReason") || this.#rawReason;
    this.#message = textMember(candidate, "finishMessage") || this.#message;
    this.#meanLogprob = numberMember(candidate, "avgLogprobs") ?? this.#meanLogprob;
    const logprobs = readLogprobs(objectMember(candidate, "logprobsResult"));
    for (const part of objectsMember(objectMember(candidate, "content") ?? {}, "parts")) this.#part(part, logprobs);
    if (logprobs.length > 0 && this.#open?.kind === "text") {
      this.#builder.delta(this.#candidate, this.#open.index, { case: undefined }, [], logprobs);
    }
  }

  /** The answer is complete. The reason may have come before the last part, and be STOP beside a call. */
  finish(): void {
    this.#endOpen();
    const known = Object.hasOwn(finishReasons, this.#rawReason) ? finishReasons[this.#rawReason] : undefined;
    const reason = known === FinishReason.STOP && this.#sawCall ? FinishReason.TOOL_CALLS : known;
    this.#builder.push(
      finishedEvent(
        {
          candidate: this.#candidate,
          reason: reason ?? FinishReason.UNSPECIFIED,
          rawReason: this.#rawReason,
          message: this.#message,
          ...(this.#meanLogprob === undefined ? {} : { meanLogprob: this.#meanLogprob }),
        },
        extrasOf(this.#unknown),
      ),
    );
  }

  #part(part: JsonObject, logprobs: TokenLogprob[]): void {
    const isThought = part.thought === true;
    const call = objectMember(part, "functionCall");
    const data = objectMember(part, "inlineData");
    const file = objectMember(part, "fileData");
    if (typeof part.text === "string") this.#text(part, part.text, isThought, logprobs);
    else if (call !== undefined) this.#call(part, call);
    // A picture that is a thought would pass for the answer's own: it stays as it is, for Gemini alone.
    else if (data !== undefined && !isThought) this.#data(part, data);
    else if (file !== undefined && !isThought) this.#file(part, file);
    else if (unknownMembers(part, signatureMembers).size === 0) this.#text(part, "", false, logprobs);
    else this.#opaque(part);
  }

  #text(part: JsonObject, text: string, thought: boolean, logprobs: TokenLogprob[]): void {
    const signature = this.#signature(part);
    const unknown = unknownMembers(part, textMembers);
    const goesOn = this.#open?.kind === "text" && this.#open.thought === thought;
    if (text === "" && signature === undefined && unknown.size === 0) return;
    if (!goesOn || (text === "" && signature !== undefined)) {
      this.#endOpen();
      const index = this.#builder.startBlock(this.#candidate, thought ? BlockKind.REASONING : BlockKind.TEXT);
      this.#open = { kind: "text", index, thought, pieces: [] };
    }
    const open = this.#open;
    if (open?.kind !== "text") return;
    this.#keepUnknown(unknown);
    if (text !== "") {
      open.pieces.push(text);
      this.#builder.delta(this.#candidate, open.index, { case: "text", value: text }, [], thought ? [] : logprobs.splice(0));
    }
    if (signature !== undefined) this.#endOpen(signature);
  }

  #call(part: JsonObject, call: JsonObject): void {
    const unknown = unknownMembers(part, callMembers);
    const rest = unknownMembers(call, callFields);
    if (rest.size > 0) unknown.set("functionCall", membersText(rest));
    // The pieces of a call after the first have no name.
    if (this.#open?.kind !== "call" || textMember(call, "name") !== "") {
      this.#endOpen();
      this.#startCall(call);
    }
    const open = this.#open;
    if (open?.kind !== "call") return;
    this.#keepUnknown(unknown);
    open.partial.read(call);
    if (isJsonObject(call.args)) this.#arguments(open.index, open.custom, call.args);
    const signature = this.#signature(part);
    if (call.willContinue !== true) this.#endOpen(signature);
    else if (signature !== undefined) this.#callSignature = signature;
  }

  #startCall(call: JsonObject): void {
    this.#sawCall = true;
    const sent = textMember(call, "name");
    const custom = this.#state.customTools.has(sent);
    const index = this.#builder.startBlock(this.#candidate, BlockKind.TOOL_CALL, {
      toolCall: {
        $typeName: "dragoman.v1.ToolCall",
        id: textMember(call, "id") || madeIdPrefix + ulid().toLowerCase(),
        name: this.#state.originalName(sent),
        kind: custom ? ToolKind.CUSTOM : ToolKind.FUNCTION,
        argumentsJson: "",
        inputText: "",
      },
    });
    this.#open = { kind: "call", index, custom, partial: new PartialCall() };
  }

  #arguments(index: number, custom: boolean, args: JsonObject): void {
    const input = args[customToolArgument];
    if (!custom) this.#builder.argumentsJson(this.#candidate, index, jsonText(args));
    else this.#builder.text(this.#candidate, index, typeof input === "string" ? input : jsonText(args));
  }

  #data(part: JsonObject, data: JsonObject): void {
    const mimeType = textMember(data, "mimeType");
    const kind = mediaKind(mimeType);
    const signature = this.#signature(part);
    const unknown = unknownMembers(part, dataMembers);
    const rest = unknownMembers(data, dataFields);
    if (rest.size > 0) unknown.set("inlineData", membersText(rest));
    const goesOn = this.#open?.kind === "audio" && this.#open.mimeType === mimeType;
    if (!goesOn) this.#endOpen();
    const index = goesOn && this.#open ? this.#open.index : this.#builder.startBlock(this.#candidate, kind, { mimeType });
    this.#keepUnknown(unknown);
    const bytes = new Uint8Array(Buffer.from(textMember(data, "data"), "base64"));
    this.#builder.delta(this.#candidate, index, { case: "data", value: bytes });
    // Sound is streamed in pieces, each a part of its own.
    if (kind === BlockKind.AUDIO) this.#open = { kind: "audio", index, mimeType };
    if (kind !== BlockKind.AUDIO || signature !== undefined) this.#endBlock(index, signature);
  }

  #file(part: JsonObject, file: JsonObject): void {
    this.#endOpen();
    const unknown = unknownMembers(part, fileMembers);
    const rest = unknownMembers(file, fileFields);
    if (rest.size > 0) unknown.set("fileData", membersText(rest));
    const mimeType = textMember(file, "mimeType");
    const media = create(MediaSchema, { source: { case: "url", value: textMember(file, "fileUri") }, mimeType });
    const index = this.#builder.startBlock(this.#candidate, mediaKind(mimeType), { mimeType });
    const signature = this.#signature(part);
    this.#builder.endBlock(this.#candidate, index, { media, ...(signature && { signature }) }, extrasOf(unknown));
  }

  /** The whole part without its signature, which is kept beside it so that it goes back only to who gave it. */
  #opaque(part: JsonObject): void {
    this.#endOpen();
    const type = partType(part);
    const dataJson = membersText(unknownMembers(part, signatureMembers));
    const opaque = { $typeName: "dragoman.v1.OpaquePart" as const, format: formatName, type, dataJson };
    const index = this.#builder.startBlock(this.#candidate, BlockKind.OPAQUE, { opaque });
    const signature = this.#signature(part);
    this.#builder.endBlock(this.#candidate, index, { opaque, ...(signature && { signature }) });
  }

  #signature(part: JsonObject): Signature | undefined {
    const value = textMember(part, "thoughtSignature");
    return value === "" ? undefined : create(SignatureSchema, { value, format: signatureFamily, provider: this.#provider });
  }

  #keepUnknown(unknown: ReadonlyMap<string, string>): void {
    for (const [name, text] of unknown) this.#partUnknown.set(name, text);
  }

  #endOpen(signature?: Signature): void {
    const open = this.#open;
    if (open === undefined) return;
    if (open.kind === "call") {
      if (open.partial.args !== undefined) this.#arguments(open.index, open.custom, open.partial.args);
      this.#endBlock(open.index, signature ?? this.#callSignature);
      this.#callSignature = undefined;
      return;
    }
    if (open.kind === "text" && !open.thought) {
      const annotations = this.#grounding.take(open.pieces);
      if (annotations.length > 0) this.#builder.delta(this.#candidate, open.index, { case: undefined }, annotations);
    }
    const redacted = open.kind === "text" && open.thought && open.pieces.length === 0;
    this.#endBlock(open.index, signature, redacted);
  }

  #endBlock(index: number, signature: Signature | undefined, redacted = false): void {
    this.#builder.endBlock(this.#candidate, index, { ...(signature && { signature }), redacted }, extrasOf(this.#partUnknown));
    this.#open = undefined;
    this.#partUnknown = new Map();
  }
}

const blockKinds = { image: BlockKind.IMAGE, audio: BlockKind.AUDIO, video: BlockKind.VIDEO, file: BlockKind.FILE } as const;

function mediaKind(mimeType: string): BlockKind {
  return blockKinds[mediaKindOf(mimeType)];
}

/** `{chosenCandidates: [{token, tokenId, logProbability}], topCandidates: [{candidates: [...]}]}`, one of each per token. */
function readLogprobs(result: JsonObject | undefined): TokenLogprob[] {
  if (result === undefined) return [];
  const tops = objectsMember(result, "topCandidates");
  return objectsMember(result, "chosenCandidates").map((chosen, index) =>
    create(TokenLogprobSchema, { ...readToken(chosen), top: objectsMember(tops[index] ?? {}, "candidates").map(readToken) }),
  );
}

function readToken(token: JsonObject): { token: string; logprob: number; tokenId?: number } {
  const tokenId = numberMember(token, "tokenId");
  const isId = tokenId !== undefined && Number.isInteger(tokenId) && tokenId >= 0 && tokenId <= 0xffff_ffff;
  return {
    token: textMember(token, "token"),
    logprob: numberMember(token, "logProbability") ?? 0,
    ...(isId ? { tokenId } : {}),
  };
}
