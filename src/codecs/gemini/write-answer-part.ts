/** A part of an answer as the API writes it. */
import type { Media, Part, ToolCall } from "../../../gen/dragoman/v1/generate_pb.ts";
import { ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import { isJsonObject, mergeExtras, RawJson, tryParseJson, type Writable, type WritableObject } from "../../core/json.ts";
import { writeSignature } from "./signatures.ts";
import { formatName } from "./wire.ts";

/** Undefined where the part has no form here, or says nothing. `isCut`: the answer broke off inside it. */
export function writeAnswerPart(part: Part, isCut = false): WritableObject | undefined {
  const written = writeContent(part, isCut);
  const thoughtSignature = writeSignature(part);
  if (written === undefined) return undefined;
  if (thoughtSignature !== undefined) written.thoughtSignature = thoughtSignature;
  mergeExtras(written, part.extrasJson[formatName]);
  return Object.keys(written).length === 1 && written.text === "" ? undefined : written;
}

/** Text of a reasoning part, whichever way it was given. */
function thoughtText({ text, summaries }: { readonly text: string; readonly summaries: readonly string[] }): string {
  return text === "" ? summaries.join("\n\n") : text;
}

function writeContent({ part }: Part, isCut: boolean): WritableObject | undefined {
  switch (part.case) {
    case "text":
    case "refusal":
      return { text: part.value };
    case "reasoning":
      return { text: thoughtText(part.value), thought: true };
    case "toolCall":
      return writeCall(part.value, isCut);
    case "image":
    case "audio":
    case "video":
    case "file":
      return writeMedia(part.value);
    case "opaque": {
      const data = part.value.format === formatName ? tryParseJson(part.value.dataJson) : undefined;
      return isJsonObject(data) ? { ...(data as WritableObject) } : undefined;
    }
    default:
      return undefined;
  }
}

/** Calls are written whole; one whose arguments were cut has no form. */
function writeCall({ id, name, argumentsJson, inputText, kind }: ToolCall, isCut: boolean): WritableObject | undefined {
  const args = kind === ToolKind.CUSTOM ? { [customToolArgument]: inputText } : writeArguments(argumentsJson, isCut);
  return args === undefined ? undefined : { functionCall: { id: id || undefined, name, args } };
}

/** Arguments are an object; what a model wrote instead comes as `_raw`, as in requests (contract.md 3.2). */
function writeArguments(argumentsJson: string, isCut: boolean): Writable {
  const text = argumentsJson.trim();
  if (text === "") return isCut ? undefined : {};
  if (isJsonObject(tryParseJson(text))) return new RawJson(text);
  return isCut ? undefined : { _raw: argumentsJson };
}

function writeMedia({ source, mimeType }: Media): WritableObject | undefined {
  switch (source.case) {
    case "data": {
      const { value } = source;
      if (value.length === 0) return undefined;
      const data = Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
      return { inlineData: { mimeType: mimeType || undefined, data } };
    }
    case "url":
      return { fileData: { mimeType: mimeType || undefined, fileUri: source.value } };
    case "providerFile":
      return { fileData: { mimeType: mimeType || undefined, fileUri: source.value.id } };
    default:
      return undefined;
  }
}
