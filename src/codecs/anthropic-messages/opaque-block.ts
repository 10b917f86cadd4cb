/**
 * A block that is not modelled, as it grows: server tool calls and their results, and whatever comes later. The API's
 * deltas follow one pattern, which holds for kinds that are not known too: text is appended to the member of its name.
 */
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  jsonText,
  parseJson,
  RawJson,
  upstreamJsonLimits,
  writeJson,
} from "../../core/json.ts";
import { textMember } from "../../core/members.ts";

export class OpaqueBlock {
  readonly type: string;
  readonly #block: JsonObject;
  readonly #input: string[] = [];

  constructor(block: JsonObject) {
    this.type = textMember(block, "type");
    this.#block = { ...block };
  }

  grow(delta: JsonObject): void {
    for (const name of Object.keys(delta)) {
      const value = delta[name] as JsonValue;
      if (name === "type" || value === null) continue;
      if (name === "partial_json") this.#input.push(typeof value === "string" ? value : "");
      else if (name === "citation") this.#block.citations = [...this.#citations(), value];
      else if (typeof value === "string") this.#block[name] = textMember(this.#block, name) + value;
      else this.#block[name] = value;
    }
  }

  /** The whole block, JSON text. */
  text(): string {
    const input = this.#input.join("");
    if (input === "") return jsonText(this.#block);
    return writeJson({ ...this.#block, input: readInput(input) });
  }

  #citations(): JsonValue[] {
    return Array.isArray(this.#block.citations) ? this.#block.citations : [];
  }
}

/** Input that the end of a stream cut off is kept as text. */
function readInput(text: string): RawJson | string {
  try {
    const value = parseJson(text, upstreamJsonLimits);
    return isJsonObject(value) ? new RawJson(jsonText(value)) : text;
  } catch {
    return text;
  }
}
