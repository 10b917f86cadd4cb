/**
 * OpenAI's tokenizers, which are public, and what its chat format costs beside the text: 3 tokens for each message, 1 for a
 * name, 3 to begin the answer. Tools are shown to the model as TypeScript declarations; how exactly is not public, and
 * what is made of them here was found out by others (https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken).
 */
import type { GenerateRequest, Message, Part, Tool } from "../../gen/dragoman/v1/generate_pb.ts";
import { MediaDetail, Role } from "../../gen/dragoman/v1/generate_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../core/json.ts";
import type { InputCount, Tokenizer, Tokenizers } from "../core/tokenizer.ts";
import { estimateParts, TokenEstimate } from "../core/usage.ts";

type Encoding = "o200k_base" | "cl100k_base";
type CountText = (text: string) => number;

/** Which model reads with which encoding, the first that matches. Names may have `openai/` or `ft:` before them. */
const encodings: readonly { readonly pattern: RegExp; readonly encoding: Encoding }[] = [
  { pattern: /^(?:gpt-4o|gpt-4\.1|gpt-4\.5|gpt-5|chatgpt-4o|o[134](?:-|$)|codex-mini)/, encoding: "o200k_base" },
  { pattern: /^(?:gpt-4|gpt-3\.5-turbo|gpt-35-turbo)(?:-|$)/, encoding: "cl100k_base" },
];

const loaders: Readonly<Record<Encoding, () => Promise<{ countTokens(text: string, options: object): number }>>> = {
  o200k_base: () => import("gpt-tokenizer/encoding/o200k_base"),
  cl100k_base: () => import("gpt-tokenizer/encoding/cl100k_base"),
};

const perMessage = 3;
const perName = 1;
const perAnswer = 3;
const perCall = 3;
const perTools = 9;
/** A small image, and one of 1024 x 1024 by tiles: sizes are not looked at. */
const lowDetailImage = 85;
const otherImage = 765;

/** What is longer is estimated: counting holds up everything else. UTF-16 units. */
const maxCountedLength = 1 << 20;
/** Runs without a break cost the square of their length. Each cut of one is off by a token at most. */
const longRun = /\S{512}(?=\S)|\s{512}(?=\s)/gu;

/** A special token in a client's text is text. */
const asText = { disallowedSpecial: new Set<string>() };

export function createOpenAiTokenizers(): Tokenizers {
  const loaded = new Map<Encoding, Promise<Tokenizer>>();
  return {
    find(model) {
      const name = model.toLowerCase().replace(/^(?:openai\/|ft:)+/, "");
      const encoding = encodings.find(({ pattern }) => pattern.test(name))?.encoding;
      if (encoding === undefined) return undefined;
      const known = loaded.get(encoding) ?? load(encoding);
      loaded.set(encoding, known);
      return known;
    },
  };
}

async function load(encoding: Encoding): Promise<Tokenizer> {
  const { countTokens } = await loaders[encoding]();
  const countText: CountText = (text) => pieces(text).reduce((sum, piece) => sum + countTokens(piece, asText), 0);
  return { countText, countInput: (request) => new InputCounter(countText).count(request) };
}

/** The text, cut where a run is too long. Mostly it is one piece. */
function pieces(text: string): string[] {
  const found: string[] = [];
  let start = 0;
  for (const { index, 0: run } of text.matchAll(longRun)) {
    found.push(text.slice(start, index + run.length));
    start = index + run.length;
  }
  found.push(text.slice(start));
  return found;
}

class InputCounter {
  readonly #countText: CountText;
  #tokens = 0;
  #length = 0;
  #isCounted = true;

  constructor(countText: CountText) {
    this.#countText = countText;
  }

