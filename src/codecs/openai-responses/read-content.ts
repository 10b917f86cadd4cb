/** Content of messages and tool results: a string or parts. Nothing is merged, sorted or left out (contract.md 1, rule 1). */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type CacheMarker, CacheMarkerSchema } from "../../../gen/dragoman/v1/call_pb.ts";
import { type Part, PartSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { describe, Fields, type Located } from "../../core/fields.ts";
import { jsonText } from "../../core/json.ts";
import { readLogprobs } from "../../core/openai-logprobs.ts";
import { readAnnotation } from "./annotations.ts";
import { readAudio, readFile, readImage } from "./read-media.ts";
import { cacheTtls, format } from "./wire.ts";

type Content = MessageInitShape<typeof PartSchema>["part"] & object;

/** A part of the given content, with what nobody read of `fields` as its extras. */
export function makePart(part: Content, fields?: Fields): Part {
  const made = create(PartSchema, { part });
  if (fields !== undefined) {
    const cache = readCacheMarker(fields);
    if (cache !== undefined) made.cache = cache;
    made.extrasJson = fields.extras(format);
  }
  return made;
}

export function opaquePart(type: string, dataJson: string): Part {
  return makePart({ case: "opaque", value: { $typeName: "dragoman.v1.OpaquePart", format, type, dataJson } });
}

/** The parts of member `name`. */
export function readContent(owner: Fields, name: string): Part[] {
  const value = owner.peek(name);
  if (value === undefined) return [];
  if (typeof value === "string") return [makePart({ case: "text", value: owner.string(name) ?? "" })];
  if (!Array.isArray(value)) return owner.fail(name, `must be a string or an array of parts, not ${describe(value)}`);
  return (owner.array(name) ?? []).map(readPart);
}

function readPart({ value, path }: Located): Part {
  const fields = new Fields(value, path);
  const type = fields.requiredString("type");
  switch (type) {
    case "input_text":
      return makePart({ case: "text", value: fields.string("text") ?? fields.fail("text", "is required") }, fields);
    case "output_text":
      return readOutputText(fields);
    case "refusal":
      return makePart({ case: "refusal", value: fields.string("refusal") ?? fields.fail("refusal", "is required") }, fields);
    case "input_image":
      return makePart({ case: "image", value: readImage(fields) }, fields);
    case "input_audio":
      return makePart({ case: "audio", value: readAudio(fields) }, fields);
    case "input_file":
      return makePart({ case: "file", value: readFile(fields) }, fields);
    case "":
      return fields.fail("type", "must not be empty");
    default:
      return opaquePart(type, jsonText(value));
  }
}

function readOutputText(fields: Fields): Part {
  const text = fields.string("text") ?? fields.fail("text", "is required");
  const annotations = (fields.array("annotations") ?? []).map(({ value }) => readAnnotation(value));
  const logprobs = readLogprobs(fields.value("logprobs"));
  // As with parsed_arguments of calls.
  fields.value("parsed");
  const part = makePart({ case: "text", value: text }, fields);
  part.annotations = annotations.filter((annotation) => annotation !== undefined);
  part.logprobs = logprobs;
  return part;
}

function readCacheMarker(fields: Fields): CacheMarker | undefined {
  const marker = fields.object("prompt_cache_breakpoint");
  if (marker === undefined) return undefined;
  // The only mode there is; another one stays in extras.
  marker.knownWord("mode", { explicit: true });
  const ttlSeconds = marker.knownWord("ttl", cacheTtls);
  return create(CacheMarkerSchema, ttlSeconds === undefined ? {} : { ttlSeconds });
}
