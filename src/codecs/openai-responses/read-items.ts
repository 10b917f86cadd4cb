/**
 * Input items as messages. Items are flat; what the model made in one turn (reasoning, messages, calls) becomes one message
 * of the assistant, in order, as the answer was when it was folded. Every other item is a message of its own.
 */
import { create } from "@bufbuild/protobuf";
import { type Message, MessageSchema, type Part, Role, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { describe, Fields, type Located } from "../../core/fields.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText } from "../../core/json.ts";
import { makePart, opaquePart, readContent } from "./read-content.ts";
import { format, itemExtras, roles, signatureFamily } from "./wire.ts";

export interface ReadInput {
  readonly messages: Message[];
  /** Where each part of each message stood in the input, and a message without parts. */
  readonly places: readonly (readonly string[])[];
}

/** Throws invalid_request with the client's own path. */
export function readInput(body: Fields): ReadInput {
  const value = body.peek("input");
  if (value === undefined) return { messages: [], places: [] };
  if (typeof value === "string") {
    const parts = [makePart({ case: "text", value: body.string("input") ?? "" })];
    return { messages: [create(MessageSchema, { role: Role.USER, parts })], places: [["input"]] };
  }
  if (!Array.isArray(value)) return body.fail("input", `must be a string or an array of items, not ${describe(value)}`);
  const reader = new ItemReader();
  for (const item of body.array("input") ?? []) reader.read(item);
  return reader;
}

class ItemReader implements ReadInput {
  readonly messages: Message[] = [];
  readonly places: string[][] = [];
  /** The assistant's turn that further items may belong to. */
  #turn: Message | undefined;

  read({ value, path }: Located): void {
    const fields = new Fields(value, path);
    const type = fields.string("type") ?? (fields.has("role") ? "message" : fields.has("id") ? "item_reference" : "");
    switch (type) {
      case "message":
        this.#message(fields);
        break;
      case "reasoning":
        this.#add([readReasoning(fields)], [path]);
        break;
      case "function_call":
      case "custom_tool_call":
        this.#add([readCall(fields, type)], [path]);
        break;
      case "function_call_output":
      case "custom_tool_call_output":
        // The output of a program's own call names its tool, and no call of the model.
        if (type === "function_call_output" && fields.has("name") && !fields.has("call_id"))
          this.#push(Role.TOOL, [opaquePart(type, jsonText(value))], [path]);
        else this.#push(Role.TOOL, [readResult(fields, type)], [path]);
        break;
      case "":
        fields.fail("type", "is required");
        break;
      default:
        this.#opaque(opaquePart(type, jsonText(value)), type, path);
    }
  }

  #message(fields: Fields): void {
    const role = roles[fields.word("role", Object.keys(roles)) ?? fields.fail("role", "is required")] as Role;
    if (!fields.has("content")) fields.fail("content", "is required");
    const parts = readContent(fields, "content");
    const isText = typeof fields.peek("content") === "string";
    const content = fields.pathOf("content");
    const places = parts.length === 0 ? [fields.path] : parts.map((_, index) => (isText ? content : `${content}[${index}]`));
    const id = readId(fields);
    for (const part of parts) {
      part.id = id;
      // Tells content that is not modelled from items that are not.
      if (part.part.case === "opaque" && role !== Role.USER) part.extrasJson[format] = `{${JSON.stringify(itemExtras)}:{}}`;
    }
    readStatus(fields);
    const [first] = parts;
    if (role !== Role.ASSISTANT || first === undefined) {
      this.#push(role, parts, places, fields);
      return;
    }
    // A turn may hold several message items; what belongs to one of them stays with its first part.
    const rest = fields.rest();
    if (rest !== undefined) {
      const own = first.part.case === "opaque" ? undefined : first.extrasJson[format];
      first.extrasJson[format] = `{${own === undefined ? "" : `${own.slice(1, -1)},`}${JSON.stringify(itemExtras)}:${rest}}`;
    }
    // Two neighbours that nothing sets apart would be written as one.
    const last = this.#turn?.parts.at(-1);
    if (last !== undefined && isMessagePart(last) && last.id === id) this.#turn = undefined;
    this.#add(parts, places);
  }

  #add(parts: Part[], places: readonly string[]): void {
    if (this.#turn === undefined) {
      this.#turn = create(MessageSchema, { role: Role.ASSISTANT });
      this.messages.push(this.#turn);
      this.places.push([]);
    }
    this.#turn.parts.push(...parts);
    this.places.at(-1)?.push(...places);
  }

  #push(role: Role, parts: Part[], places: string[], fields?: Fields): void {
    this.#turn = undefined;
    this.places.push(places);
    this.messages.push(create(MessageSchema, { role, parts, extrasJson: fields?.extras(format) ?? {} }));
  }

  /** Calls and other things that the model or the service made are part of the turn; what answers them is not. */
  #opaque(part: Part, type: string, path: string): void {
    if (/_(?:output|response)$/.test(type)) this.#push(Role.TOOL, [part], [path]);
    else if (type === "additional_tools" || type === "configuration_update") this.#push(Role.DEVELOPER, [part], [path]);
    else this.#add([part], [path]);
  }
}