  count({ messages, tools, outputFormat }: GenerateRequest): InputCount {
    for (const message of messages) this.#message(message);
    const declared = tools.flatMap(declare);
    if (declared.length > 0) {
      this.#tokens += perTools;
      this.#text(["namespace functions {", "", ...declared, "} // namespace functions"].join("\n"));
    }
    if (outputFormat !== undefined) this.#text(outputFormat.schemaJson);
    return { tokens: this.#tokens + perAnswer, isCounted: this.#isCounted };
  }

  #message({ role, name, parts }: Message): void {
    const results = parts.filter(({ part }) => part.case === "toolResult").length;
    // Every result is a message of its own.
    const count = Math.max(1, results === parts.length ? results : results + 1);
    this.#tokens += count * perMessage;
    for (let index = 0; index < count; index++) this.#text(roleWords[role] ?? "user");
    if (name !== "") {
      this.#tokens += perName;
      this.#text(name);
    }
    for (const part of parts) this.#part(part);
  }

  #part(part: Part): void {
    const { part: content } = part;
    switch (content.case) {
      case "text":
      case "refusal":
        this.#text(content.value);
        break;
      case "reasoning":
        // Earlier reasoning is not shown to the model again.
        break;
      case "toolCall":
        this.#tokens += perCall;
        this.#text(content.value.name);
        this.#text(content.value.argumentsJson || content.value.inputText);
        break;
      case "toolResult":
        this.#text(content.value.resultJson);
        for (const inner of content.value.content) this.#part(inner);
        break;
      case "image":
        this.#tokens += content.value.detail === MediaDetail.LOW ? lowDetailImage : otherImage;
        this.#isCounted = false;
        break;
      default:
        this.#tokens += estimateParts([part]);
        this.#isCounted = false;
    }
  }

  #text(text: string): void {
    if (text === "") return;
    this.#length += text.length;
    if (this.#length <= maxCountedLength) this.#tokens += this.#countText(text);
    else {
      const estimate = new TokenEstimate();
      estimate.text(text);
      this.#tokens += estimate.count;
      this.#isCounted = false;
    }
  }
}

const roleWords: Readonly<Partial<Record<Role, string>>> = {
  [Role.SYSTEM]: "system",
  [Role.DEVELOPER]: "developer",
  [Role.USER]: "user",
  [Role.ASSISTANT]: "assistant",
  [Role.TOOL]: "tool",
};

/** One tool as a TypeScript declaration. */
function declare({ tool }: Tool): string[] {
  if (tool.case !== "function" && tool.case !== "custom") return [];
  const { name, description } = tool.value;
  const comment = description === "" ? [] : [`// ${description}`];
  if (tool.case === "custom") return [...comment, `type ${name} = (_: string) => any;`, ""];
  const schema = parseSchema(tool.value.parametersJson);
  const members = schema === undefined ? "" : writeMembers(schema, 0);
  const type = members === "" ? `type ${name} = () => any;` : `type ${name} = (_: {\n${members}\n}) => any;`;
  return [...comment, type, ""];
}

function writeMembers({ properties, required }: JsonObject, indent: number): string {
  if (!isJsonObject(properties)) return "";
  const names = new Set(Array.isArray(required) ? required : []);
  const space = " ".repeat(indent);
  return Object.entries(properties)
    .flatMap(([name, schema]) => {
      const described = isJsonObject(schema) && typeof schema.description === "string" && indent < 2;
      const comment = described ? [`${space}// ${String(schema.description)}`] : [];
      return [...comment, `${space}${name}${names.has(name) ? "" : "?"}: ${writeType(schema, indent)},`];
    })
    .join("\n");
}

function writeType(schema: JsonValue, indent: number): string {
  if (!isJsonObject(schema)) return "any";
  if (Array.isArray(schema.enum)) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  switch (schema.type) {
    case "string":
    case "boolean":
    case "null":
      return schema.type;
    case "integer":
    case "number":
      return "number";
    case "array":
      return schema.items === undefined ? "any[]" : `${writeType(schema.items, indent)}[]`;
    case "object":
      return `{\n${writeMembers(schema, indent + 2)}\n${" ".repeat(indent)}}`;
    default:
      return "any";
  }
}

function parseSchema(text: string): JsonObject | undefined {
  try {
    const schema = JSON.parse(text) as JsonValue;
    return isJsonObject(schema) ? schema : undefined;
  } catch {
    return undefined;
  }
}
