/** A block of an answer while its deltas are written, and the JSON around their text. */
import { BlockKind, type BlockStarted, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { FrameWriter } from "./frame-writer.ts";

export interface Block {
  readonly kind: BlockKind;
  readonly candidate: number;
  /** Place among the tool calls of the candidate; -1 for other blocks. */
  readonly tool: number;
  /** What stands before and after a delta's JSON string in a frame; undefined for blocks whose text has no form here. */
  readonly around: { readonly head: string; readonly tail: string } | undefined;
  readonly custom: boolean;
  /** Code points of the candidate's text before this block, and of this block so far. */
  readonly base: number;
  length: number;
  /** Whether arguments were written. */
  hasArguments: boolean;
  /** Reasoning summary that was written last. */
  section: number;
  /** Bytes that do not fill a base64 group yet, or all of an image. */
  bytes: Uint8Array[];
  mimeType: string;
}

/** `tool`: place among the tool calls of the candidate. `base`: code points of the candidate's text so far. */
export function openBlock({ candidate, kind, toolCall, mimeType }: BlockStarted, tool: number, base: number, frames: FrameWriter): Block {
  const custom = toolCall?.kind === ToolKind.CUSTOM;
  const shape = deltaShape(kind, tool, custom);
  const around = shape === undefined ? undefined : frames.around(candidate, shape);
  return { kind, candidate, tool, custom, around, base, length: 0, hasArguments: false, section: 0, bytes: [], mimeType };
}

/** The member of `delta` that a block's text goes into; tool calls have their own shape. */
export const textFields: Readonly<Record<number, string>> = {
  [BlockKind.TEXT]: "content",
  [BlockKind.REASONING]: "reasoning_content",
  [BlockKind.REFUSAL]: "refusal",
};

/** The JSON around the text of a delta; undefined where such a block has no text here. */
function deltaShape(kind: BlockKind, tool: number, custom: boolean): { open: string; close: string } | undefined {
  if (kind === BlockKind.TOOL_CALL) {
    return { open: `{"tool_calls":[{"index":${tool},${custom ? '"custom":{"input":' : '"function":{"arguments":'}`, close: "}}]}" };
  }
  const name = textFields[kind];
  return name === undefined ? undefined : { open: `{"${name}":`, close: "}" };
}
