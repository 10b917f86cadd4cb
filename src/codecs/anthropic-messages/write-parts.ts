/** Parts of messages as content blocks. */
import type { Part, Signature, ToolCall, ToolResult } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type ReasoningPart, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { invalidField } from "../../core/error.ts";
import { writeExtras } from "../../core/extras.ts";
import { isJsonObject, type JsonObject, tryParseJson, type WritableObject } from "../../core/json.ts";
import { objectArguments } from "../../core/tool-arguments.ts";
import { isBlank, type PartForms, readSignedThought, type WrittenPart } from "../../core/written-parts.ts";
import { writeCitation } from "./citations.ts";
import { legalId, legalToolName } from "./legal-names.ts";
import { formatName, signatureFamily } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { writeDocument, writeImage } from "./write-media.ts";

/** Parts of one conversation, in their order. `context.markers` learns of their cache markers. */
export class PartWriter implements PartForms {
  readonly #context: WriteContext;
  /** The last block that may bear a cache marker: a marker on what is left out moves back to it. */
  #last: WritableObject | undefined;

  constructor(context: WriteContext) {
    this.#context = context;
  }

  /** Instructions are text alone. */
  writeInstruction(part: Part, path: string): WritableObject | undefined {
    if (part.part.case === "text") return this.#writeText(part.part.value, part, path);
    this.#context.report.refused(path, "instructions are text");
    return undefined;
  }

  markCache(part: Part, path: string, block: WritableObject | undefined): void {
    if (block !== undefined && part.part.case !== "reasoning") this.#last = block;
    this.#context.markers.mark(this.#last, part.cache, `${path}.cache`);
  }

  writePart(part: Part, path: string): WrittenPart | undefined {
    const { report } = this.#context;
    const { part: content, signature } = part;
    if (signature !== undefined && content.case !== "reasoning") {
      report.dropped(`${path}.signature`, "only reasoning is signed");
    }
    switch (content.case) {
      case "text":
        return this.#block(path, this.#writeText(content.value, part, path));
      case "refusal":
        report.emulated(path, "a text");
        return this.#block(path, this.#writeText(content.value, part, path));
      case "image":
        return this.#block(path, this.#extend(writeImage(content.value, `${path}.image`, this.#context), part, path), { isMedia: true });
      case "file":
        return this.#block(path, this.#extend(writeDocument(content.value, `${path}.file`, this.#context), part, path), { isMedia: true });
      case "audio":
      case "video":
        report.refused(path, content.case === "audio" ? "sound is not taken" : "moving pictures are not taken");
        return undefined;
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

  /** Adds the part's own unknown fields. */
  #extend(block: WritableObject | undefined, part: Part, path: string): WritableObject | undefined {
    if (block !== undefined) writeExtras(block, part.extrasJson, formatName, path, this.#context.report);
    return block;
  }

  #writeText(text: string, part: Part, path: string): WritableObject | undefined {
    if (isBlank(text)) return undefined;
    const block: WritableObject = { type: "text", text };
    const citations = part.annotations.map(writeCitation);
    const written = citations.filter((citation) => citation !== undefined);
    if (written.length > 0) block.citations = written;
    if (written.length < citations.length) {
      this.#context.report.dropped(`${path}.annotations`, `${citations.length - written.length} citations have no form here`);
    }
    return this.#extend(block, part, path);
  }

  #writeReasoning(reasoning: ReasoningPart, signature: Signature | undefined, path: string): WritableObject | undefined {
    const { target, report } = this.#context;
    const thought = readSignedThought(reasoning, signature, path, { family: signatureFamily, provider: target.provider, report });
    if (thought === undefined) return undefined;
    const { thinking, value } = thought;
    return reasoning.redacted ? { type: "redacted_thinking", data: value } : { type: "thinking", thinking, signature: value };
  }

  #writeToolCall({ id, name, argumentsJson, inputText, kind }: ToolCall, path: string): WritableObject {
    const call = { type: "tool_use", id: legalId(id), name: legalToolName(name) };
    if (kind !== ToolKind.CUSTOM) return { ...call, input: objectArguments(argumentsJson, path, this.#context.report) };
    this.#context.report.emulated(path, "a call with one argument");
    return { ...call, input: { [customToolArgument]: inputText } };
  }

  #writeToolResult(result: ToolResult, part: Part, path: string): WrittenPart {
    const { report, target, markers } = this.#context;
    const content: WritableObject[] = [];
    const after: WritableObject[] = [];
    if (result.resultJson !== "") content.push({ type: "text", text: result.resultJson });
    result.content.forEach((inner, index) => {
      const innerPath = `${path}.tool_result.content[${index}]`;
      const written = this.#writeResultContent(inner, innerPath);
      if (written === undefined) {
        markers.mark(content.at(-1), inner.cache, `${innerPath}.cache`);
        return;
      }
      markers.mark(written, inner.cache, `${innerPath}.cache`);
      if (written.type === "image" && target.traits.toolResultImages === false) {
        report.emulated(innerPath, "an image after the results");
        after.push(written);
      } else content.push(written);
    });
    const block: WritableObject = {
      type: "tool_result",
      tool_use_id: legalId(result.toolCallId),
      content: content.length === 0 ? undefined : content,
      is_error: result.isError ? true : undefined,
    };
    writeExtras(block, part.extrasJson, formatName, path, report);
    return { path, block, resultId: result.toolCallId, after };
  }

  #writeResultContent(part: Part, path: string): WritableObject | undefined {
    switch (part.part.case) {
      case "text":
      case "refusal":
      case "image":
      case "file":
      case "audio":
      case "video":
      case "opaque":
        return this.writePart(part, path)?.block;
      default:
        this.#context.report.refused(path, "a result holds text, images, documents or blocks of this format");
        return undefined;
    }
  }

  #writeOpaque({ part, cache, extrasJson }: Part, path: string): WritableObject | undefined {
    const { report } = this.#context;
    if (part.case !== "opaque") return undefined;
    const { format, type, dataJson } = part.value;
    if (format !== formatName) {
      report.dropped(path, `a block of ${format}`);
      return undefined;
    }
    const data = tryParseJson(dataJson);
    if (!isJsonObject(data)) throw invalidField(`${path}.opaque.data_json`, "must be JSON text of one object");
    const block: WritableObject = { ...(data as WritableObject) };
    block.type ??= type;
    // Markers are counted: one that stands inside the block is as good as one beside it.
    if (cache === undefined && isJsonObject(data.cache_control)) {
      this.#context.markers.mark(block, readCacheControl(data.cache_control), `${path}.cache`);
    } else if (cache !== undefined) delete block.cache_control;
    writeExtras(block, extrasJson, formatName, path, report);
    return block;
  }
}

function readCacheControl({ ttl }: JsonObject): { $typeName: "dragoman.v1.CacheMarker"; ttlSeconds?: number } {
  return { $typeName: "dragoman.v1.CacheMarker", ...(ttl === "1h" ? { ttlSeconds: 3600 } : ttl === "5m" ? { ttlSeconds: 300 } : {}) };
}
