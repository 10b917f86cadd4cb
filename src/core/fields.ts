/**
 * Reads the members of a JSON object by name and type, with the path of what is wrong, and knows which members nobody
 * read: those are a wire format's unknown fields and travel in extras_json.
 */
import { invalidField } from "./error.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText } from "./json.ts";

export interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** Something to read with the path it stands at. */
export interface Located {
  readonly value: JsonValue;
  readonly path: string;
}

/** Up to this many names a list is looked through faster than a set is made. */
const maxListed = 24;

export class Fields {
  /** Empty for the whole body, else for example `messages[0].content[1]`. */
  readonly path: string;
  readonly #object: JsonObject;
  /** Names that were read; some may stand here twice. */
  readonly #read: string[] = [];
  /** The same, once they are many. */
  #readIndex: Set<string> | undefined;
  /** Of those, objects that were read member by member. */
  #nested: Map<string, Fields> | undefined;

  /** Throws invalid_request where the value is no object. */
  constructor(value: JsonValue | undefined, path = "") {
    if (!isJsonObject(value)) throw invalidField(path || "body", `must be an object, not ${describe(value)}`);
    this.#object = value;
    this.path = path;
  }

  /** Present and not null. Does not count as read. */
  has(name: string): boolean {
    return Object.hasOwn(this.#object, name) && this.#object[name] !== null;
  }

  pathOf(name: string): string {
    return this.path === "" ? name : `${this.path}.${name}`;
  }

  /** The value as it is; undefined where absent or null. Null stays unread, so that it survives in extras. */
  value(name: string): JsonValue | undefined {
    if (!this.has(name)) return undefined;
    this.#markRead(name);
    return this.#object[name];
  }

  /** The value without counting it as read; undefined where absent or null. */
  peek(name: string): JsonValue | undefined {
    return this.has(name) ? this.#object[name] : undefined;
  }

  string(name: string): string | undefined {
    return this.#typed(name, "a string", (value): value is string => typeof value === "string");
  }

  requiredString(name: string): string {
    return this.string(name) ?? this.fail(name, "is required");
  }

  boolean(name: string): boolean | undefined {
    return this.#typed(name, "true or false", (value): value is boolean => typeof value === "boolean");
  }

  number(name: string, range: Range = {}): number | undefined {
    const value = this.#typed(name, "a number", (value): value is number => typeof value === "number" && Number.isFinite(value));
    if (value !== undefined) this.#check(name, value, range);
    return value;
  }

  /** A whole number; `range` defaults to 0 .. 2^32 - 1. */
  integer(name: string, range: Range = { min: 0, max: 0xffff_ffff }): number | undefined {
    const value = this.#typed(name, "a whole number", (value): value is number => Number.isSafeInteger(value));
    if (value !== undefined) this.#check(name, value, range);
    return value;
  }

  /** A whole number of 64 bits. */
  integer64(name: string): bigint | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (typeof value !== "bigint" && !Number.isSafeInteger(value)) return this.fail(name, `must be a whole number, not ${describe(value)}`);
    const whole = BigInt(value as number | bigint);
    if (BigInt.asIntN(64, whole) !== whole) return this.fail(name, "must fit into 64 bits");
    return whole;
  }

  /** One of the given words. */
  word<Word extends string>(name: string, words: readonly Word[]): Word | undefined {
    const value = this.string(name);
    if (value === undefined) return undefined;
    return (words as readonly string[]).includes(value)
      ? (value as Word)
      : this.fail(name, `must be one of ${words.map((word) => `"${word}"`).join(", ")}`);
  }

  /**
   * What a word stands for. A word that the table does not know stays unread, so that it survives in extras: vendors
   * add words faster than gateways learn them.
   */
  knownWord<Meaning>(name: string, table: Readonly<Record<string, Meaning>>): Meaning | undefined {
    const word = this.peek(name);
    if (typeof word === "string" && !Object.hasOwn(table, word)) return undefined;
    const known = this.string(name);
    return known === undefined ? undefined : table[known];
  }

