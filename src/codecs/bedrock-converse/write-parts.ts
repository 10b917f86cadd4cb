/** Parts of messages as content blocks: objects with one member, which names their kind. */
import type { Part, Signature, ToolCall, ToolResult } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type ReasoningPart, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { invalidField } from "../../core/error.ts";
import { writeExtras } from "../../core/extras.ts";
import {
  isJsonObject,
  isWritableObject,
  type JsonValue,
  jsonText,
  RawJson,
  tryParseJson,
  type Writable,
  type WritableObject,
} from "../../core/json.ts";
import { objectArguments } from "../../core/tool-arguments.ts";
import { isBlank, type PartForms, readSignedThought, type WrittenPart } from "../../core/written-parts.ts";
import { writeCitation } from "./citations.ts";
import { legalName } from "./legal-names.ts";
import { formatName } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { writeAudio, writeDocument, writeImage, writeVideo } from "./write-media.ts";

/** Parts of one conversation, in their order. `context.points` learns of their cache markers. */
export class PartWriter implements PartForms {
  readonly #context: WriteContext;
  /** The last block that a cache point may follow: a marker on what is left out moves back to it. */
  #last: WritableObject | undefined;

  constructor(context: WriteContext) {
    this.#context = context;
  }

  /** Instructions are text, or blocks of this format. */
  writeInstruction(part: Part, path: string): WritableObject | undefined {
    if (part.part.case === "opaque") return this.#writeOpaque(part, path);
    if (part.part.case === "text") return this.#writeText(part.part.value, part, path);
    this.#context.report.refused(path, "instructions are text");
    return undefined;
  }

  markCache(part: Part, path: string, block: WritableObject | undefined): void {
    if (block !== undefined && part.part.case !== "reasoning") this.#last = block;
    this.#context.points.mark(this.#last, part.cache ?? innerMarker(part), `${path}.cache`);
  }

  writePart(part: Part, path: string): WrittenPart | undefined {
    const { report } = this.#context;
    const { part: content, signature } = part;
    if (signature !== undefined && content.case !== "reasoning") report.dropped(`${path}.signature`, "only reasoning is signed");
    switch (content.case) {
      case "text":
        return this.#block(path, this.#writeText(content.value, part, path));
      case "refusal":
        report.emulated(path, "a text");
        return this.#block(path, this.#writeText(content.value, part, path));
      case "image":
        return this.#block(path, this.#extend(writeImage(content.value, `${path}.image`, this.#context), part, path), { isMedia: true });
      case "audio":
        return this.#block(path, this.#extend(writeAudio(content.value, `${path}.audio`, this.#context), part, path), { isMedia: true });
      case "video":
        return this.#block(path, this.#extend(writeVideo(content.value, `${path}.video`, this.#context), part, path), { isMedia: true });
      case "file":
        return this.#block(path, this.#extend(writeDocument(content.value, `${path}.file`, this.#context), part, path), { isMedia: true });
      case "reasoning":
        return this.#block(path, this.#extend(this.#writeReasoning(content.value, signature, path), part, path));
      case "toolCall":
        return this.#block(path, this.#extend(this.#writeToolCall(content.value, path), part, path), { callId: content.value.id });
      case "toolResult":
        return this.#writeToolResult(content.value, part, path);
      case "opaque":
        return this.#block(path, this.#writeOpaque(part, path));
      default:
        throw invalidField(path, "has no content");
    }
  }

