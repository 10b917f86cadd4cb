/**
 * JSON of a vendor's HTTP API as the message of its gRPC API, which is often a version behind: what the message cannot hold
 * is reported, never lost in silence. https://protobuf.dev/programming-guides/json/
 */
import {
  type DescField,
  type DescMessage,
  fromJson,
  type MessageShape,
  type JsonValue as ProtoJson,
  ScalarType,
  toJson,
} from "@bufbuild/protobuf";
import { GatewayError } from "../core/error.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../core/json.ts";
import type { TranslationReport } from "../core/translation.ts";

export interface MessageFromJson<Desc extends DescMessage> {
  readonly schema: Desc;
  readonly body: JsonValue;
  readonly report: TranslationReport;
  /** Where a field of the body stands in the core request, for those that have a name of their own there. */
  readonly corePaths?: Readonly<Record<string, string>>;
}

/** Types that stand for JSON itself. Their numbers are doubles. */
const freeJson: ReadonlySet<string> = new Set(["google.protobuf.Struct", "google.protobuf.Value", "google.protobuf.ListValue"]);
/** Types whose JSON form is no object of their fields. */
const ownForm: ReadonlySet<string> = new Set(["google.protobuf.Duration", "google.protobuf.Timestamp", "google.protobuf.FieldMask"]);
const wideTypes: ReadonlySet<ScalarType> = new Set([
  ScalarType.INT64,
  ScalarType.UINT64,
  ScalarType.SINT64,
  ScalarType.FIXED64,
  ScalarType.SFIXED64,
]);
const base64 = /^[A-Za-z0-9+/_-]*={0,2}$/;

/** Throws invalid_request where a value has the wrong type. */
export function messageFromJson<Desc extends DescMessage>({
  schema,
  body,
  report,
  corePaths = {},
}: MessageFromJson<Desc>): MessageShape<Desc> {
  const walker = new Walker(report, corePaths);
  const fitting = walker.message(body, schema, "");
  try {
    return fromJson(schema, fitting ?? {});
  } catch (error) {
    const field = /field [\w.]+/.exec(error instanceof Error ? error.message : "")?.[0] ?? "a field";
    throw new GatewayError("invalid_request", `${field} does not fit the gRPC API of the target`, { cause: error });
  }
}

/** JSON text of a message. Words that this version has no name for are written as their numbers. */
export function jsonOfMessage<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): JsonObject {
  return toJson(schema, message) as JsonObject;
}

class Walker {
  readonly #report: TranslationReport;
  readonly #corePaths: Readonly<Record<string, string>>;

  constructor(report: TranslationReport, corePaths: Readonly<Record<string, string>>) {
    this.#report = report;
    this.#corePaths = corePaths;
  }

  /** What the message takes of a value; undefined where it takes nothing. */
  message(value: JsonValue, schema: DescMessage, path: string): ProtoJson | undefined {
    if (freeJson.has(schema.typeName)) return this.#free(value, path, { rounded: false });
    if (!isJsonObject(value) || ownForm.has(schema.typeName)) return this.#free(value, path, { rounded: true });
    const taken: Record<string, ProtoJson> = {};
    for (const [name, member] of Object.entries(value)) {
      if (member === null) continue;
      const at = path === "" ? name : `${path}.${name}`;
      const field =
        schema.fields.find((candidate) => candidate.jsonName === name) ?? schema.fields.find((candidate) => candidate.name === name);
      if (field === undefined) {
        this.#drop(at, "is no field of this version of the gRPC API");
        continue;
      }
      const written = this.#field(member, field, at);
      if (written !== undefined) taken[name] = written;
    }
    return taken;
  }

  #field(value: JsonValue, field: DescField, path: string): ProtoJson | undefined {
    if (field.fieldKind === "list" && Array.isArray(value)) {
      return value.flatMap((element, index) => this.#single(element, field, `${path}[${index}]`) ?? []);
    }
    if (field.fieldKind === "map" && isJsonObject(value)) {
      const entries = Object.entries(value).map(([key, entry]) => [key, this.#single(entry, field, `${path}.${key}`)] as const);
      return Object.fromEntries(entries.filter((entry): entry is readonly [string, ProtoJson] => entry[1] !== undefined));
    }
    return this.#single(value, field, path);
  }

  #single(value: JsonValue, field: DescField, path: string): ProtoJson | undefined {
    if (field.message !== undefined) return this.message(value, field.message, path);
    if (field.enum !== undefined) {
      if (typeof value !== "string" || field.enum.values.some(({ name }) => name === value))
        return this.#free(value, path, { rounded: true });
      this.#drop(path, "this version of the gRPC API does not know the word");
      return undefined;
    }
    if (field.scalar !== undefined && wideTypes.has(field.scalar) && typeof value === "bigint") return String(value);
    if (field.scalar === ScalarType.BYTES && typeof value === "string" && !base64.test(value)) {
      this.#drop(path, "is no base64, and the gRPC API takes bytes");
      return undefined;
    }
    return this.#free(value, path, { rounded: true });
  }

  /** JSON as it is, but for integers beyond 2^53; `rounded` says that the loss was told already, or is none. */
  #free(value: JsonValue, path: string, state: { rounded: boolean }): ProtoJson {
    if (typeof value === "bigint") {
      if (!state.rounded)
        this.#report.coerced(this.#name(path), "integers beyond 2^53 are rounded: numbers are doubles in gRPC's JSON values");
      state.rounded = true;
      return Number(value);
    }
    if (Array.isArray(value)) return value.map((element) => this.#free(element, path, state));
    if (!isJsonObject(value)) return value;
    const copy: Record<string, ProtoJson> = {};
    for (const [name, member] of Object.entries(value)) {
      const written = this.#free(member, path, state);
      if (name === "__proto__") Object.defineProperty(copy, name, { value: written, enumerable: true, writable: true, configurable: true });
      else copy[name] = written;
    }
    return copy;
  }

  #drop(path: string, detail: string): void {
    this.#report.dropped(this.#name(path), detail);
  }

  #name(path: string): string {
    return this.#corePaths[path] ?? path;
  }
}
