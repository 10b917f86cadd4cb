/**
 * Citations: `groundingMetadata` names stretches of the answer by bytes of UTF-8 and the sources of each by number;
 * `citationMetadata` names both at once. The core counts code points (contract.md 1, rule 9).
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Annotation, AnnotationSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import { type JsonObject, jsonText } from "../../core/json.ts";
import { numberMember, objectMember, objectsMember, textMember } from "../../core/members.ts";
import { formatName } from "./wire.ts";

type AnnotationInit = Omit<MessageInitShape<typeof AnnotationSchema>, "$typeName">;

/** A stretch of the answer with what it rests on, not yet placed in a block. */
interface Claim {
  /** In bytes of the part's UTF-8. */
  readonly start: number;
  readonly end: number | undefined;
  /** The stretch itself; empty where the API does not repeat it. */
  readonly text: string;
  readonly sources: readonly AnnotationInit[];
}

/** The citations of one candidate. They may arrive before or after the text that they are about. */
export class Grounding {
  #claims: Claim[] = [];
  readonly #seen = new Set<string>();

  /** A candidate as one chunk has it. */
  read(candidate: JsonObject): void {
    const grounding = objectMember(candidate, "groundingMetadata");
    if (grounding !== undefined) {
      const chunks = objectsMember(grounding, "groundingChunks");
      for (const support of objectsMember(grounding, "groundingSupports")) this.#addSupport(support, chunks);
    }
    for (const citation of objectsMember(objectMember(candidate, "citationMetadata") ?? {}, "citations")) this.#addCitation(citation);
  }

  /** The annotations of a block with this text; each claim is placed once. */
  take(pieces: readonly string[]): Annotation[] {
    if (this.#claims.length === 0) return [];
    const text = pieces.join("");
    const bytes = Buffer.from(text);
    const annotations: Annotation[] = [];
    this.#claims = this.#claims.filter((claim) => {
      const place = locate(claim, text, bytes);
      if (place === undefined) return true;
      const [startIndex, endIndex] = place;
      for (const source of claim.sources) annotations.push(create(AnnotationSchema, { ...source, startIndex, endIndex }));
      return false;
    });
    return annotations;
  }

  #addSupport(support: JsonObject, chunks: JsonObject[]): void {
    const segment = objectMember(support, "segment") ?? {};
    const numbers = Array.isArray(support.groundingChunkIndices) ? support.groundingChunkIndices : [];
    const scores = Array.isArray(support.confidenceScores) ? support.confidenceScores : [];
    const sources: AnnotationInit[] = [];
    numbers.forEach((number, index) => {
      const chunk = typeof number === "number" ? chunks[number] : undefined;
      if (chunk === undefined) return;
      const score = scores[index];
      sources.push({ ...readSource(chunk), ...(typeof score === "number" ? { score } : {}) });
    });
    this.#add(segment, textMember(segment, "text"), sources);
  }

  #addCitation(citation: JsonObject): void {
    const url = textMember(citation, "uri");
    const title = textMember(citation, "title");
    if (url === "" && title === "") return;
    this.#add(citation, "", [{ source: { case: "url", value: { url, title } } }]);
  }

  #add(place: JsonObject, text: string, sources: AnnotationInit[]): void {
    // A start of 0 is left out on the wire.
    const claim = { start: numberMember(place, "startIndex") ?? 0, end: numberMember(place, "endIndex"), text, sources };
    // Chunks of a stream repeat what earlier ones said.
    const key = JSON.stringify(claim);
    if (sources.length === 0 || this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#claims.push(claim);
  }
}

/** Start and end in code points; undefined where the stretch is not in this text. */
function locate({ start, end, text: claimed }: Claim, text: string, bytes: Buffer): [number, number] | undefined {
  if (end !== undefined && start <= end && end <= bytes.length) {
    if (claimed === "" || bytes.toString("utf8", start, end) === claimed) return [codePoints(bytes, start), codePoints(bytes, end)];
  }
  if (claimed === "") return undefined;
  const at = text.indexOf(claimed);
  if (at === -1) return undefined;
  const before = [...text.slice(0, at)].length;
  return [before, before + [...claimed].length];
}

/** Code points that begin before a byte: all bytes but 10xxxxxx begin one. */
function codePoints(bytes: Uint8Array, end: number): number {
  let count = 0;
  for (let at = 0; at < end; at++) if (((bytes[at] as number) & 0xc0) !== 0x80) count++;
  return count;
}

function readSource(chunk: JsonObject): AnnotationInit {
  const web = objectMember(chunk, "web") ?? objectMember(chunk, "maps");
  if (web !== undefined) return { source: { case: "url", value: { url: textMember(web, "uri"), title: textMember(web, "title") } } };
  const retrieved = objectMember(chunk, "retrievedContext");
  if (retrieved !== undefined) return readRetrieved(retrieved);
  const image = objectMember(chunk, "image");
  if (image !== undefined) {
    return { source: { case: "url", value: { url: textMember(image, "sourceUri"), title: textMember(image, "title") } } };
  }
  const [type = ""] = Object.keys(chunk);
  return { source: { case: "opaque", value: { format: formatName, type, dataJson: jsonText(chunk) } } };
}

function readRetrieved(retrieved: JsonObject): AnnotationInit {
  const title = textMember(retrieved, "title");
  const url = textMember(retrieved, "uri");
  const citedText = textMember(retrieved, "text");
  if (url !== "") return { citedText, source: { case: "url", value: { url, title } } };
  return { citedText, source: { case: "document", value: { id: textMember(retrieved, "documentName"), title } } };
}
