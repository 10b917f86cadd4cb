/**
 * A block that is not modelled, as it grows: calls of tools that the service runs, their results, and whatever comes
 * later. Its kind is the one member of `start`; deltas name the kind again and hold text or a list of content.
 */
import {
  isJsonObject,
  type JsonObject,
  type JsonValue,
  jsonText,
  parseJson,
  RawJson,
  upstreamJsonLimits,
  type Writable,
  writeJson,
} from "../../core/json.ts";

export class OpaqueBlock {
  /** `toolUse`, `toolResult`, ... */
  readonly kind: string;
  readonly #start: JsonObject;
  readonly #input: string[] = [];
  readonly #content: JsonValue[] = [];

  constructor(start: JsonObject) {
    const [kind = ""] = Object.keys(start);
    const inner = start[kind];
    this.kind = kind;
    this.#start = isJsonObject(inner) ? inner : {};
  }

  /** `delta` is the event's: `{toolResult: [{text}]}`, `{toolUse: {input}}`. */
  grow(delta: JsonObject): void {
    const piece = delta[this.kind];
    if (Array.isArray(piece)) for (const element of piece) this.#add(element);
    else if (isJsonObject(piece) && typeof piece.input === "string") this.#input.push(piece.input);
    else if (piece !== undefined && piece !== null) this.#add(piece);
  }

  /** The whole block as a message has it, JSON text. */
  text(): string {
    const input = this.#input.join("");
    const inner = {
      ...this.#start,
      ...(input === "" ? {} : { input: readInput(input) }),
      ...(this.#content.length === 0 ? {} : { content: this.#content.map((element) => new RawJson(jsonText(element))) }),
    };
    return writeJson({ [this.kind]: inner as Writable });
  }

  /** Pieces of one text are one text. */
  #add(element: JsonValue): void {
    const last = this.#content.at(-1);
    if (isText(last) && isText(element)) this.#content[this.#content.length - 1] = { text: last.text + element.text };
    else this.#content.push(element);
  }
}

function isText(value: JsonValue | undefined): value is { text: string } {
  return isJsonObject(value) && typeof value.text === "string" && Object.keys(value).length === 1;
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
