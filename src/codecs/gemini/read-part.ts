/** One part of a content, as answers and histories have it. */
import { create } from "@bufbuild/protobuf";
import {
  OpaquePartSchema,
  type Part,
  PartSchema,
  ReasoningPartSchema,
  SignatureSchema,
  ToolCallSchema,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { Fields, type Located } from "../../core/fields.ts";
import type { JsonObject } from "../../core/json.ts";
import type { CallPairs } from "./call-pairs.ts";
import { readFileData, readInlineData } from "./read-media.ts";
import { readToolResult } from "./read-tool-result.ts";
import { readForeignSignature } from "./signatures.ts";
import { bypassSignature, formatName, membersText, partType, signatureFamily, unknownMembers } from "./wire.ts";

const signatureMember: ReadonlySet<string> = new Set(["thoughtSignature"]);

/** `content` and `part` are the part's place in the request, for ids of calls that have none. */
export function readPart({ value, path }: Located, calls: CallPairs, content: number, part: number): Part {
  const fields = new Fields(value, path);
  const read = readContent(fields, value as JsonObject, calls, content, part);
  readSignature(fields, read);
  if (read.part.case !== "opaque") read.extrasJson = fields.extras(formatName);
  return read;
}

function readContent(fields: Fields, value: JsonObject, calls: CallPairs, content: number, part: number): Part {
  const isThought = fields.peek("thought") === true;
  if (fields.has("text")) return readText(fields);
  if (fields.has("functionCall")) return readCall(fields, calls, content, part);
  if (fields.has("functionResponse")) return readResult(fields, calls, content, part);
  // A picture that is a thought would pass for the answer's own: it stays as it is, for Gemini alone.
  if (fields.has("inlineData") && !isThought) return mediaPart(readInlineData(fields));
  if (fields.has("fileData") && !isThought) return mediaPart(readFileData(fields));
  const known = unknownMembers(value, signatureMember);
  // Nothing but a signature is an empty text that bears it.
  if (known.size === 0) return create(PartSchema, { part: { case: "text", value: "" } });
  const dataJson = membersText(known);
  return create(PartSchema, {
    part: { case: "opaque", value: create(OpaquePartSchema, { format: formatName, type: partType(value), dataJson }) },
  });
}

function readText(fields: Fields): Part {
  const text = fields.requiredString("text");
  if (fields.boolean("thought") !== true) return create(PartSchema, { part: { case: "text", value: text } });
  const redacted = text === "" && fields.has("thoughtSignature");
  return create(PartSchema, { part: { case: "reasoning", value: create(ReasoningPartSchema, { text, redacted }) } });
}

function mediaPart({ kind, media }: ReturnType<typeof readInlineData>): Part {
  return create(PartSchema, { part: { case: kind, value: media } });
}

function readCall(fields: Fields, calls: CallPairs, content: number, part: number): Part {
  const call = fields.object("functionCall") ?? fields.fail("functionCall", "is required");
  const name = call.requiredString("name");
  const id = call.string("id") || `dgm_call_${content}_${part}`;
  calls.add({ id, name, content });
  // A boolean `thought` says nothing of a call.
  fields.boolean("thought");
  const value = create(ToolCallSchema, { id, name, argumentsJson: call.objectText("args") ?? "", kind: ToolKind.FUNCTION });
  return create(PartSchema, { part: { case: "toolCall", value } });
}

function readResult(fields: Fields, calls: CallPairs, content: number, part: number): Part {
  const response = fields.object("functionResponse") ?? fields.fail("functionResponse", "is required");
  const name = response.string("name") ?? "";
  const said = typeof response.peek("id") === "string" ? String(response.peek("id")) : "";
  const call = calls.answer(said, name);
  // An id that the call does not bear stays unread, so that it survives in extras.
  if (call === undefined || said === call.id || said === "") response.string("id");
  const id = call?.id ?? (said || `dgm_result_${content}_${part}`);
  const value = readToolResult(response, id, name || call?.name || "");
  return create(PartSchema, { part: { case: "toolResult", value } });
}

/** Whose a value is, a client of this API cannot say: the provider stays empty (contract.md 1, rule 4). */
function readSignature(fields: Fields, part: Part): void {
  const value = fields.string("thoughtSignature");
  // Clients put the bypass value on calls that another vendor's model made: it says that there is no signature.
  if (value === undefined || value === "" || value === bypassSignature) return;
  const foreign = readForeignSignature(value);
  if (foreign === undefined) {
    part.signature = create(SignatureSchema, { value, format: signatureFamily });
    return;
  }
  part.signature = foreign.signature;
  part.id = foreign.id;
  if (part.part.case !== "reasoning") return;
  const reasoning = part.part.value;
  reasoning.redacted = foreign.redacted;
  if (!foreign.summarized) return;
  reasoning.summaries = [reasoning.text];
  reasoning.text = "";
}
