/**
 * Shapes of JSON values as data, and what is wrong with a value that should have one. Issues are neutral: whoever
 * answers puts them into a vendor's own words.
 */

export type Shape =
  | { readonly is: "any" }
  | StringShape
  | { readonly is: "number" | "integer"; readonly min?: number; readonly max?: number }
  | { readonly is: "boolean" }
  | { readonly is: "list"; readonly of: Shape; readonly min?: number; readonly max?: number }
  | { readonly is: "map"; readonly of: Shape; readonly max?: number }
  | ObjectShape
  /** Objects told apart by the word in one member. */
  | { readonly is: "variants"; readonly by: string; readonly of: Readonly<Record<string, ObjectShape>>; readonly otherwise?: string }
  /** Told apart by their JSON type. */
  | { readonly is: "either"; readonly of: readonly Shape[] }
  | { readonly is: "later"; readonly shape: () => Shape };

export interface StringShape {
  readonly is: "string";
  readonly min?: number;
  readonly max?: number;
  readonly pattern?: RegExp;
  readonly words?: readonly string[];
}

export interface ObjectShape {
  readonly is: "object";
  readonly members: Readonly<Record<string, Member>>;
  /** Members beyond the named ones are legal. */
  readonly open: boolean;
  /** The vendor's name of the type, where its errors say it. */
  readonly type: string;
}

export interface Member {
  readonly shape: Shape;
  readonly required: boolean;
}

export type Members = Readonly<Record<string, Shape | Member>>;

export const anything: Shape = { is: "any" };
export const flag: Shape = { is: "boolean" };
export const string = (limits: Omit<StringShape, "is"> = {}): StringShape => ({ is: "string", ...limits });
export const word = (...words: string[]): StringShape => ({ is: "string", words });
export const number = (min?: number, max?: number): Shape => ({ is: "number", ...bounds(min, max) });
export const integer = (min?: number, max?: number): Shape => ({ is: "integer", ...bounds(min, max) });
export const list = (of: Shape, min?: number, max?: number): Shape => ({ is: "list", of, ...bounds(min, max) });
export const map = (of: Shape, max?: number): Shape => ({ is: "map", of, ...bounds(undefined, max) });
export const either = (...of: Shape[]): Shape => ({ is: "either", of });
export const later = (shape: () => Shape): Shape => ({ is: "later", shape });
export const required = (shape: Shape): Member => ({ shape, required: true });

/** Members are optional, and then may be null, unless marked required. */
export function object(members: Members, { open = false, type = "" }: { open?: boolean; type?: string } = {}): ObjectShape {
  const entries = Object.entries(members).map(([name, member]) => [name, "is" in member ? { shape: member, required: false } : member]);
  return { is: "object", members: Object.fromEntries(entries) as Record<string, Member>, open, type };
}

/** `otherwise` is the variant of objects that lack the member. */
export function variants(by: string, of: Readonly<Record<string, ObjectShape>>, otherwise?: string): Shape {
  return otherwise === undefined ? { is: "variants", by, of } : { is: "variants", by, of, otherwise };
}

function bounds(min: number | undefined, max: number | undefined): { min?: number; max?: number } {
  return { ...(min === undefined ? {} : { min }), ...(max === undefined ? {} : { max }) };
}

/** A place: member names, list indexes, the variants that were taken on the way, and entries of maps with their number. */
export type Path = readonly (string | number | { readonly variant: string } | { readonly entry: string; readonly index: number })[];

export interface Issue {
  readonly kind: "unknown" | "missing" | "type" | "word" | "low" | "high" | "short" | "long" | "pattern" | "variant";
  readonly path: Path;
  /** What stands there; undefined for missing. */
  readonly found: unknown;
  /** What should stand there. */
  readonly shape: Shape;
}

export interface CheckOptions {
  /** A member's name as the shape has it, where a vendor takes several spellings. Members found so are renamed in place. */
  readonly rename?: (name: string) => string;
}

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Every issue, in the order of the document. */
export function checkShape(value: unknown, shape: Shape, options: CheckOptions = {}): Issue[] {
  return [...issuesOf(value, shape, [], options)];
}

