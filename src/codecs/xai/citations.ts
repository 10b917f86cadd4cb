/** Citations of an answer: those with a place in the text, and the list of pages on the last chunk. */
import { create } from "@bufbuild/protobuf";
import { type Annotation, AnnotationSchema } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { InlineCitation } from "../../../gen/xai/api/v1/chat_pb.ts";
import { writeJson } from "../../core/json.ts";
import { formatName } from "./wire.ts";

/** `base` is how many characters of the answer stand before the block that the annotation goes to. */
export function readCitation({ id, startIndex, endIndex, citation }: InlineCitation, base: number): Annotation {
  const hasPlace = endIndex > startIndex;
  const place = hasPlace ? { startIndex: Math.max(0, startIndex - base), endIndex: Math.max(0, endIndex - base) } : {};
  switch (citation.case) {
    case "webCitation":
    case "xCitation":
      return create(AnnotationSchema, {
        ...place,
        source: { case: "url", value: { url: citation.value.url } },
        extrasJson: extras({ id, type: citation.case }),
      });
    case "collectionsCitation": {
      const { fileId, chunkContent, chunkId, collectionIds, score } = citation.value;
      return create(AnnotationSchema, {
        ...place,
        source: { case: "file", value: { fileId } },
        citedText: chunkContent,
        ...(score === 0 ? {} : { score }),
        extrasJson: extras({ id, chunk_id: chunkId, collection_ids: [...collectionIds] }),
      });
    }
    default:
      return create(AnnotationSchema, { ...place, extrasJson: extras({ id }) });
  }
}

/** A page that was used, without a place in the text. */
export function pageAnnotation(url: string): Annotation {
  return create(AnnotationSchema, { source: { case: "url", value: { url } } });
}

function extras(fields: Parameters<typeof writeJson>[0]): Record<string, string> {
  return { [formatName]: writeJson(fields) };
}

export function codePoints(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0xdc00 || code > 0xdfff) count++;
  }
  return count;
}