function isMessagePart({ part, extrasJson }: Part): boolean {
  if (part.case === "opaque") return extrasJson[format] !== undefined;
  return part.case !== "reasoning" && part.case !== "toolCall";
}

function readId(fields: Fields): string {
  return fields.string("id") ?? "";
}

/** What stands in a history is complete; another state stays in extras. */
function readStatus(fields: Fields): void {
  fields.knownWord("status", { completed: true });
}

/** Ids that this gateway made end in a number, and `r` where the provider gave only ciphertext: an empty text is not that. */
const madeId = /_\d+(r?)$/;

function readReasoning(fields: Fields): Part {
  const id = readId(fields);
  readStatus(fields);
  const summaries = readTexts(fields, "summary", "summary_text");
  const texts = readTexts(fields, "content", "reasoning_text");
  const encrypted = fields.string("encrypted_content") ?? "";
  const made = madeId.exec(id);
  const isHidden = summaries.length === 0 && texts.length === 0;
  const redacted = encrypted !== "" && isHidden && (made === null || made[1] === "r");
  const part = makePart({
    case: "reasoning",
    value: { $typeName: "dragoman.v1.ReasoningPart", text: texts.join(""), summaries, redacted },
  });
  part.id = id;
  part.extrasJson = fields.extras(format);
  if (encrypted !== "") {
    // Whose it is, the client cannot say: it may be another vendor's, which the gateway knows by its value.
    part.signature = { $typeName: "dragoman.v1.Signature", value: encrypted, format: signatureFamily, provider: "" };
  }
  return part;
}

function readTexts(fields: Fields, name: string, type: string): string[] {
  return (fields.objects(name) ?? []).map((entry) => {
    entry.word("type", [type]);
    return entry.string("text") ?? entry.fail("text", "is required");
  });
}

function readCall(fields: Fields, type: "function_call" | "custom_tool_call"): Part {
  const isCustom = type === "custom_tool_call";
  const part = makePart({
    case: "toolCall",
    value: {
      $typeName: "dragoman.v1.ToolCall",
      id: fields.requiredString("call_id"),
      name: fields.requiredString("name"),
      argumentsJson: isCustom ? "" : (fields.string("arguments") ?? ""),
      inputText: isCustom ? (fields.string("input") ?? "") : "",
      kind: isCustom ? ToolKind.CUSTOM : ToolKind.FUNCTION,
    },
  });
  part.id = readId(fields);
  readStatus(fields);
  // OpenAI's own SDK puts it beside the arguments of answers that it parsed, and clients send such items back.
  fields.value("parsed_arguments");
  part.extrasJson = fields.extras(format);
  return part;
}

function readResult(fields: Fields, type: "function_call_output" | "custom_tool_call_output"): Part {
  if (!fields.has("output")) fields.fail("output", "is required");
  const part = makePart({
    case: "toolResult",
    value: {
      $typeName: "dragoman.v1.ToolResult",
      toolCallId: fields.requiredString("call_id"),
      name: fields.string("name") ?? "",
      content: readContent(fields, "output"),
      resultJson: "",
      isError: false,
      kind: type === "custom_tool_call_output" ? ToolKind.CUSTOM : ToolKind.FUNCTION,
    },
  });
  part.id = readId(fields);
  readStatus(fields);
  part.extrasJson = fields.extras(format);
  return part;
}

/** The items of a request as the client wrote them; a text is a user's message. */
export function inputItems(input: JsonValue | undefined): readonly JsonObject[] {
  if (typeof input === "string") return [{ type: "message", role: "user", content: input }];
  return Array.isArray(input) ? input.filter(isJsonObject) : [];
}