function* issuesOf(value: unknown, shape: Shape, path: Path, options: CheckOptions): Generator<Issue> {
  const kind = problemOf(value, shape);
  if (kind !== undefined) yield { kind, path, found: value, shape };
  if (kind === "type" || kind === "variant") return;
  switch (shape.is) {
    case "later":
      yield* issuesOf(value, shape.shape(), path, options);
      break;
    case "list":
      for (const [index, element] of (value as unknown[]).entries()) yield* issuesOf(element, shape.of, [...path, index], options);
      break;
    case "map":
      for (const [index, [entry, member]] of Object.entries(value as JsonObject).entries()) {
        yield* issuesOf(member, shape.of, [...path, { entry, index }], options);
      }
      break;
    case "object":
      yield* memberIssues(value as JsonObject, shape, path, options);
      break;
    case "variants": {
      const tag = (value as JsonObject)[shape.by] ?? shape.otherwise;
      const variant = shape.of[String(tag)];
      if (variant === undefined) yield { kind: "missing", path: [...path, shape.by], found: undefined, shape };
      else yield* memberIssues(value as JsonObject, variant, [...path, { variant: String(tag) }], options);
      break;
    }
    case "either": {
      const fitting = shape.of.find((option) => fits(value, option));
      if (fitting !== undefined) yield* issuesOf(value, fitting, path, options);
      break;
    }
    default:
      break;
  }
}

/** What is wrong with a value itself, whatever it contains. */
function problemOf(value: unknown, shape: Shape): Issue["kind"] | undefined {
  switch (shape.is) {
    case "any":
    case "later":
      return undefined;
    case "boolean":
      return typeof value === "boolean" ? undefined : "type";
    case "string":
      return typeof value === "string" ? stringProblem(value, shape) : "type";
    case "number":
    case "integer":
      if (typeof value !== "number" || (shape.is === "integer" && !Number.isInteger(value))) return "type";
      if (shape.min !== undefined && value < shape.min) return "low";
      return shape.max !== undefined && value > shape.max ? "high" : undefined;
    case "list":
      if (!Array.isArray(value)) return "type";
      if (shape.min !== undefined && value.length < shape.min) return "short";
      return shape.max !== undefined && value.length > shape.max ? "long" : undefined;
    case "map":
      if (!isObject(value)) return "type";
      return shape.max !== undefined && Object.keys(value).length > shape.max ? "long" : undefined;
    case "object":
      return isObject(value) ? undefined : "type";
    case "variants": {
      if (!isObject(value)) return "type";
      const tag = value[shape.by] ?? shape.otherwise;
      return tag === undefined || (typeof tag === "string" && Object.hasOwn(shape.of, tag)) ? undefined : "variant";
    }
    case "either":
      return shape.of.some((option) => fits(value, option)) ? undefined : "type";
  }
}

function stringProblem(value: string, { words, min, max, pattern }: StringShape): Issue["kind"] | undefined {
  if (words !== undefined && !words.includes(value)) return "word";
  if (min !== undefined && value.length < min) return "short";
  if (max !== undefined && value.length > max) return "long";
  return pattern !== undefined && !pattern.test(value) ? "pattern" : undefined;
}

function* memberIssues(value: JsonObject, shape: ObjectShape, path: Path, options: CheckOptions): Generator<Issue> {
  for (const name of Object.keys(value)) {
    const known = Object.hasOwn(shape.members, name) ? name : options.rename?.(name);
    const member = known !== undefined && Object.hasOwn(shape.members, known) ? shape.members[known] : undefined;
    if (known === undefined || member === undefined) {
      if (!shape.open) yield { kind: "unknown", path: [...path, name], found: value[name], shape };
      continue;
    }
    if (known !== name) {
      value[known] = value[name];
      delete value[name];
    }
    if (value[known] === null && !member.required) continue;
    yield* issuesOf(value[known], member.shape, [...path, known], options);
  }
  for (const [name, member] of Object.entries(shape.members)) {
    if (member.required && !Object.hasOwn(value, name)) {
      yield { kind: "missing", path: [...path, name], found: undefined, shape: member.shape };
    }
  }
}

/** Whether a value has the JSON type of a shape. */
function fits(value: unknown, shape: Shape): boolean {
  switch (shape.is) {
    case "any":
      return true;
    case "later":
      return fits(value, shape.shape());
    case "either":
      return shape.of.some((option) => fits(value, option));
    case "string":
    case "boolean":
      return typeof value === shape.is;
    case "number":
    case "integer":
      return typeof value === "number";
    case "list":
      // Lists are told apart by their first element.
      return Array.isArray(value) && (value.length === 0 || fits(value[0], shape.of));
    default:
      return isObject(value);
  }
}

/** The least or most that a shape allows: a number, or a length. */
export function boundOf(shape: Shape, side: "min" | "max"): number | undefined {
  return side in shape ? (shape as { min?: number; max?: number })[side] : undefined;
}

/** `messages[0].content`; variants are left out. */
export function pathText(path: Path): string {
  let text = "";
  for (const step of path) {
    if (typeof step === "number") text += `[${step}]`;
    else {
      const name = typeof step === "string" ? step : "entry" in step ? step.entry : undefined;
      if (name !== undefined) text += text === "" ? name : `.${name}`;
    }
  }
  return text;
}
