/** Messages as input items: one per message, call, result and reasoning, in their order. */
import { type Message, type Part, Role, ToolKind, type ToolResult } from "../../../gen/dragoman/v1/generate_pb.ts";
import { reportForeignExtras, writeExtras } from "../../core/extras.ts";
import { isJsonObject, parseJson, upstreamJsonLimits, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import { shortHash } from "../../core/legal-name.ts";
import { isSignedBy } from "../../core/signature.ts";
import { legalCallId, legalToolName } from "./legal-names.ts";
import { format, idOfType, idPrefix, itemExtras, signatureFamily } from "./wire.ts";
import { mediaCases, type Placed, writeCacheMarker, writeInputPart, writeOutputPart } from "./write-content.ts";
import type { WriteContext } from "./write-context.ts";

interface Item {
  readonly written: Writable;
  readonly path: string;
  readonly kind: "reasoning" | "output" | "other";
}

/** `first`: number of the first message that is not written elsewhere. */
export function writeItems(messages: readonly Message[], first: number, context: WriteContext): Writable[] {
  return new ItemWriter(context).write(messages, first);
}

class ItemWriter {
  readonly #context: WriteContext;
  readonly #items: Item[] = [];
  /** Media of assistants, which only users may send here: they wait for the next turn of the user. */
  #moved: Placed[] = [];
  #isAfterSystem = false;

  constructor(context: WriteContext) {
    this.#context = context;
  }

  write(messages: readonly Message[], first: number): Writable[] {
    messages.forEach((message, index) => {
      if (index >= first) this.#message(message, `messages[${index}]`);
    });
    this.#writeMoved();
    this.#dropUnledReasoning();
    return this.#items.map(({ written }) => written);
  }

  #message(message: Message, path: string): void {
    const { report } = this.#context;
    const parts = message.parts.map((part, index) => ({ part, path: `${path}.parts[${index}]` }));
    if (message.name !== "") report.dropped(`${path}.name`, "the target takes no names of participants");
    switch (message.role) {
      case Role.SYSTEM:
      case Role.DEVELOPER:
        this.#writeMoved();
        this.#system(message, parts, path);
        break;
      case Role.ASSISTANT:
        this.#writeMoved();
        this.#isAfterSystem = true;
        if (parts.length === 0) this.#push({ type: "message", role: "assistant", content: [] }, path, "output", message);
        else {
          this.#assistant(parts);
          reportForeignExtras(message.extrasJson, format, path, report);
        }
        break;
      default:
        this.#isAfterSystem = true;
        this.#user(message, parts, path);
    }
  }

  #system(message: Message, parts: Placed[], path: string): void {
    const { report, target } = this.#context;
    const opaque = parts.filter(({ part }) => isOwnItem(part));
    for (const { part, path: at } of opaque) this.#raw(part, at, "other");
    const rest = parts.filter(({ part }) => !isOwnItem(part));
    if (rest.length === 0 && opaque.length > 0) return;
    for (const { part, path: at } of rest) if (mediaCases.has(part.part.case)) report.refused(at, "must be text in a system message");
    const content = this.#content(rest.filter(({ part }) => !mediaCases.has(part.part.case)));
    if (this.#isAfterSystem && target.traits.midSystem === false) {
      report.emulated(path, "a user message that says it is an instruction: the target takes system messages at the start only");
      const marked = [{ type: "input_text", text: "[System instruction]" }, ...content];
      this.#push({ type: "message", role: "user", content: marked }, path, "other", message);
      return;
    }
    const role = message.role === Role.DEVELOPER ? "developer" : "system";
    this.#push({ type: "message", ...messageId(parts), role, content }, path, "other", message);
  }

  /** Results are items of their own; what else the turn holds follows as the user's. */
  #user(message: Message, parts: Placed[], path: string): void {
    const { report } = this.#context;
    const others: Placed[] = [];
    for (const placed of parts) {
      const { part, path: at } = placed;
      if (part.part.case === "toolResult") this.#result(part, part.part.value, at);
      else if (message.role === Role.TOOL && isOwnItem(part)) this.#raw(part, at, "other");
      else others.push(placed);
    }
    if (others.length === 0 && parts.length > 0) {
      reportForeignExtras(message.extrasJson, format, path, report);
      return;
    }
    if (message.role === Role.TOOL) for (const { path: at } of others) report.emulated(at, "sent as the user: only results are a tool's");
    const moved = this.#moved;
    this.#moved = [];
    const content = this.#content([...moved, ...others]);
    this.#push({ type: "message", ...messageId(others), role: "user", content }, path, "other", message);
  }

  #result(part: Part, result: ToolResult, path: string): void {
    const { report, marked } = this.#context;
    const isCustom = result.kind === ToolKind.CUSTOM;
    const type = isCustom ? "custom_tool_call_output" : "function_call_output";
    const inner = result.content.map((content, index) => ({ part: content, path: `${path}.tool_result.content[${index}]` }));
    let output: string | Writable[];
    if (result.resultJson !== "") output = result.resultJson;
    else {
      const [only] = inner;
      const isPlain = inner.length === 1 && only !== undefined && isPlainText(only.part, marked);
      output = isPlain && only.part.part.case === "text" ? only.part.part.value : inner.length === 0 ? "" : this.#content(inner);
    }
    if (marked.has(part)) output = this.#marked(output, part, path);
    if (result.isError) {
      report.emulated(`${path}.tool_result.is_error`, 'the text begins with "Error: "');
      output = typeof output === "string" ? `Error: ${output}` : [{ type: "input_text", text: "Error: " }, ...output];
    }
    const written: WritableObject = { type, call_id: legalCallId(result.toolCallId), output };
    if (part.id !== "") written.id = part.id;
    writeExtras(written, part.extrasJson, format, path, report);
    this.#items.push({ written, path, kind: "other" });
  }

  /** A result's own marker stands on the last piece of its content. */
  #marked(output: string | Writable[], { cache }: Part, path: string): Writable[] {
    const list = typeof output === "string" ? [{ type: "input_text", text: output } as WritableObject] : output;
    const last = list.at(-1);
    if (isJsonObject(last)) writeCacheMarker(last as WritableObject, cache, `${path}.cache`, this.#context.report);
    return list;
  }

  #assistant(parts: readonly Placed[]): void {
    const { report } = this.#context;
    /** Ids of what followed reasoning that is left out name a pair that is torn: they go too. */
    let isTorn = false;
    let run: Placed[] = [];
    const endRun = () => {
      if (run.length > 0) this.#answered(run, isTorn);
      run = [];
    };
    for (const placed of parts) {
      const { part, path } = placed;
      const { case: kind, value } = part.part;
      if (part.signature !== undefined && kind !== "reasoning") report.dropped(`${path}.signature`, "a signature of another kind of model");
      if (kind === "text" || kind === "refusal" || isOwnContent(part)) {
        if (run.length > 0 && run[0]?.part.id !== part.id) endRun();
        run.push(placed);
        continue;
      }
      endRun();
      if (kind === "reasoning") isTorn = !this.#reasoning(part, path);
      else if (kind === "toolCall") this.#call(part, path, isTorn);
      else if (mediaCases.has(kind)) {
        report.emulated(path, "moved to the next turn of the user: the target takes no media from the assistant");
        this.#moved.push(placed);
      } else if (isOwnItem(part)) this.#raw(part, path, "output");
      else if (kind === "opaque") report.dropped(path, `a block of ${value.format || "another format"}`);
      else report.dropped(path, `${kind ?? "an empty part"} has no place in an answer`);
    }
    endRun();
  }

  /** One message item. */
  #answered(run: readonly Placed[], isTorn: boolean): void {
    const { report } = this.#context;
    const [first] = run;
    if (first === undefined) return;
    let itemFields: string | undefined;
    const content = run.map((placed) => {
      const { part, path } = placed;
      reportForeignExtras(part.extrasJson, format, path, report);
      const { own, item } = splitItemExtras(part.extrasJson[format]);
      itemFields ??= item;
      return writeOutputPart(placed, own, this.#context);
    });
    const id = isTorn ? "" : idOfType("message", first.part.id);
    const written: WritableObject = { type: "message", ...(id === "" ? {} : { id, status: "completed" }), role: "assistant", content };
    if (itemFields !== undefined) writeExtras(written, { [format]: itemFields }, format, first.path, report);
    this.#items.push({ written, path: first.path, kind: "output" });
  }

  /** Whether it was written (contract.md 1, rule 4, and 3.2, Responses without state). */
  #reasoning(part: Part, path: string): boolean {
    const { report, target, isStored } = this.#context;
    if (part.part.case !== "reasoning") return false;
    const { signature } = part;
    const isOwn = signature !== undefined && isSignedBy(signature, signatureFamily, target.provider);
    const id = idOfType("reasoning", part.id);
    if (signature === undefined ? !(isStored && id !== "") : !isOwn) {
      report.dropped(
        path,
        signature === undefined ? "reasoning without its encrypted content" : "reasoning signed by another kind of model",
      );
      return false;
    }
    const { text, summaries } = part.part.value;
    const written: WritableObject = {
      type: "reasoning",
      // The API wants an id; that of a reasoning item means nothing without provider-side state.
      id: id === "" ? `${idPrefix("reasoning")}${shortHash(signature?.value ?? "")}` : id,
      summary: summaries.map((summary) => ({ type: "summary_text", text: summary })),
    };
    if (text !== "") written.content = [{ type: "reasoning_text", text }];
    if (signature !== undefined) written.encrypted_content = signature.value;
    writeExtras(written, part.extrasJson, format, path, report);
    this.#items.push({ written, path, kind: "reasoning" });
    return true;
  }

  #call(part: Part, path: string, isTorn: boolean): void {
    const { report } = this.#context;
    if (part.part.case !== "toolCall") return;
    const call = part.part.value;
    const isCustom = call.kind === ToolKind.CUSTOM;
    const type = isCustom ? "custom_tool_call" : "function_call";
    const id = isTorn ? "" : idOfType(type, part.id);
    const written: WritableObject = { type, call_id: legalCallId(call.id), name: legalToolName(call.name) };
    if (id !== "") written.id = id;
    if (isCustom) written.input = call.inputText;
    else written.arguments = call.argumentsJson || "{}";
    writeExtras(written, part.extrasJson, format, path, report);
    this.#items.push({ written, path, kind: "output" });
  }

  /** An item of this format that is not modelled. */
  #raw(part: Part, path: string, kind: Item["kind"]): void {
    if (part.part.case !== "opaque") return;
    const { type, dataJson } = part.part.value;
    if (type === "item_reference" && !this.#context.isStored) {
      this.#context.report.refused(path, "names an item that is not kept: send the item itself, or store answers");
      return;
    }
    this.#items.push({ written: rawJsonObject(dataJson, path), path, kind });
  }

  #content(parts: readonly Placed[]): Writable[] {
    return parts.map((placed) => writeInputPart(placed, this.#context)).filter((written) => written !== undefined);
  }

  #push(written: WritableObject, path: string, kind: Item["kind"], message: Message): void {
    writeExtras(written, message.extrasJson, format, path, this.#context.report);
    this.#items.push({ written, path, kind });
  }

  #writeMoved(): void {
    if (this.#moved.length === 0) return;
    const content = this.#content(this.#moved);
    this.#moved = [];
    this.#items.push({ written: { type: "message", role: "user", content }, path: "messages", kind: "other" });
  }

  /** Reasoning that led to nothing is refused. */
  #dropUnledReasoning(): void {
    for (let index = this.#items.length - 1; index >= 0; index--) {
      const item = this.#items[index];
      if (item?.kind !== "reasoning") continue;
      const next = this.#items[index + 1]?.kind;
      if (next === "output" || next === "reasoning") continue;
      this.#context.report.dropped(item.path, "reasoning that nothing follows: the target wants what it led to");
      this.#items.splice(index, 1);
    }
  }
}

