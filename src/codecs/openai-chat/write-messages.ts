/** Messages in the roles and groups that Chat wants: one `tool` message per result, media only from users. */
import { type Message, type Part, Role, ToolKind, type ToolResult } from "../../../gen/dragoman/v1/generate_pb.ts";
import { endOfCalls } from "../../core/call-run.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { writeExtras } from "../../core/extras.ts";
import { mergeExtras, RawJson, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { rawJsonObject } from "../../core/json-field.ts";
import { isSignedBy } from "../../core/signature.ts";
import { codePoints, writeAnnotation } from "./annotations.ts";
import { legalToolId, legalToolName } from "./legal-names.ts";
import { format } from "./wire.ts";
import { type WriteContext, writePart } from "./write-content.ts";

/** A part with its place in the core request. */
interface Placed {
  readonly part: Part;
  readonly path: string;
}

export interface MessageFacts extends WriteContext {
  /** Parts whose cache markers are written. */
  readonly marked: ReadonlySet<object>;
  /** Whether custom tools are written as functions. */
  readonly customAsFunctions: boolean;
}

const mediaCases: ReadonlySet<string | undefined> = new Set(["image", "audio", "file", "video"]);

export function writeMessages(messages: readonly Message[], facts: MessageFacts): Writable[] {
  return new MessageWriter(facts).write(messages);
}

class MessageWriter {
  readonly #facts: MessageFacts;
  readonly #written: Writable[] = [];
  /** Media of assistants and tools, which only users may send here: they wait for the next turn of the user. */
  #moved: Placed[] = [];
  #isAfterSystem = false;

  constructor(facts: MessageFacts) {
    this.#facts = facts;
  }

  write(messages: readonly Message[]): Writable[] {
    for (let index = 0; index < messages.length; index++) {
      const end = endOfCalls(messages, index);
      const run = messages.slice(index, end + 1);
      this.#message(run, index);
      // What else stands in the messages of a run stands in the one that is written of them.
      const written = this.#written.at(-1) as WritableObject;
      for (const [at, message] of run.entries()) if (at > 0) this.#complete(written, message, `messages[${index + at}]`);
      index = end;
    }
    this.#writeMoved();
    return this.#written;
  }

  /** One message, or several of the assistant that are written as one. `index` is that of the first. */
  #message(run: readonly Message[], index: number): void {
    const [message] = run;
    if (message === undefined) return;
    const path = `messages[${index}]`;
    const parts = run.flatMap(({ parts }, at) => parts.map((part, place) => ({ part, path: `messages[${index + at}].parts[${place}]` })));
    switch (message.role) {
      case Role.SYSTEM:
      case Role.DEVELOPER:
        this.#writeMoved();
        this.#system(message, parts, path);
        break;
      case Role.ASSISTANT:
        this.#writeMoved();
        this.#isAfterSystem = true;
        this.#push(message, path, this.#assistant(parts));
        break;
      default:
        this.#isAfterSystem = true;
        this.#user(message, parts, path);
    }
  }

  #system(message: Message, parts: Placed[], path: string): void {
    const { quirks, report, target } = this.#facts;
    for (const { part, path: at } of parts) if (mediaCases.has(part.part.case)) report.refused(at, "must be text in a system message");
    const content = this.#content(parts.filter(({ part }) => !mediaCases.has(part.part.case)));
    if (this.#isAfterSystem && target.traits.midSystem === false) {
      report.emulated(path, "a user message that says it is an instruction: the target takes system messages at the start only");
      const marked =
        typeof content === "string" ? `[System instruction]\n${content}` : [{ type: "text", text: "[System instruction]" }, ...content];
      this.#push(message, path, { role: "user", content: marked });
      return;
    }
    const isDeveloper = message.role === Role.DEVELOPER && quirks.developerRole !== false;
    this.#push(message, path, { role: isDeveloper ? "developer" : "system", content });
  }

  /** Results first, each a message of its own; what else the turn holds follows. */
  #user(message: Message, parts: Placed[], path: string): void {
    const results = parts.filter(({ part }) => part.part.case === "toolResult");
    const others = parts.filter(({ part }) => part.part.case !== "toolResult");
    let last: WritableObject | undefined;
    for (const { part, path: at } of results) {
      if (part.part.case !== "toolResult") continue;
      last = this.#result(part, part.part.value, at);
      this.#written.push(last);
    }
    if (message.role === Role.TOOL) {
      for (const { path: at } of others) this.#facts.report.emulated(at, "sent as the user: a tool message holds results only");
      this.#moved.push(...others);
      if (last !== undefined) this.#complete(last, message, path);
      return;
    }
    if (others.length === 0 && last !== undefined) {
      this.#complete(last, message, path);
      return;
    }
    const moved = this.#moved;
    this.#moved = [];
    this.#push(message, path, { role: "user", content: this.#content([...moved, ...others]) });
  }

  #result(part: Part, result: ToolResult, path: string): WritableObject {
    const { quirks, report, marked } = this.#facts;
    const inner = result.content.map((content, index) => ({ part: content, path: `${path}.tool_result.content[${index}]` }));
    const media = inner.filter((placed) => mediaCases.has(placed.part.part.case));
    for (const { path: at } of media) report.emulated(at, "sent as the user after the results: a tool message holds text only");
    this.#moved.push(...media);
    const texts = inner.filter((placed) => !mediaCases.has(placed.part.part.case));
    let content = result.resultJson === "" ? this.#content(texts) : result.resultJson;
    if (marked.has(part)) content = this.#marked(content, part, path);
    if (result.isError) {
      report.emulated(`${path}.tool_result.is_error`, 'the text begins with "Error: "');
      content = typeof content === "string" ? `Error: ${content}` : [{ type: "text", text: "Error: " }, ...content];
    }
    const written: WritableObject = { role: "tool", tool_call_id: legalToolId(result.toolCallId, quirks.toolIdLength), content };
    writeExtras(written, part.extrasJson, format, path, report);
    return written;
  }

  /** A result's own marker stands on the last piece of its content. */
  #marked(content: string | Writable[], { cache }: Part, path: string): Writable[] {
    const list = typeof content === "string" ? [{ type: "text", text: content } as WritableObject] : content;
    const last = list.at(-1);
    if (typeof last === "object" && last !== null && cache !== undefined) {
      const holder = writePart({ ...emptyText, cache }, path, this.#facts) as WritableObject;
      const { type: _type, text: _text, ...marker } = holder;
      Object.assign(last, marker);
    }
    return list;
  }

  #assistant(parts: Placed[]): WritableObject {
    const { report, quirks } = this.#facts;
    const reasoning: Placed[] = [];
    const calls: Writable[] = [];
    const content: Placed[] = [];
    const written: WritableObject = { role: "assistant", content: null };
    for (const placed of parts) {
      const { part, path } = placed;
      const { case: kind, value } = part.part;
      if (part.signature !== undefined && kind !== "reasoning" && kind !== "toolCall")
        report.dropped(`${path}.signature`, "a signature of another kind of model");
      if (kind === "reasoning") reasoning.push(placed);
      else if (kind === "toolCall") calls.push(this.#call(part, path));
      else if (kind === "opaque" && value.format === format && isCallRecord(value.dataJson))
        calls.push(rawJsonObject(value.dataJson, path));
      else if (kind === "audio" && part.id !== "") written.audio = { id: part.id };
      else if (mediaCases.has(kind)) {
        report.emulated(path, "moved to the next turn of the user: the target takes no media from the assistant");
        this.#moved.push(placed);
      } else content.push(placed);
    }
    this.#assistantContent(written, content, calls.length > 0 || written.audio !== undefined);
    this.#reasoning(written, reasoning, calls.length > 0);
    if (calls.length > 0) written.tool_calls = calls;
    const annotations = this.#annotations(parts);
    if (annotations.length > 0 && !this.#isRefused("annotations")) written.annotations = annotations;
    else if (annotations.length > 0) report.dropped(`${parts[0]?.path ?? ""}.annotations`, "the target takes no citations back");
    if (
      calls.length > 0 &&
      quirks.reasoningRequired &&
      quirks.reasoningField !== undefined &&
      written[quirks.reasoningField] === undefined
    ) {
      // The server refuses its absence and an empty text alike.
      written[quirks.reasoningField] = " ";
      report.defaulted(parts[0]?.path ?? "messages", "an empty reasoning: the target requires one beside tool calls");
    }
    return written;
  }

  /** A refusal alone at the end has a member of its own; among texts it keeps its place as a part. */
  #assistantContent(written: WritableObject, parts: Placed[], hasOthers: boolean): void {
    const refusals = parts.filter(({ part }) => part.part.case === "refusal");
    if (refusals.length > 0 && this.#isRefused("refusal")) {
      for (const { path } of refusals) this.#facts.report.emulated(path, "as text: the target knows no refusals");
      const texts = parts.map((placed) => (placed.part.part.case === "refusal" ? asText(placed) : placed));
      written.content = this.#content(texts);
      return;
    }
    const last = parts.at(-1)?.part.part;
    const isAlone = refusals.length === 1 && last?.case === "refusal" && Object.keys(parts.at(-1)?.part.extrasJson ?? {}).length === 0;
    const rest = isAlone ? parts.slice(0, -1) : parts;
    written.content = rest.length === 0 && (isAlone || hasOthers) ? null : this.#content(rest);
    if (isAlone && last.case === "refusal") written.refusal = last.value;
  }

  #reasoning(written: WritableObject, parts: Placed[], hasCalls: boolean): void {
    const { quirks, report } = this.#facts;
    const field = quirks.reasoningField;
    const texts: string[] = [];
    for (const { part, path } of parts) {
      if (part.part.case !== "reasoning") continue;
      const { text, summaries, redacted } = part.part.value;
      if (field === undefined) report.dropped(path, "the target takes no reasoning back");
      // Text that another vendor signed is its proof, and no thought of this target (contract.md 1, rule 4).
      else if (part.signature !== undefined || redacted) report.dropped(path, "reasoning signed by another kind of model");
      else texts.push(text || summaries.join("\n\n"));
    }
    const joined = texts.join("");
    if (field !== undefined && texts.length > 0 && !(joined === "" && hasCalls && quirks.reasoningRequired)) written[field] = joined;
  }

  #annotations(parts: Placed[]): Writable[] {
    let base = 0;
    const annotations: Writable[] = [];
    for (const { part, path } of parts) {
      if (part.part.case !== "text") continue;
      const length = codePoints(part.part.value);
      part.annotations.forEach((annotation, index) => {
        const written = writeAnnotation(annotation, base, length);
        if (written === undefined) this.#facts.report.dropped(`${path}.annotations[${index}]`, "a citation of this kind has no equal");
        else annotations.push(written);
      });
      base += length;
    }
    return annotations;
  }

  #call(part: Part, path: string): Writable {
    const { quirks, report, customAsFunctions, target } = this.#facts;
    if (part.part.case !== "toolCall") return null;
    const call = part.part.value;
    const id = legalToolId(call.id, quirks.toolIdLength);
    const name = legalToolName(call.name);
    let written: WritableObject;
    if (call.kind !== ToolKind.CUSTOM) written = { id, type: "function", function: { name, arguments: call.argumentsJson || "{}" } };
    else if (customAsFunctions) {
      written = { id, type: "function", function: { name, arguments: writeJson({ [customToolArgument]: call.inputText }) } };
      report.emulated(`${path}.tool_call.input_text`, "a function call: the target knows no free-text tools");
    } else written = { id, type: "custom", custom: { name, input: call.inputText } };
    if (part.signature !== undefined) {
      if (quirks.googleSignatures && isSignedBy(part.signature, "gemini", target.provider)) {
        written.extra_content = { google: { thought_signature: part.signature.value } };
      } else report.dropped(`${path}.signature`, "a signature of another kind of model");
    }
    writeExtras(written, part.extrasJson, format, path, report);
    return written;
  }

  /** A string where one plain text is all there is: every server takes it. */
  #content(parts: readonly Placed[]): string | Writable[] {
    const written: Writable[] = [];
    for (const { part, path } of parts) {
      const { marked } = this.#facts;
      const { cache: _cache, ...unmarked } = part;
      const piece = writePart(part.cache === undefined || marked.has(part) ? part : unmarked, path, this.#facts);
      if (piece !== undefined) written.push(piece);
    }
    if (written.length === 0) return "";
    const [first] = written;
    return written.length === 1 && isPlainText(first) ? first.text : written;
  }

  #push(message: Message, path: string, written: WritableObject): void {
    this.#written.push(this.#complete(written, message, path));
  }

  #complete(written: WritableObject, message: Message, path: string): WritableObject {
    const { report } = this.#facts;
    if (message.name !== "") {
      if (this.#isRefused("name") || written.role === "tool") report.dropped(`${path}.name`, "the target takes no names of participants");
      else written.name = message.name;
    }
    writeExtras(written, message.extrasJson, format, path, report);
    return written;
  }

  #writeMoved(): void {
    if (this.#moved.length === 0) return;
    const moved = this.#moved;
    this.#moved = [];
    this.#written.push({ role: "user", content: this.#content(moved) });
  }

  #isRefused(field: string): boolean {
    return this.#facts.quirks.refusedParameters?.includes(field) ?? false;
  }
}

const emptyText: Part = {
  $typeName: "dragoman.v1.Part",
  part: { case: "text", value: "" },
  id: "",
  annotations: [],
  logprobs: [],
  extrasJson: {},
};

function asText({ part, path }: Placed): Placed {
  return part.part.case === "refusal" ? { part: { ...part, part: { case: "text", value: part.part.value } }, path } : { part, path };
}

function isPlainText(value: Writable): value is { type: string; text: string } {
  if (typeof value !== "object" || value === null || value instanceof RawJson || !("text" in value)) return false;
  return "type" in value && value.type === "text" && typeof value.text === "string" && Object.keys(value).length === 2;
}

/** A tool call of a type that is not known here goes back among the calls; other records are content. */
function isCallRecord(dataJson: string): boolean {
  const record: WritableObject = {};
  mergeExtras(record, dataJson);
  return typeof record.id === "string";
}
