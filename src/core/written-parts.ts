/** Messages of the core as lists of content blocks, part by part, for formats that name no participants. */
import { type Message, type Part, type ReasoningPart, Role, type Signature } from "../../gen/dragoman/v1/generate_pb.ts";
import type { WritableObject } from "./json.ts";
import { isSignedBy } from "./signature.ts";
import type { TranslationReport } from "./translation.ts";

/** One part, written. */
export interface WrittenPart {
  readonly path: string;
  readonly block: WritableObject;
  /** The call's id as the client wrote it, where the block is a call. */
  readonly callId?: string;
  /** The same of the call that a result answers. */
  readonly resultId?: string;
  /** Blocks that are taken only after all results. */
  readonly after?: readonly WritableObject[];
  /** What only a user may send. */
  readonly isMedia?: boolean;
}

/** What a format makes of single parts. Undefined: left out, which is reported where something is lost. */
export interface PartForms {
  writePart(part: Part, path: string): WrittenPart | undefined;
  /** A part of instructions. */
  writeInstruction(part: Part, path: string): WritableObject | undefined;
  /** Learns of the part's cache marker. `block` is undefined where the part is left out. */
  markCache(part: Part, path: string, block: WritableObject | undefined): void;
}

/** Whether text says nothing: blocks of it are refused. */
export function isBlank(text: string): boolean {
  return text.trim() === "";
}

/** The parts of a message, without those that are left out. */
export function writeParts(message: Message, path: string, forms: PartForms, report: TranslationReport): WrittenPart[] {
  reportName(message, path, report);
  return message.parts.flatMap((part, index) => {
    const partPath = `${path}.parts[${index}]`;
    const written = isMisplaced(part, message.role, partPath, report) ? undefined : forms.writePart(part, partPath);
    forms.markCache(part, partPath, written?.block);
    return written === undefined ? [] : [written];
  });
}

/** The same of a message of instructions. */
export function writeInstructions(message: Message, path: string, forms: PartForms, report: TranslationReport): WritableObject[] {
  reportName(message, path, report);
  return message.parts.flatMap((part, index) => {
    const partPath = `${path}.parts[${index}]`;
    const block = forms.writeInstruction(part, partPath);
    forms.markCache(part, partPath, block);
    return block === undefined ? [] : [block];
  });
}

function reportName({ name }: Message, path: string, report: TranslationReport): void {
  if (name !== "") report.dropped(`${path}.name`, "participants have no names");
}

/** Assistants call and think, the others answer. */
function isMisplaced({ part }: Part, role: Role, path: string, report: TranslationReport): boolean {
  const isAssistant = role === Role.ASSISTANT;
  const belongs = part.case === "toolCall" || part.case === "reasoning" ? isAssistant : part.case !== "toolResult" || !isAssistant;
  if (!belongs) report.refused(path, `stands in ${isAssistant ? "an assistant" : "a user"} message, where it has no meaning`);
  return !belongs;
}

/** What a provider signed, and its signature. */
export interface SignedThought {
  readonly thinking: string;
  readonly value: string;
}

/**
 * Reasoning that may go back, unchanged, to the provider that signed it; undefined, and reported, for all other, of which
 * nothing goes as plain text either (contract.md 1, rule 4). `family` is the provider's of signatures.
 */
export function readSignedThought(
  { text, summaries }: ReasoningPart,
  signature: Signature | undefined,
  path: string,
  { family, provider, report }: { readonly family: string; readonly provider: string; readonly report: TranslationReport },
): SignedThought | undefined {
  if (signature === undefined || signature.value === "") {
    report.dropped(path, "reasoning without a signature");
    return undefined;
  }
  if (!isSignedBy(signature, family, provider)) {
    report.dropped(path, "reasoning that another provider signed");
    return undefined;
  }
  // Clients of Responses get the text as a summary, and send it back as one.
  return { thinking: text || summaries.join("\n\n"), value: signature.value };
}
