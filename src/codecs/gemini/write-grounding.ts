/** Citations as `groundingMetadata`: sources once each, and stretches of the text, in bytes of UTF-8, that rest on them. */
import type { Annotation } from "../../../gen/dragoman/v1/generate_pb.ts";
import { isJsonObject, tryParseJson, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { formatName } from "./wire.ts";

/** The text that annotations are about, and where it stands. */
export interface CitedText {
  readonly text: string;
  /** Bytes of the same part before it. */
  readonly base: number;
  /** Place of the part in a buffered answer; 0 in a stream, where parts are fragments and have no place. */
  readonly part: number;
}

interface Support {
  readonly segment: WritableObject;
  readonly sources: number[];
  readonly scores: number[];
}

/** The citations of one candidate. */
export class GroundingWriter {
  readonly #chunks = new Map<string, { readonly index: number; readonly chunk: WritableObject }>();
  readonly #supports = new Map<string, Support>();

  add(annotations: readonly Annotation[], cited: CitedText): void {
    if (annotations.length === 0) return;
    const characters = [...cited.text];
    for (const annotation of annotations) {
      const chunk = writeSource(annotation);
      if (chunk === undefined) continue;
      const { startIndex = 0, endIndex = characters.length, score } = annotation;
      const segment = writeSegment(characters, Math.min(startIndex, characters.length), Math.min(endIndex, characters.length), cited);
      const support = this.#support(segment);
      support.sources.push(this.#source(chunk));
      if (score !== undefined) support.scores.push(score);
    }
  }

  /** Undefined where there are no citations. */
  metadata(): WritableObject | undefined {
    if (this.#supports.size === 0) return undefined;
    return {
      groundingChunks: [...this.#chunks.values()].map(({ chunk }) => chunk),
      groundingSupports: [...this.#supports.values()].map(({ segment, sources, scores }) => ({
        segment,
        groundingChunkIndices: sources,
        // One for each source, or the list would not say whose they are.
        confidenceScores: scores.length === sources.length ? scores : undefined,
      })),
    };
  }

  #source(chunk: WritableObject): number {
    const key = writeJson(chunk);
    const known = this.#chunks.get(key);
    if (known !== undefined) return known.index;
    const index = this.#chunks.size;
    this.#chunks.set(key, { index, chunk });
    return index;
  }

  #support(segment: WritableObject): Support {
    const key = writeJson(segment);
    let support = this.#supports.get(key);
    if (support === undefined) {
      support = { segment, sources: [], scores: [] };
      this.#supports.set(key, support);
    }
    return support;
  }
}

function writeSegment(characters: readonly string[], start: number, end: number, { base, part }: CitedText): WritableObject {
  const before = base + Buffer.byteLength(characters.slice(0, start).join(""));
  const text = characters.slice(start, end).join("");
  return { partIndex: part === 0 ? undefined : part, startIndex: before, endIndex: before + Buffer.byteLength(text), text };
}

/** Undefined for a source that only another format knows. */
function writeSource({ source, citedText }: Annotation): WritableObject | undefined {
  const text = citedText || undefined;
  switch (source.case) {
    case "url":
      return { web: { uri: source.value.url, title: source.value.title || undefined } };
    case "file":
      return { retrievedContext: { documentName: source.value.fileId || undefined, title: source.value.filename || undefined, text } };
    case "document":
      return { retrievedContext: { documentName: source.value.id || undefined, title: source.value.title || undefined, text } };
    case "opaque": {
      const chunk: Writable = source.value.format === formatName ? (tryParseJson(source.value.dataJson) as Writable) : undefined;
      return isJsonObject(chunk) ? (chunk as WritableObject) : undefined;
    }
    default:
      return undefined;
  }
}
