/**
 * Citations, both ways. A citation names a stretch of the answer and any number of sources; the core has one source for
 * each annotation, so a citation with several becomes neighbours with the same place, which the writer joins again.
 */
import { create } from "@bufbuild/protobuf";
import {
  type Annotation,
  AnnotationSchema,
  DocumentSourceSchema,
  OpaquePartSchema,
  UrlSourceSchema,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText, parseJson, type Writable, type WritableObject } from "../../core/json.ts";
import { textMember } from "../../core/members.ts";
import { tokenCount } from "../../core/usage.ts";
import { formatName, objectMember, unknownMembers } from "./wire.ts";

const citationKnown = new Set(["start", "end", "content_index", "sources"]);

/** At least one annotation. What the core has no place for is kept for this format. */
export function readCitation(citation: JsonObject): Annotation[] {
  const sources = Array.isArray(citation.sources) ? citation.sources.filter(isJsonObject) : [];
  if (sources.length === 0) return [readSource(citation, undefined)];
  return sources.map((source) => readSource(citation, source));
}

function readSource(citation: JsonObject, source: JsonObject | undefined): Annotation {
  const start = tokenCount(citation.start);
  const end = tokenCount(citation.end);
  const rest = source === undefined ? citation : { ...citation, source };
  return create(AnnotationSchema, {
    ...(start === undefined ? {} : { startIndex: start }),
    ...(end === undefined ? {} : { endIndex: end }),
    ...(source === undefined ? {} : { source: sourceOf(source) }),
    // The member `source` is ours: the one of the citation's sources that this annotation stands for.
    extrasJson: unknownMembers(rest, citationKnown),
  });
}

function sourceOf(source: JsonObject): Annotation["source"] {
  if (source.type !== "document") {
    const type = textMember(source, "type");
    return { case: "opaque", value: create(OpaquePartSchema, { format: formatName, type, dataJson: jsonText(source) }) };
  }
  const document = objectMember(source, "document");
  const data = isJsonObject(document.data) ? document.data : document;
  const title = textMember(data, "title");
  const url = textMember(data, "url");
  if (/^https?:\/\//.test(url)) return { case: "url", value: create(UrlSourceSchema, { url, title }) };
  return { case: "document", value: create(DocumentSourceSchema, { id: textMember(source, "id"), title }) };
}

/** Citations of a text in a request's history, and how many annotations have no form here. */
export function writeCitations(annotations: readonly Annotation[], contentIndex: number): { citations: WritableObject[]; lost: number } {
  const citations: WritableObject[] = [];
  let lost = 0;
  let last: { key: string; sources: Writable[] } | undefined;
  for (const { startIndex, endIndex, extrasJson } of annotations) {
    const own = extrasJson[formatName];
    if (own === undefined) {
      lost++;
      continue;
    }
    const { source, ...rest } = parseJson(own) as JsonObject;
    const key = `${startIndex} ${endIndex} ${jsonText(rest)}`;
    if (last?.key === key && source !== undefined) last.sources.push(source as Writable);
    else {
      const sources: Writable[] = source === undefined ? [] : [source as Writable];
      last = { key, sources };
      citations.push({ start: startIndex, end: endIndex, ...(rest as WritableObject), content_index: contentIndex, sources });
    }
  }
  return { citations, lost };
}

/** Which of the answer's contents a citation belongs to; undefined where it does not say. */
export function contentIndexOf(citation: JsonObject): number | undefined {
  return tokenCount(citation.content_index as JsonValue | undefined);
}