  /** JSON text of the value. */
  text(name: string): string | undefined {
    const value = this.value(name);
    return value === undefined ? undefined : jsonText(value);
  }

  /** JSON text of the value, which must be an object. */
  objectText(name: string): string | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    return isJsonObject(value) ? jsonText(value) : this.fail(name, `must be an object, not ${describe(value)}`);
  }

  /** A nested object. Its unread members count as this object's, under `name`. */
  object(name: string): Fields | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    const nested = new Fields(value, this.pathOf(name));
    this.#nested ??= new Map();
    this.#nested.set(name, nested);
    return nested;
  }

  /** The elements of an array, each with its path. */
  array(name: string): Located[] | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (!Array.isArray(value)) return this.fail(name, `must be an array, not ${describe(value)}`);
    const path = this.pathOf(name);
    return value.map((element, index) => ({ value: element, path: `${path}[${index}]` }));
  }

  /** The elements of an array of objects. Their unread members are theirs alone. */
  objects(name: string): Fields[] | undefined {
    return this.array(name)?.map(({ value, path }) => new Fields(value, path));
  }

  strings(name: string): string[] | undefined {
    return this.array(name)?.map(({ value, path }) => {
      if (typeof value !== "string") throw invalidField(path, `must be a string, not ${describe(value)}`);
      return value;
    });
  }

  /** An object whose values are strings. */
  stringMap(name: string): Record<string, string> | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    if (!isJsonObject(value)) return this.fail(name, `must be an object, not ${describe(value)}`);
    for (const [key, entry] of Object.entries(value)) {
      if (typeof entry !== "string") throw invalidField(`${this.pathOf(name)}.${key}`, `must be a string, not ${describe(entry)}`);
    }
    return { ...value } as Record<string, string>;
  }

  /** Names of the members nobody read, nested ones left out. */
  unread(): string[] {
    return Object.keys(this.#object).filter((name) => !this.#isRead(name));
  }

  /** JSON text of one object with all that nobody read, nested objects included; undefined where nothing is left. */
  rest(): string | undefined {
    let text = "";
    for (const name of Object.keys(this.#object)) {
      const member = this.#isRead(name) ? this.#nested?.get(name)?.rest() : jsonText(this.#object[name] as JsonValue);
      if (member !== undefined) text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${member}`;
    }
    return text === "" ? undefined : `{${text}}`;
  }

  /** `rest()` as the map that extras_json fields hold. */
  extras(format: string): Record<string, string> {
    const rest = this.rest();
    return rest === undefined ? {} : { [format]: rest };
  }

  /** Throws invalid_request at a member's path. */
  fail(name: string, description: string): never {
    throw invalidField(this.pathOf(name), description);
  }

  #markRead(name: string): void {
    // What was read member by member and then as a whole is read as a whole.
    this.#nested?.delete(name);
    if (this.#readIndex !== undefined) this.#readIndex.add(name);
    else if (this.#read.push(name) > maxListed) this.#readIndex = new Set(this.#read);
  }

  #isRead(name: string): boolean {
    return this.#readIndex?.has(name) ?? this.#read.includes(name);
  }

  #typed<Value extends JsonValue>(name: string, wanted: string, is: (value: JsonValue) => value is Value): Value | undefined {
    const value = this.value(name);
    if (value === undefined) return undefined;
    return is(value) ? value : this.fail(name, `must be ${wanted}, not ${describe(value)}`);
  }

  #check(name: string, value: number, { min = Number.NEGATIVE_INFINITY, max = Number.POSITIVE_INFINITY }: Range): void {
    if (value < min) this.fail(name, `must be at least ${min}`);
    if (value > max) this.fail(name, `must be at most ${max}`);
  }
}

/** What a value is, without its content. */
export function describe(value: JsonValue | undefined): string {
  if (value === undefined) return "absent";
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return "an object";
  if (typeof value === "bigint") return "a number";
  return typeof value === "boolean" ? "a boolean" : `a ${typeof value}`;
}
