/** Messages of this format as the JSON text that opaque parts and extras hold, and back. */
import { type DescField, type DescMessage, fromJsonString, type MessageShape, toJsonString } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { invalidField } from "../../core/error.ts";
import { reportForeignExtras } from "../../core/extras.ts";
import { upstreamJsonLimits, writeJson } from "../../core/json.ts";
import { readJsonObject } from "../../core/json-field.ts";
import type { TranslationReport } from "../../core/translation.ts";
import { formatName } from "./wire.ts";

/** Throws invalid_request where the text is not such a message. `path` is where the text stands in the core request. */
export function readMessage<Desc extends DescMessage>(schema: Desc, text: string, path: string) {
  try {
    return fromJsonString(schema, text === "" ? "{}" : text);
  } catch (error) {
    throw invalidField(path, `is no JSON of xAI's ${schema.name}: ${wordsOf(error)}`);
  }
}

export function messageText<Desc extends DescMessage>(schema: Desc, message: MessageShape<Desc>): string {
  return toJsonString(schema, message);
}

/**
 * Sets the fields of a request's extras that the writer did not set: a modelled field wins. Fields that the messages do not
 * have, and those of other formats, are reported as dropped.
 */
export function mergeMessageExtras<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  extrasJson: Readonly<Record<string, string>>,
  path: string,
  report: TranslationReport,
): void {
  reportForeignExtras(extrasJson, formatName, path, report);
  const own = extrasJson[formatName];
  if (own === undefined || own === "") return;
  const at = `${path === "" ? "" : `${path}.`}extras_json.${formatName}`;
  const fields = readJsonObject(own, at, upstreamJsonLimits);
  const target = reflect(schema, message);
  for (const [name, value] of Object.entries(fields)) {
    if (value === null) continue;
    const field = schema.fields.find((candidate) => candidate.jsonName === name || candidate.name === name);
    if (field === undefined) report.dropped(path === "" ? name : `${path}.${name}`, "is no field of this version of the API");
    else if (!target.isSet(field)) copyField(schema, target, field, writeJson({ [name]: value }), `${at}.${name}`);
  }
}

function copyField(schema: DescMessage, target: ReflectMessage, field: DescField, text: string, path: string): void {
  const source = reflect(schema, readMessage(schema, text, path));
  if (source.isSet(field)) target.set(field, source.get(field));
}

/** The library's sentence names the field; values, which it may quote, stay out. */
function wordsOf(error: unknown): string {
  const field = /(?:field|message) [\w.]+/.exec(error instanceof Error ? error.message : "")?.[0];
  return field ?? "it cannot be read";
}
