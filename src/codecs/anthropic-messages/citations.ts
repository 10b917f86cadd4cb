/** Citations of a text block, both ways. Places in documents keep the API's own units. */
import { create } from "@bufbuild/protobuf";
import {
  type Annotation,
  AnnotationSchema,
  DocumentSourceSchema,
  LocationUnit,
  OpaquePartSchema,
  UrlSourceSchema,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue, jsonText, mergeExtras, RawJson, type WritableObject } from "../../core/json.ts";
import { textMember } from "../../core/members.ts";
import { tokenCount } from "../../core/usage.ts";
import { formatName, unknownMembers } from "./wire.ts";

interface Location {
  readonly type: string;
  readonly unit: LocationUnit;
  readonly start: string;
  readonly end: string;
}

const locations: readonly Location[] = [
  { type: "char_location", unit: LocationUnit.CHARACTER, start: "start_char_index", end: "end_char_index" },
  { type: "page_location", unit: LocationUnit.PAGE, start: "start_page_number", end: "end_page_number" },
  { type: "content_block_location", unit: LocationUnit.BLOCK, start: "start_block_index", end: "end_block_index" },
];

const webKnown = new Set(["type", "cited_text", "url", "title", "encrypted_index"]);

/** Undefined for what is no object. A kind that is not modelled is kept whole. */
export function readCitation(citation: JsonValue | undefined): Annotation | undefined {
  if (!isJsonObject(citation)) return undefined;
  const citedText = textMember(citation, "cited_text");
  const location = locations.find(({ type }) => type === citation.type);
  if (location !== undefined) return readLocation(citation, location);
  if (citation.type === "web_search_result_location") {
    const url = create(UrlSourceSchema, {
      url: textMember(citation, "url"),
      title: textMember(citation, "title"),
      encryptedIndex: textMember(citation, "encrypted_index"),
    });
    return create(AnnotationSchema, { citedText, source: { case: "url", value: url }, extrasJson: unknownMembers(citation, webKnown) });
  }
  const opaque = create(OpaquePartSchema, { format: formatName, type: textMember(citation, "type"), dataJson: jsonText(citation) });
  return create(AnnotationSchema, { citedText, source: { case: "opaque", value: opaque } });
}

function readLocation(citation: JsonObject, { unit, start, end }: Location): Annotation {
  const document = create(DocumentSourceSchema, { title: textMember(citation, "document_title"), unit });
  const index = tokenCount(citation.document_index);
  if (index !== undefined) document.index = index;
  const from = tokenCount(citation[start]);
  if (from !== undefined) document.start = from;
  const to = tokenCount(citation[end]);
  if (to !== undefined) document.end = to;
  return create(AnnotationSchema, {
    citedText: textMember(citation, "cited_text"),
    source: { case: "document", value: document },
    extrasJson: unknownMembers(citation, new Set(["type", "cited_text", "document_title", "document_index", start, end])),
  });
}

/** A citation of a request's history; undefined where the API takes no such citation. */
export function writeCitation(annotation: Annotation): WritableObject | RawJson | undefined {
  const { source } = annotation;
  // Citations of other services have no such index, and the API refuses them without.
  if (source.case === "url" && source.value.encryptedIndex === "") return undefined;
  return writeAnswerCitation(annotation);
}

/** A citation of an answer; undefined where the API has no such citation. */
export function writeAnswerCitation({ citedText, source, extrasJson }: Annotation): WritableObject | RawJson | undefined {
  if (source.case === "opaque") return source.value.format === formatName ? new RawJson(source.value.dataJson) : undefined;
  const citation = writeSource(citedText, source);
  if (citation !== undefined) mergeExtras(citation, extrasJson[formatName]);
  return citation;
}

function writeSource(citedText: string, source: Annotation["source"]): WritableObject | undefined {
  if (source.case === "url") {
    const { url, title, encryptedIndex } = source.value;
    return { type: "web_search_result_location", cited_text: citedText, url, title: title || null, encrypted_index: encryptedIndex };
  }
  if (source.case !== "document") return undefined;
  const { index, title, unit, start, end } = source.value;
  const location = locations.find((candidate) => candidate.unit === unit);
  if (location === undefined || index === undefined || start === undefined || end === undefined) return undefined;
  return {
    type: location.type,
    cited_text: citedText,
    document_index: index,
    document_title: title || null,
    [location.start]: start,
    [location.end]: end,
  };
}
