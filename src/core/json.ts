/**
 * JSON text in and out without loss. `JSON.parse` rounds large integers, reorders integer-like keys, hides duplicate
 * keys and takes any depth; this reader does none of that, and stays plain data: objects, arrays, strings, numbers.
 *
 * Where plain data cannot hold what was written (an integer beyond 2^53, an integer-like key), the containers around
 * it remember their source text, and `jsonText` and `writeJson` give that text back.
 */

export type JsonValue = string | number | bigint | boolean | null | JsonValue[] | JsonObject;
export interface JsonObject {
  [key: string]: JsonValue;
}

export interface JsonLimits {
  /** Deepest nesting of objects and arrays. */
  readonly maxDepth: number;
  /** Most values, containers included. */
  readonly maxNodes: number;
}

/** reliability.md 2.8. */
export const jsonLimits: JsonLimits = { maxDepth: 64, maxNodes: 200_000 };

/** For text that comes from a provider: its size is limited elsewhere. */
export const upstreamJsonLimits: JsonLimits = { maxDepth: 512, maxNodes: 20_000_000 };

/** Text that is not one JSON value, or breaks a limit. */
export class JsonError extends Error {
  override readonly name = "JsonError";
  /** UTF-16 offset in the text. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(message);
    this.offset = offset;
  }
}

/** JSON text that is written as it stands. */
export class RawJson {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** What writeJson takes: JSON values, raw text in between, and undefined members, which are left out. */
export type Writable = string | number | bigint | boolean | null | undefined | RawJson | readonly Writable[] | WritableObject;
export interface WritableObject {
  [key: string]: Writable;
}

/** Source text of containers that plain data cannot hold faithfully. */
const sources = new WeakMap<object, string>();

/** Throws JsonError. Duplicate keys are refused; integers beyond 2^53 are read as bigint. */
export function parseJson(text: string, limits: JsonLimits = jsonLimits): JsonValue {
  return new Reader(text, limits).document();
}

/** The JSON text of a value that parseJson gave: the very substring where rewriting would change it. */
export function jsonText(value: JsonValue): string {
  return writeJson(value as Writable);
}

/** Writes without spaces. Members that are undefined are left out. */
export function writeJson(value: Writable): string {
  switch (typeof value) {
    case "string":
      return JSON.stringify(value);
    case "number":
      return Number.isFinite(value) ? String(value) : "null";
    case "bigint":
    case "boolean":
      return String(value);
    case "undefined":
      return "null";
    default:
      return value === null ? "null" : writeContainer(value);
  }
}

function writeContainer(value: RawJson | readonly Writable[] | WritableObject): string {
  if (value instanceof RawJson) return value.text;
  const source = sources.get(value);
  if (source !== undefined) return source;
  let text = "";
  if (Array.isArray(value)) {
    // Vectors are long, and the engine writes them faster.
    if (typeof value[0] === "number" && value.every((element) => typeof element === "number")) return JSON.stringify(value);
    for (let index = 0; index < value.length; index++) text += (index === 0 ? "" : ",") + writeJson(value[index]);
    return `[${text}]`;
  }
  const members = value as WritableObject;
  for (const key of Object.keys(members)) {
    const member = members[key];
    if (member === undefined) continue;
    text += `${text === "" ? "" : ","}${JSON.stringify(key)}:${writeJson(member)}`;
  }
  return `{${text}}`;
}

/** The value; undefined where the text is no JSON, or breaks a limit. */
export function tryParseJson(text: string, limits: JsonLimits = jsonLimits): JsonValue | undefined {
  try {
    return parseJson(text, limits);
  } catch (error) {
    if (error instanceof JsonError) return undefined;
    throw error;
  }
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Adds the members of `extras` that `target` does not have, object by object: a modelled field wins. `extras` is JSON
 * text of one object, as extras_json holds it; anything else is left alone.
 */
export function mergeExtras(target: WritableObject, extras: string | undefined): void {
  if (extras === undefined || extras === "" || extras === "{}") return;
  const parsed = parseJson(extras, upstreamJsonLimits);
  if (isJsonObject(parsed)) mergeUnder(target, parsed);
}

function mergeUnder(target: WritableObject, extras: JsonObject): void {
  for (const key of Object.keys(extras)) {
    const mine = Object.hasOwn(target, key) ? target[key] : undefined;
    const theirs = extras[key];
    if (mine === undefined) define(target, key, theirs as Writable);
    else if (isWritableObject(mine) && isJsonObject(theirs)) mergeUnder(mine, theirs);
  }
}

export function isWritableObject(value: Writable): value is WritableObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof RawJson);
}

/** `__proto__` as an assignment would change the prototype instead of adding a member. */
function define(target: object, key: string, value: unknown): void {
  if (key === "__proto__") {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else (target as Record<string, unknown>)[key] = value;
}

/** A key that JavaScript would sort before the others. */
const integerKey = /^(?:0|[1-9]\d{0,9})$/;
const numberShape = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: RFC 8259 section 7 forbids exactly these in strings
const control = /[\u0000-\u001f]/;

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

function startsWithDigit(text: string): boolean {
  const first = text.charCodeAt(0);
  return first >= 0x30 && first <= 0x39;
}

class Reader {
  readonly #text: string;
  readonly #limits: JsonLimits;
  #at = 0;
  #depth = 0;
  #nodes = 0;
  /** Values so far that plain data cannot hold; a container that saw one keeps its source. */
  #hazards = 0;
  /** Whether any string may hold an escape or a control character: asked once of the whole text, and mostly answered no. */
  readonly #mayEscape: boolean;
  readonly #mayControl: boolean;

  constructor(text: string, limits: JsonLimits) {
    this.#text = text;
    this.#limits = limits;
    this.#mayEscape = text.includes("\\");
    this.#mayControl = control.test(text);
  }

  document(): JsonValue {
    const value = this.#value(this.#peek());
    if (!Number.isNaN(this.#peek())) this.#fail("there is more after the end of the JSON value");
    return value;
  }

  /** The code of the next character that is not white space; NaN at the end. */
  #peek(): number {
    const text = this.#text;
    let code = text.charCodeAt(this.#at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text.charCodeAt(++this.#at);
    return code;
  }

  #value(code: number): JsonValue {
    if (++this.#nodes > this.#limits.maxNodes) this.#fail(`more than ${this.#limits.maxNodes} values`);
    if (code === quote) return this.#string();
    if (code === openBrace || code === openBracket) return this.#container(code === openBrace);
    if (code === 0x74) return this.#word("true", true);
    if (code === 0x66) return this.#word("false", false);
    if (code === 0x6e) return this.#word("null", null);
    return this.#number();
  }

  #container(isObject: boolean): JsonObject | JsonValue[] {
    if (++this.#depth > this.#limits.maxDepth) this.#fail(`nested deeper than ${this.#limits.maxDepth}`);
    const start = this.#at;
    const hazards = this.#hazards;
    this.#at++;
    const value = isObject ? this.#object() : this.#array();
    this.#depth--;
    if (this.#hazards !== hazards) sources.set(value, this.#text.slice(start, this.#at));
    return value;
  }

  #object(): JsonObject {
    const value: JsonObject = {};
    let code = this.#peek();
    if (code === closeBrace) {
      this.#at++;
      return value;
    }
    for (;;) {
      if (code !== quote) this.#fail("a key in double quotes is expected");
      const keyAt = this.#at;
      const key = this.#string();
      if (Object.hasOwn(value, key)) {
        this.#at = keyAt;
        this.#fail(`the key ${JSON.stringify(key.slice(0, 64))} occurs twice`);
      }
      if (startsWithDigit(key) && integerKey.test(key)) this.#hazards++;
      if (this.#peek() !== colon) this.#fail("a colon is expected after a key");
      this.#at++;
      const member = this.#value(this.#peek());
      if (key === "__proto__") define(value, key, member);
      else value[key] = member;
      code = this.#peek();
      this.#at++;
      if (code === closeBrace) return value;
      if (code !== comma) this.#failBack("a comma or } is expected");
      code = this.#peek();
    }
  }

  #array(): JsonValue[] {
    const value: JsonValue[] = [];
    if (this.#peek() === closeBracket) {
      this.#at++;
      return value;
    }
    for (;;) {
      value.push(this.#value(this.#peek()));
      const code = this.#peek();
      this.#at++;
      if (code === closeBracket) return value;
      if (code !== comma) this.#failBack("a comma or ] is expected");
    }
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at + 1;
    let end = text.indexOf('"', start);
    // A quote behind an odd number of backslashes belongs to the string.
    if (this.#mayEscape) while (end !== -1 && this.#escaped(end)) end = text.indexOf('"', end + 1);
    if (end === -1) this.#fail("a string does not end");
    this.#at = end + 1;
    const plain = text.slice(start, end);
    if (!this.#mayEscape || !plain.includes("\\")) {
      if (this.#mayControl && control.test(plain)) this.#failAt(start, "a control character stands unescaped in a string");
      return plain;
    }
    try {
      return JSON.parse(text.slice(start - 1, end + 1)) as string;
    } catch {
      return this.#failAt(start, "a string has a wrong escape or an unescaped control character");
    }
  }

  #escaped(at: number): boolean {
    let backslashes = 0;
    while (this.#text.charCodeAt(at - 1 - backslashes) === 0x5c) backslashes++;
    return backslashes % 2 === 1;
  }

  #number(): number | bigint {
    return this.#smallInteger() ?? this.#anyNumber();
  }

  /** By far the most frequent: up to nine digits and nothing else. Undefined where it is not that. */
  #smallInteger(): number | undefined {
    const text = this.#text;
    const start = this.#at;
    let at = start;
    let value = 0;
    let code = text.charCodeAt(at);
    while (code >= 0x30 && code <= 0x39 && at - start < 10) {
      value = value * 10 + (code - 0x30);
      code = text.charCodeAt(++at);
    }
    const length = at - start;
    if (length === 0 || length > 9 || (length > 1 && text.charCodeAt(start) === 0x30)) return undefined;
    if (code === 0x2e || code === 0x65 || code === 0x45) return undefined;
    this.#at = at;
    return value;
  }

  #anyNumber(): number | bigint {
    numberShape.lastIndex = this.#at;
    const shape = numberShape.exec(this.#text)?.[0];
    if (shape === undefined) return this.#fail(this.#at >= this.#text.length ? "the JSON text ends too early" : "a JSON value is expected");
    this.#at += shape.length;
    const value = Number(shape);
    if (shape.length < 16) {
      if (!Number.isFinite(value) || Object.is(value, -0)) this.#hazards++;
      return value;
    }
    if (Number.isSafeInteger(value) && String(value) === shape) return value;
    if (String(value) !== shape) this.#hazards++;
    return /^-?\d+$/.test(shape) ? BigInt(shape) : value;
  }

  #word<Value>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#at)) this.#fail("a JSON value is expected");
    this.#at += word.length;
    return value;
  }

  #fail(message: string): never {
    return this.#failAt(this.#at, message);
  }

  #failBack(message: string): never {
    return this.#failAt(this.#at - 1, message);
  }

  #failAt(offset: number, message: string): never {
    const before = this.#text.slice(0, offset);
    const line = before.split("\n").length;
    const column = offset - before.lastIndexOf("\n");
    throw new JsonError(`${message} (line ${line}, column ${column})`, offset);
  }
}
