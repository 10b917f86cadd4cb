/** Parts of messages in the API's words: content, plan and calls of an assistant, content and results of a user. */
import { type Message, type Part, type ReasoningPart, Role, ToolKind, type ToolResult } from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { invalidField } from "../../core/error.ts";
import type { PlacedCall, PlacedResult } from "../../core/exchanges.ts";
import { writeExtras } from "../../core/extras.ts";
import { isJsonObject, parseJson, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import { writeCitations } from "./citations.ts";
import { legalToolName } from "./legal-names.ts";
import { formatName, planMark } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { isPicture, writeDocument, writeImage } from "./write-media.ts";

export interface WrittenCall extends PlacedCall {
  readonly call: WritableObject;
}

export interface WrittenResult extends PlacedResult {
  readonly message: WritableObject;
  /** Images, which only users may send. */
  readonly after: readonly Writable[];
}

/** One message, taken apart. */
export interface WrittenParts {
  readonly content: Writable[];
  /** What the model thought before its calls. */
  readonly plan: string[];
  readonly calls: WrittenCall[];
  readonly citations: WritableObject[];
  readonly results: WrittenResult[];
  /** Images of an assistant, which only users may send. */
  readonly moved: { readonly path: string; readonly image: Writable }[];
}

export function writeParts(message: Message, path: string, context: WriteContext): WrittenParts {
  const written: WrittenParts = { content: [], plan: [], calls: [], citations: [], results: [], moved: [] };
  if (message.name !== "") context.report.dropped(`${path}.name`, "participants have no names");
  const hasCalls = message.parts.some(({ part }) => part.case === "toolCall");
  message.parts.forEach((part, index) => {
    const at = `${path}.parts[${index}]`;
    reportMarks(part, at, context);
    if (isMisplaced(part, message.role)) context.report.refused(at, `does not belong to a message of this role`);
    else writePart(part, at, { role: message.role, hasCalls }, written, context);
  });
  return written;
}

function reportMarks({ part, signature, cache }: Part, path: string, { report }: WriteContext): void {
  if (cache !== undefined) report.dropped(`${path}.cache`, "prefixes are cached without marks");
  if (signature !== undefined && part.case !== "reasoning") report.dropped(`${path}.signature`, "nothing is signed");
}

/** Assistants call and think, the others answer; instructions are text. */
function isMisplaced({ part }: Part, role: Role): boolean {
  const isSystem = role === Role.SYSTEM || role === Role.DEVELOPER;
  if (isSystem) return part.case !== "text";
  const isAssistant = role === Role.ASSISTANT;
  return part.case === "toolCall" || part.case === "reasoning" ? !isAssistant : part.case === "toolResult" && isAssistant;
}

interface MessageFacts {
  readonly role: Role;
  readonly hasCalls: boolean;
}

function writePart(part: Part, path: string, facts: MessageFacts, written: WrittenParts, context: WriteContext): void {
  const { report } = context;
  const { part: content } = part;
  const isAssistant = facts.role === Role.ASSISTANT;
  switch (content.case) {
    case "text":
      writeText(content.value, part, path, written, context);
      break;
    case "refusal":
      report.emulated(path, "a text");
      writeText(content.value, part, path, written, context);
      break;
    case "image": {
      const image = extend(writeImage(content.value, `${path}.image`, context), part, path, context);
      if (image !== undefined) putImage(image, path, isAssistant, written);
      break;
    }
    case "file":
      writeFile(part, path, isAssistant, written, context);
      break;
    case "audio":
    case "video":
      report.refused(path, content.case === "audio" ? "sound is not taken" : "moving pictures are not taken");
      break;
    case "reasoning":
      writeReasoning(content.value, part, path, facts, written, context);
      break;
    case "toolCall": {
      const call = extend(writeCall(content.value, path, context), part, path, context);
      if (call !== undefined) written.calls.push({ callId: content.value.id, path, call });
      break;
    }
    case "toolResult":
      written.results.push(writeResult(content.value, part, path, context));
      break;
    case "opaque":
      if (content.value.format === formatName) written.content.push(rawJsonObject(content.value.dataJson, `${path}.opaque.data_json`));
      else report.dropped(path, `a block of ${content.value.format}`);
      break;
    default:
      throw invalidField(path, "has no content");
  }
}

/** The API refuses texts that say nothing. */
function writeText(text: string, part: Part, path: string, written: WrittenParts, context: WriteContext): void {
  if (text === "") return;
  const block = extend({ type: "text", text }, part, path, context);
  const { citations, lost } = writeCitations(part.annotations, written.content.length);
  if (lost > 0) context.report.dropped(`${path}.annotations`, `${lost} citations have no form here`);
  written.citations.push(...citations);
  if (block !== undefined) written.content.push(block);
}

function putImage(image: Writable, path: string, isAssistant: boolean, written: WrittenParts): void {
  if (isAssistant) written.moved.push({ path, image });
  else written.content.push(image);
}

/** The API takes documents beside the conversation, where all of it may cite them. */
function writeFile(part: Part, path: string, isAssistant: boolean, written: WrittenParts, context: WriteContext): void {
  if (part.part.case !== "file") return;
  const media = part.part.value;
  if (isPicture(media)) {
    const image = extend(writeImage(media, `${path}.file`, context), part, path, context);
    if (image !== undefined) putImage(image, path, isAssistant, written);
    return;
  }
  const document = extend(writeDocument(media, `${path}.file`, context), part, path, context);
  if (document === undefined) return;
  context.report.emulated(path, "one of the call's documents, beside the conversation");
  context.documents.push(document);
}

/** contract.md 1, rule 4: what another provider signed or hid is no thought of this one. */
function writeReasoning(
  { text, summaries, redacted }: ReasoningPart,
  part: Part,
  path: string,
  { hasCalls }: MessageFacts,
  written: WrittenParts,
  context: WriteContext,
): void {
  const { report, target } = context;
  const thought = text || summaries.join("\n\n");
  if (part.signature !== undefined || redacted) report.dropped(path, "reasoning that another kind of model signed");
  else if (thought === "") return;
  else if (isPlan(part) || (hasCalls && target.traits.reasoning === "none")) written.plan.push(thought);
  else if (target.traits.reasoning === "none") report.dropped(path, "the model takes no reasoning back");
  else {
    const block = extend({ type: "thinking", thinking: thought }, part, path, context);
    if (block !== undefined) written.content.push(block);
  }
}

function isPlan({ extrasJson }: Part): boolean {
  const own = extrasJson[formatName];
  if (own === undefined) return false;
  const members = parseJson(own);
  return isJsonObject(members) && members[planMark] === true;
}

function writeCall(call: Extract<Part["part"], { case: "toolCall" }>["value"], path: string, { report }: WriteContext): WritableObject {
  const name = legalToolName(call.name);
  if (call.kind !== ToolKind.CUSTOM) {
    return { id: call.id, type: "function", function: { name, arguments: call.argumentsJson.trim() === "" ? "{}" : call.argumentsJson } };
  }
  report.emulated(path, "a call with one argument");
  return { id: call.id, type: "function", function: { name, arguments: writeJson({ [customToolArgument]: call.inputText }) } };
}

function writeResult(result: ToolResult, part: Part, path: string, context: WriteContext): WrittenResult {
  const { report } = context;
  const content: Writable[] = [];
  const after: Writable[] = [];
  result.content.forEach((inner, index) => {
    const at = `${path}.tool_result.content[${index}]`;
    reportMarks(inner, at, context);
    const { part: piece } = inner;
    const picture = piece.case === "image" || (piece.case === "file" && isPicture(piece.value)) ? piece.value : undefined;
    if (picture !== undefined) {
      const image = extend(writeImage(picture, `${at}.${piece.case}`, context), inner, at, context);
      if (image === undefined) return;
      report.emulated(at, "an image after the results");
      after.push(image);
    } else if (piece.case === "text" || piece.case === "refusal") {
      const block = extend({ type: "text", text: piece.value }, inner, at, context);
      if (piece.value !== "" && block !== undefined) content.push(block);
    } else if (piece.case === "file") {
      const document = extend(writeDocument(piece.value, `${at}.file`, context), inner, at, context);
      if (document !== undefined) content.push({ type: "document", document });
    } else if (piece.case === "opaque" && piece.value.format === formatName) {
      content.push(rawJsonObject(piece.value.dataJson, `${at}.opaque.data_json`));
    } else report.refused(at, "a result holds text, documents and images");
  });
  if (result.resultJson !== "") content.unshift({ type: "text", text: result.resultJson });
  if (result.isError) {
    report.emulated(`${path}.tool_result.is_error`, 'the text begins with "Error: "');
    const [first] = content;
    if (isText(first)) content[0] = { ...first, text: `Error: ${first.text}` };
    else content.unshift({ type: "text", text: "Error: " });
  }
  const message: WritableObject = { role: "tool", tool_call_id: result.toolCallId, content: plainContent(content) };
  writeExtras(message, part.extrasJson, formatName, path, report);
  return { resultId: result.toolCallId, path, message, after };
}

function isText(block: Writable): block is { type: "text"; text: string } {
  return typeof block === "object" && block !== null && "type" in block && block.type === "text";
}

/** A string where one plain text is all there is. */
export function plainContent(content: readonly Writable[]): Writable {
  const [first] = content;
  if (first === undefined) return "";
  return content.length === 1 && isText(first) && Object.keys(first).length === 2 ? first.text : content;
}

/** Adds the part's own unknown members. */
function extend(block: WritableObject | undefined, part: Part, path: string, { report }: WriteContext): WritableObject | undefined {
  if (block !== undefined) writeExtras(block, part.extrasJson, formatName, path, report);
  return block;
}
