/** Content of a message: a string, null, or parts. Nothing is merged, sorted or left out (contract.md 1, rule 1). */
import { create } from "@bufbuild/protobuf";
import { type CacheMarker, CacheMarkerSchema } from "../../../gen/dragoman/v1/call_pb.ts";
import type { Part } from "../../../gen/dragoman/v1/generate_pb.ts";
import { invalidField } from "../../core/error.ts";
import { describe, Fields, type Located } from "../../core/fields.ts";
import { jsonText } from "../../core/json.ts";
import { newPart } from "../../core/new-message.ts";
import { readAudio, readFile, readImage } from "./read-media.ts";
import { cacheTtls, format } from "./wire.ts";

/** A part of the given content, with what nobody read of `fields` as its extras. */
export function makePart(part: Part["part"], fields?: Fields): Part {
  const made = newPart(part);
  if (fields !== undefined) {
    const cache = readCacheMarker(fields);
    if (cache !== undefined) made.cache = cache;
    made.extrasJson = fields.extras(format);
  }
  return made;
}

/** The parts of member `name`. */
export function readContent(owner: Fields, name = "content"): Part[] {
  const value = owner.peek(name);
  if (value === undefined) return [];
  if (typeof value === "string") return [makePart({ case: "text", value: owner.requiredString(name) })];
  if (!Array.isArray(value)) return owner.fail(name, `must be a string or an array of parts, not ${describe(value)}`);
  return (owner.array(name) ?? []).map(readPart);
}

function readPart({ value, path }: Located): Part {
  // Some clients put plain strings among the parts.
  if (typeof value === "string") return makePart({ case: "text", value });
  const fields = new Fields(value, path);
  const type = fields.requiredString("type");
  switch (type) {
    case "text":
      return makePart({ case: "text", value: fields.string("text") ?? fields.fail("text", "is required") }, fields);
    case "refusal":
      return makePart({ case: "refusal", value: fields.string("refusal") ?? fields.fail("refusal", "is required") }, fields);
    case "image_url":
      return makePart({ case: "image", value: readImage(fields) }, fields);
    case "input_audio":
      return makePart({ case: "audio", value: readAudio(fields) }, fields);
    case "file":
      return makePart({ case: "file", value: readFile(fields) }, fields);
    case "":
      throw invalidField(fields.pathOf("type"), "must not be empty");
    default:
      return makePart({ case: "opaque", value: { $typeName: "dragoman.v1.OpaquePart", format, type, dataJson: jsonText(value) } });
  }
}

/** OpenAI's `prompt_cache_breakpoint`, or Anthropic's `cache_control` as gateways take it on Chat. */
export function readCacheMarker(fields: Fields): CacheMarker | undefined {
  for (const name of ["prompt_cache_breakpoint", "cache_control"] as const) {
    if (!fields.has(name)) continue;
    const marker = fields.object(name);
    if (marker === undefined) continue;
    // The only mode and type there are; another one stays in extras.
    marker.knownWord("mode", { explicit: true });
    marker.knownWord("type", { ephemeral: true });
    const ttlSeconds = marker.knownWord("ttl", cacheTtls[name] as Readonly<Record<string, number>>);
    return create(CacheMarkerSchema, ttlSeconds === undefined ? {} : { ttlSeconds });
  }
  return undefined;
}
