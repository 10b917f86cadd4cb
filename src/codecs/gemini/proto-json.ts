/**
 * Names of members as proto3's JSON has them: camel case, or as the .proto file writes them (`system_instruction`). Clients
 * send both. https://protobuf.dev/programming-guides/json/
 */
import { isJsonObject, type JsonObject, type JsonValue } from "../../core/json.ts";

/** Members whose values are messages of the API. What is in any other is the client's own: arguments, schemas, labels. */
const messages: ReadonlySet<string> = new Set([
  "contents",
  "content",
  "parts",
  "systemInstruction",
  "inlineData",
  "fileData",
  "videoMetadata",
  "mediaResolution",
  "functionCall",
  "functionResponse",
  "tools",
  "functionDeclarations",
  "toolConfig",
  "functionCallingConfig",
  "generationConfig",
  "thinkingConfig",
  "speechConfig",
  "voiceConfig",
  "prebuiltVoiceConfig",
  "generateContentRequest",
  "requests",
  "embedContentConfig",
]);

/** The same value with all names of the API's messages in camel case; the very value where they are already. */
export function readProtoNames(value: JsonValue): JsonValue {
  if (Array.isArray(value)) {
    const elements = value.map(readProtoNames);
    return elements.every((element, index) => element === value[index]) ? value : elements;
  }
  return isJsonObject(value) ? readMembers(value) : value;
}

function readMembers(message: JsonObject): JsonObject {
  const read: JsonObject = {};
  let changed = false;
  for (const name of Object.keys(message)) {
    const camel = camelCase(name);
    // Given both ways, the second stays as it is: nothing says which is meant.
    const to = camel !== name && !Object.hasOwn(message, camel) ? camel : name;
    const member = message[name] as JsonValue;
    const value = messages.has(to) ? readProtoNames(member) : member;
    if (to !== name || value !== member) changed = true;
    Object.defineProperty(read, to, { value, writable: true, enumerable: true, configurable: true });
  }
  return changed ? read : message;
}

/** `max_output_tokens` as `maxOutputTokens`; any other name as it is. */
export function camelCase(name: string): string {
  if (!/^[a-z][a-z0-9]*(?:_[a-z0-9]+)+$/.test(name)) return name;
  return name.replace(/_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}