  #block(path: string, block: WritableObject | undefined, more: Partial<WrittenPart> = {}): WrittenPart | undefined {
    return block === undefined ? undefined : { ...more, path, block };
  }

  /** Adds the part's own unknown fields to what the block holds. */
  #extend(block: WritableObject | undefined, part: Part, path: string): WritableObject | undefined {
    if (block === undefined) return undefined;
    const [inner] = Object.values(block);
    writeExtras(isWritableObject(inner) ? inner : block, part.extrasJson, formatName, path, this.#context.report);
    return block;
  }

  /** A text that rests on sources is a block of another kind. */
  #writeText(text: string, part: Part, path: string): WritableObject | undefined {
    if (isBlank(text)) return undefined;
    const citations = part.annotations.map(writeCitation);
    const written = citations.filter((citation) => citation !== undefined);
    if (written.length < citations.length) {
      this.#context.report.dropped(`${path}.annotations`, `${citations.length - written.length} citations have no form here`);
    }
    const block: WritableObject = written.length === 0 ? { text } : { citationsContent: { content: [{ text }], citations: written } };
    return this.#extend(block, part, path);
  }

  #writeReasoning(reasoning: ReasoningPart, signature: Signature | undefined, path: string): WritableObject | undefined {
    const { target, report, quirks } = this.#context;
    const thought = readSignedThought(reasoning, signature, path, { family: quirks.signatureFamily, provider: target.provider, report });
    if (thought === undefined) return undefined;
    const { thinking, value } = thought;
    return { reasoningContent: reasoning.redacted ? { redactedContent: value } : { reasoningText: { text: thinking, signature: value } } };
  }

  #writeToolCall({ id, name, argumentsJson, inputText, kind }: ToolCall, path: string): WritableObject {
    const call = { toolUseId: legalName(id), name: legalName(name) };
    if (kind !== ToolKind.CUSTOM) return { toolUse: { ...call, input: objectArguments(argumentsJson, path, this.#context.report) } };
    this.#context.report.emulated(path, "a call with one argument");
    return { toolUse: { ...call, input: { [customToolArgument]: inputText } } };
  }

  #writeToolResult(result: ToolResult, part: Part, path: string): WrittenPart {
    const { report, quirks } = this.#context;
    const { content, after } = this.#writeResultContents(result, path);
    if (result.isError && !quirks.resultStatus)
      markError(content, () => report.emulated(`${path}.tool_result.is_error`, 'the text "Error: "'));
    const toolResult: WritableObject = {
      toolUseId: legalName(result.toolCallId),
      content,
      status: result.isError && quirks.resultStatus ? "error" : undefined,
    };
    writeExtras(toolResult, part.extrasJson, formatName, path, report);
    return { path, block: { toolResult }, resultId: result.toolCallId, after };
  }

  #writeResultContents(result: ToolResult, path: string): { content: WritableObject[]; after: WritableObject[] } {
    const { report, target } = this.#context;
    const content: WritableObject[] = [];
    const after: WritableObject[] = [];
    if (result.resultJson !== "") {
      // JSON that is no object is refused.
      const isObject = isJsonObject(tryParseJson(result.resultJson));
      content.push(isObject ? { json: new RawJson(result.resultJson) } : { text: result.resultJson });
    }
    result.content.forEach((inner, index) => {
      const innerPath = `${path}.tool_result.content[${index}]`;
      const written = this.#writeResultContent(inner, innerPath);
      if (written === undefined) return;
      if (written.image !== undefined && target.traits.toolResultImages === false) {
        report.emulated(innerPath, "an image after the results");
        after.push(written);
      } else content.push(written);
    });
    return { content, after };
  }

  #writeResultContent(part: Part, path: string): WritableObject | undefined {
    switch (part.part.case) {
      case "text":
      case "refusal":
      case "image":
      case "file":
      case "video":
      case "opaque":
        return this.writePart(part, path)?.block;
      default:
        this.#context.report.refused(path, "a result holds text, JSON, images, documents or videos");
        return undefined;
    }
  }

  #writeOpaque({ part, extrasJson }: Part, path: string): WritableObject | undefined {
    const { report } = this.#context;
    if (part.case !== "opaque") return undefined;
    const { format, dataJson } = part.value;
    if (format !== formatName) {
      report.dropped(path, `a block of ${format}`);
      return undefined;
    }
    const data = tryParseJson(dataJson);
    if (!isJsonObject(data)) throw invalidField(`${path}.opaque.data_json`, "must be JSON text of one object");
    const block: WritableObject = { ...(data as WritableObject) };
    writeExtras(block, extrasJson, formatName, path, report);
    return block;
  }
}

/** A cache point cannot stand inside a result: it follows the result. */
function innerMarker({ part }: Part): Part["cache"] {
  return part.case === "toolResult" ? part.value.content.findLast(({ cache }) => cache !== undefined)?.cache : undefined;
}

function markError(content: WritableObject[], report: () => void): void {
  report();
  const [first] = content;
  if (typeof first?.text === "string") first.text = `Error: ${first.text}`;
  else if (first?.json !== undefined && first.json !== null) content[0] = { text: `Error: ${textOf(first.json)}` };
  else content.unshift({ text: "Error: " });
}

function textOf(json: Writable): string {
  return json instanceof RawJson ? json.text : jsonText(json as JsonValue);
}
