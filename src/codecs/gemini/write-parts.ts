/** Parts of messages as parts of contents. */
import { type Message, type Part, Role, type Signature, type ToolCall, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { invalidField } from "../../core/error.ts";
import { reportForeignExtras, writeExtras } from "../../core/extras.ts";
import type { WritableObject } from "../../core/json.ts";
import { readJsonObject } from "../../core/json-field.ts";
import { isSignedBy } from "../../core/signature.ts";
import { objectArguments } from "../../core/tool-arguments.ts";
import { formatName, madeIdPrefix, signatureFamily } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { writeMedia } from "./write-media.ts";
import { writeToolResult } from "./write-tool-result.ts";

/** A functionResponse whose name the conversation finds by the call. */
export interface WrittenResult {
  readonly callId: string;
  /** As the result itself names its tool; may be empty. */
  readonly name: string;
  readonly response: WritableObject;
  /** Media that the model takes only after all results. */
  readonly after: readonly WritableObject[];
}

/** One part, written. */
export interface WrittenPart {
  readonly path: string;
  readonly part: WritableObject;
  readonly call?: { readonly id: string; readonly name: string };
  readonly result?: WrittenResult;
}

/** The parts of one message, without those that are left out. */
export class PartWriter {
  readonly #context: WriteContext;

  constructor(context: WriteContext) {
    this.#context = context;
  }

  write(message: Message, path: string): WrittenPart[] {
    this.#reportName(message, path);
    const isGeminis = message.parts.some(({ signature }) => this.#isValid(signature));
    const written: WrittenPart[] = [];
    /** The signature of hidden reasoning: it hangs on the next call or text. */
    let hanging: { readonly value: string; readonly path: string } | undefined;
    const flush = () => {
      if (hanging !== undefined) written.push({ path: hanging.path, part: { text: "", thoughtSignature: hanging.value } });
      hanging = undefined;
    };
    message.parts.forEach((part, index) => {
      const partPath = `${path}.parts[${index}]`;
      if (this.#refuseMisplaced(part, message.role, partPath)) return;
      this.#reportUnwritten(part, partPath);
      if (part.part.case === "reasoning") {
        const { thought, signature } = this.#reasoning(part, isGeminis, partPath);
        if (thought !== undefined) written.push({ path: partPath, part: thought });
        if (signature === undefined) return;
        flush();
        hanging = { value: signature, path: partPath };
        return;
      }
      const next = this.#writePart(part, partPath);
      if (next === undefined) return;
      if (hanging !== undefined && (next.part.text !== undefined || next.call !== undefined)) {
        if (next.part.thoughtSignature === undefined) {
          next.part.thoughtSignature = hanging.value;
          hanging = undefined;
        } else flush();
      }
      written.push(next);
    });
    flush();
    return written;
  }

  /** Whether a part may not stand in a message of this role. */
  #refuseMisplaced({ part }: Part, role: Role, path: string): boolean {
    const isModels = part.case === "toolCall" || part.case === "reasoning";
    const isMisplaced = role === Role.ASSISTANT ? part.case === "toolResult" : isModels;
    const place = isModels ? "an assistant message" : "a user or tool message";
    if (isMisplaced) this.#context.report.refused(path, `stands in ${place} only`);
    return isMisplaced;
  }

  /** A message of instructions: text alone, one part each. */
  writeInstructions(message: Message, path: string): WritableObject[] {
    this.#reportName(message, path);
    return message.parts.flatMap((part, index) => {
      const partPath = `${path}.parts[${index}]`;
      this.#reportUnwritten(part, partPath);
      if (part.part.case !== "text") {
        this.#context.report.refused(partPath, "instructions are text");
        return [];
      }
      if (part.part.value === "") return [];
      const written: WritableObject = { text: part.part.value };
      writeExtras(written, part.extrasJson, formatName, partPath, this.#context.report);
      return [written];
    });
  }

  #reportName({ name }: Message, path: string): void {
    if (name !== "") this.#context.report.dropped(`${path}.name`, "participants have no names");
  }

  #reportUnwritten({ cache, annotations }: Part, path: string): void {
    const { report } = this.#context;
    if (cache !== undefined) report.dropped(`${path}.cache`, "prefixes are cached without markers");
    if (annotations.length > 0) report.dropped(`${path}.annotations`, "citations are not sent back");
  }

  #writePart(part: Part, path: string): WrittenPart | undefined {
    const { report } = this.#context;
    const { part: content } = part;
    switch (content.case) {
      case "text":
        return this.#finish(content.value === "" && !this.#isValid(part.signature) ? undefined : { text: content.value }, part, path);
      case "refusal":
        report.emulated(path, "a text");
        return this.#finish(content.value === "" ? undefined : { text: content.value }, part, path);
      case "image":
      case "audio":
      case "video":
      case "file":
        return this.#finish(writeMedia(content.value, content.case, path, this.#context), part, path);
      case "toolCall": {
        const written = this.#finish(this.#call(content.value, path), part, path);
        return written && { ...written, call: { id: content.value.id, name: content.value.name } };
      }
      case "toolResult": {
        const { functionResponse, after } = writeToolResult(content.value, path, this.#context);
        const written = this.#finish({ functionResponse }, part, path);
        const { toolCallId: callId, name } = content.value;
        return written && { ...written, result: { callId, name, response: functionResponse, after } };
      }
      case "opaque":
        return this.#finish(this.#opaque(part, path), part, path);
      default:
        throw invalidField(path, "has no content");
    }
  }

  /** Adds the part's signature and its own unknown fields. */
  #finish(written: WritableObject | undefined, part: Part, path: string): WrittenPart | undefined {
    const { report } = this.#context;
    if (part.signature !== undefined) {
      if (!this.#isValid(part.signature)) report.dropped(`${path}.signature`, "another provider's signature");
      else if (written !== undefined) written.thoughtSignature = part.signature.value;
    }
    if (written === undefined) {
      reportForeignExtras(part.extrasJson, formatName, path, report);
      return undefined;
    }
    writeExtras(written, part.extrasJson, formatName, path, report);
    return { path, part: written };
  }

  /** contract.md 1, rule 4. */
  #isValid(signature: Signature | undefined): signature is Signature {
    if (signature === undefined || signature.value === "") return false;
    return isSignedBy(signature, signatureFamily, this.#context.target.provider);
  }

  /**
   * A thought whose issuer is known goes back as it came. Where a client cannot say who signed, the signature belongs to
   * what follows: the API itself puts it there.
   */
  #reasoning(part: Part, isGeminis: boolean, path: string): { readonly thought?: WritableObject; readonly signature?: string } {
    if (part.part.case !== "reasoning") return {};
    const { report } = this.#context;
    const { signature } = part;
    const text = part.part.value.text || part.part.value.summaries.join("\n\n");
    if (signature !== undefined ? !this.#isValid(signature) : !isGeminis) {
      report.dropped(path, signature === undefined ? "reasoning without a signature" : "reasoning that another provider signed");
      return {};
    }
    const staysInPlace = signature !== undefined && signature.provider !== "";
    const thought: WritableObject = { text, thought: true, thoughtSignature: staysInPlace ? signature.value : undefined };
    writeExtras(thought, part.extrasJson, formatName, path, report);
    return {
      ...(text === "" && !staysInPlace ? {} : { thought }),
      ...(signature === undefined || staysInPlace ? {} : { signature: signature.value }),
    };
  }

  #call({ id, name, argumentsJson, inputText, kind }: ToolCall, path: string): WritableObject {
    const { report, state, quirks } = this.#context;
    const sentId = quirks.toolCallIds === false || id.startsWith(madeIdPrefix) || id === "" ? undefined : id;
    const call = { id: sentId, name: state.legalName(name) };
    if (kind !== ToolKind.CUSTOM) return { functionCall: { ...call, args: objectArguments(argumentsJson, path, report) } };
    report.emulated(path, "a call with one argument");
    return { functionCall: { ...call, args: { [customToolArgument]: inputText } } };
  }

  #opaque({ part }: Part, path: string): WritableObject | undefined {
    if (part.case !== "opaque") return undefined;
    const { format, dataJson } = part.value;
    if (format === formatName) return { ...(readJsonObject(dataJson, `${path}.opaque.data_json`) as WritableObject) };
    this.#context.report.dropped(path, `a block of ${format}`);
    return undefined;
  }
}
