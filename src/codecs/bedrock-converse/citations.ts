/** Citations of a text, both ways. They hold for the whole block; places in documents keep the API's own units. */
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
import { objectMember, textMember } from "../../core/members.ts";
import { tokenCount } from "../../core/usage.ts";
import { formatName, unknownMembers } from "./wire.ts";

/** Places in documents by member of `location`. */
const documentUnits: Readonly<Record<string, LocationUnit>> = {
  documentChar: LocationUnit.CHARACTER,
  documentPage: LocationUnit.PAGE,
  documentChunk: LocationUnit.BLOCK,
};
const known = new Set(["title", "sourceContent", "location"]);

/** Undefined for what is no object. A kind that is not modelled is kept whole. */
export function readCitation(citation: JsonValue | undefined): Annotation | undefined {
  if (!isJsonObject(citation)) return undefined;
  const citedText = readSourceContent(citation.sourceContent);
  const location = objectMember(citation, "location") ?? {};
  const title = textMember(citation, "title");
  const web = objectMember(location, "web");
  if (web !== undefined) {
    const url = create(UrlSourceSchema, { url: textMember(web, "url"), title });
    return create(AnnotationSchema, { citedText, source: { case: "url", value: url }, extrasJson: unknownMembers(citation, known) });
  }
  const [member = ""] = Object.keys(location);
  const unit = documentUnits[member];
  const place = objectMember(location, member);
  if (unit === undefined || place === undefined) {
    const opaque = create(OpaquePartSchema, { format: formatName, type: member || "citation", dataJson: jsonText(citation) });
    return create(AnnotationSchema, { citedText, source: { case: "opaque", value: opaque } });
  }
  const document = create(DocumentSourceSchema, { title, unit });
  const index = tokenCount(place.documentIndex);
  if (index !== undefined) document.index = index;
  const start = tokenCount(place.start);
  if (start !== undefined) document.start = start;
  const end = tokenCount(place.end);
  if (end !== undefined) document.end = end;
  return create(AnnotationSchema, {
    citedText,
    source: { case: "document", value: document },
    extrasJson: unknownMembers(citation, known),
  });
}

function readSourceContent(content: JsonValue | undefined): string {
  if (!Array.isArray(content)) return "";
  return content.map((piece) => (isJsonObject(piece) ? textMember(piece, "text") : "")).join("");
}

/** Undefined where the API has no such citation. */
export function writeCitation({ citedText, source, extrasJson }: Annotation): WritableObject | RawJson | undefined {
  if (source.case === "opaque") return source.value.format === formatName ? new RawJson(source.value.dataJson) : undefined;
  const location = writeLocation(source);
  if (location === undefined) return undefined;
  const title = source.case === "url" || source.case === "document" ? source.value.title : "";
  const citation: WritableObject = {
    title: title || undefined,
    sourceContent: citedText === "" ? undefined : [{ text: citedText }],
    location,
  };
  mergeExtras(citation, extrasJson[formatName]);
  return citation;
}

function writeLocation(source: Annotation["source"]): WritableObject | undefined {
  if (source.case === "url") return { web: { url: source.value.url } };
  if (source.case !== "document") return undefined;
  const { index, unit, start, end } = source.value;
  const member = Object.keys(documentUnits).find((name) => documentUnits[name] === unit);
  return member === undefined ? undefined : { [member]: { documentIndex: index, start, end } };
}

/** A text block of an answer with its citations, as one block. */
export function readCited({ content }: JsonObject): string {
  return readSourceContent(content);
}
