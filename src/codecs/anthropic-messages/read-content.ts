/** Content of messages, system text and tool results as parts. Nothing is merged, sorted or left out (contract.md 1, rule 1). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  OpaquePartSchema,
  type Part,
  PartSchema,
  ReasoningPartSchema,
  type Signature,
  SignatureSchema,
  ToolCallSchema,
  ToolKind,
  ToolResultSchema,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { invalidField } from "../../core/error.ts";
import { describe, Fields, type Located } from "../../core/fields.ts";
import { jsonText } from "../../core/json.ts";
import { readCitation } from "./citations.ts";
import { readCacheControl } from "./read-cache-control.ts";
import { readDocument, readImage } from "./read-media.ts";
import { formatName, signatureFamily } from "./wire.ts";

type Content = NonNullable<MessageInitShape<typeof PartSchema>["part"]>;

/** Member `name`: a string, or an array of blocks. No parts where it is absent. */
export function readContent(owner: Fields, name: string): Part[] {
  const value = owner.peek(name);
  if (value === undefined) return [];
  if (typeof value === "string") return [create(PartSchema, { part: { case: "text", value: owner.requiredString(name) } })];
  if (!Array.isArray(value)) return owner.fail(name, `must be a string or an array of blocks, not ${describe(value)}`);
  return (owner.array(name) ?? []).map(readBlock);
}

function readBlock(located: Located): Part {
  const fields = new Fields(located.value, located.path);
  const type = fields.requiredString("type");
  switch (type) {
    case "text":
      return readText(fields);
    case "image": {
      const image = readImage(fields);
      return image === undefined ? opaquePart(type, located) : finishPart({ case: "image", value: image }, fields);
    }
    case "document": {
      const file = readDocument(fields);
      return file === undefined ? opaquePart(type, located) : finishPart({ case: "file", value: file }, fields);
    }
    case "thinking":
      return readThinking(fields);
    case "redacted_thinking":
      return finishPart(
        { case: "reasoning", value: create(ReasoningPartSchema, { redacted: true }) },
        fields,
        readSignature(fields, "data"),
      );
    case "tool_use":
      return readToolUse(fields);
    case "tool_result":
      return readToolResult(fields);
    case "":
      return fields.fail("type", "must not be empty");
    default:
      return opaquePart(type, located);
  }
}

/** A part with what nobody read of its block as its extras. */
function finishPart(content: Content, fields: Fields, signature?: Signature): Part {
  const part = create(PartSchema, { part: content });
  const cache = readCacheControl(fields);
  if (cache !== undefined) part.cache = cache;
  if (signature !== undefined) part.signature = signature;
  part.extrasJson = fields.extras(formatName);
  return part;
}

/** The whole block, its cache marker included. */
function opaquePart(type: string, { value }: Located): Part {
  return create(PartSchema, {
    part: { case: "opaque", value: create(OpaquePartSchema, { format: formatName, type, dataJson: jsonText(value) }) },
  });
}

function readText(fields: Fields): Part {
  const text = fields.requiredString("text");
  const citations = fields.array("citations") ?? [];
  const part = finishPart({ case: "text", value: text }, fields);
  part.annotations = citations.map(({ value, path }) => {
    const annotation = readCitation(value);
    if (annotation === undefined) throw invalidField(path, `must be an object, not ${describe(value)}`);
    return annotation;
  });
  return part;
}

function readThinking(fields: Fields): Part {
  const value = create(ReasoningPartSchema, { text: fields.requiredString("thinking") });
  return finishPart({ case: "reasoning", value }, fields, readSignature(fields, "signature"));
}

/**
 * A client cannot say who signed: the family is that of this format until the signature store knows better. Thinking of
 * services that do not sign comes back with an empty signature, which is none.
 */
function readSignature(fields: Fields, name: "signature" | "data"): Signature | undefined {
  const value = fields.string(name) ?? "";
  return value === "" ? undefined : create(SignatureSchema, { value, format: signatureFamily });
}

function readToolUse(fields: Fields): Part {
  const value = create(ToolCallSchema, {
    id: fields.requiredString("id"),
    name: fields.requiredString("name"),
    argumentsJson: fields.objectText("input") ?? "",
    kind: ToolKind.FUNCTION,
  });
  return finishPart({ case: "toolCall", value }, fields);
}

function readToolResult(fields: Fields): Part {
  const value = create(ToolResultSchema, {
    toolCallId: fields.requiredString("tool_use_id"),
    content: readContent(fields, "content"),
    isError: fields.boolean("is_error") ?? false,
  });
  return finishPart({ case: "toolResult", value }, fields);
}