/** An item that is not modelled, unless it was content of a message. */
function isOwnItem({ part, extrasJson }: Part): boolean {
  return part.case === "opaque" && part.value.format === format && extrasJson[format] === undefined;
}

function isOwnContent({ part, extrasJson }: Part): boolean {
  return part.case === "opaque" && part.value.format === format && extrasJson[format] !== undefined;
}

function isPlainText(part: Part, marked: ReadonlySet<object>): boolean {
  const { part: content, extrasJson, annotations } = part;
  return content.case === "text" && Object.keys(extrasJson).length === 0 && annotations.length === 0 && !marked.has(part);
}

/** Ids of messages that are not answers come from lists of input items. */
function messageId(parts: readonly Placed[]): { id?: string } {
  const id = idOfType("message", parts[0]?.part.id ?? "");
  return id === "" ? {} : { id };
}

/** A text's own unknown fields, and those of the message item it came in. */
function splitItemExtras(extras: string | undefined): { own: string | undefined; item: string | undefined } {
  if (extras === undefined) return { own: undefined, item: undefined };
  const parsed = parseJson(extras, upstreamJsonLimits);
  if (!isJsonObject(parsed) || !isJsonObject(parsed[itemExtras])) return { own: extras, item: undefined };
  const { [itemExtras]: item, ...own } = parsed;
  return { own: writeJson(own as Writable), item: writeJson(item as Writable) };
}
