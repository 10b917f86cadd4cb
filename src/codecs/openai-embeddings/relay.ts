/**
 * Vectors of servers that speak OpenAI's format for clients that do, in the server's own bytes (design.md 4, rule 10).
 * Nobody on the way needs to see a vector, and reading one costs more than all the rest: what stands around them is read.
 */
import { isUtf8 } from "node:buffer";
import { create } from "@bufbuild/protobuf";
import { type EmbedRequest, type EmbedResponse, EmbedResponseSchema } from "../../../gen/dragoman/v1/embed_pb.ts";
import type { ClientWire } from "../../core/call.ts";
import type { EmbedRelayCodec, EmbedTap, UpstreamEmbedRequest } from "../../core/dialect.ts";
import { isJsonObject, type JsonValue, parseJson, upstreamJsonLimits, type WritableObject, writeJson } from "../../core/json.ts";
import type { Target } from "../../core/target.ts";
import { TranslationReport } from "../../core/translation.ts";
import type { OpenAiEmbeddingsQuirks } from "./quirks.ts";
import { readUsage } from "./read-response.ts";
import { type Encoding, format, path } from "./wire.ts";

export function createRelay(quirks: OpenAiEmbeddingsQuirks): EmbedRelayCodec {
  return {
    patchRequest: (request, wire, target) => patchRequest(request, wire, target, quirks),
    tapAnswer: (request, wire, provider) => new EmbeddingsTap(request, encodingOf(wire), provider),
  };
}

function encodingOf({ body }: ClientWire): Encoding {
  return body.encoding_format === "base64" ? "base64" : "float";
}

/** Undefined where the target does not take what the client wrote. */
function patchRequest(
  request: EmbedRequest,
  wire: ClientWire,
  target: Target,
  quirks: OpenAiEmbeddingsQuirks,
): UpstreamEmbedRequest | undefined {
  if (request.dimensions !== undefined && quirks.dimensions === false) return undefined;
  if (quirks.tokens === false && request.inputs.some(({ input }) => input.case === "tokens")) return undefined;
  if (encodingOf(wire) === "base64" && (quirks.base64 === false || quirks.encodingFormat === false)) return undefined;
  const patched: WritableObject = { ...(wire.body as WritableObject), model: target.model };
  const user = request.attribution?.endUserId ?? "";
  if (quirks.sendUser && user !== "") patched.user = user;
  else delete patched.user;
  if (quirks.encodingFormat === false) delete patched.encoding_format;
  return { path: quirks.path ?? path, headers: {}, body: writeJson(patched), report: new TranslationReport(format) };
}

class EmbeddingsTap implements EmbedTap {
  readonly #request: EmbedRequest;
  readonly #provider: string;
  readonly #cutter: VectorCutter;

  constructor(request: EmbedRequest, encoding: Encoding, provider: string) {
    this.#request = request;
    this.#provider = provider;
    this.#cutter = new VectorCutter(encoding);
  }

  see(chunk: Buffer): void {
    this.#cutter.cut(chunk);
  }

  /** Undefined where the answer is not, in every place around its vectors, what our own writer would make of it. */
  end(): EmbedResponse | undefined {
    const frame = this.#cutter.frame();
    if (!isJsonObject(frame) || frame.object !== "list" || (frame.error ?? null) !== null || !Array.isArray(frame.data)) return undefined;
    if (frame.data.length !== this.#request.inputs.length || !frame.data.every(isInItsPlace)) return undefined;
    if (typeof frame.model !== "string" || frame.model === "" || !isJsonObject(frame.usage)) return undefined;
    const { prompt_tokens: prompt, total_tokens: total } = frame.usage;
    if (typeof prompt !== "number" || typeof total !== "number") return undefined;
    return create(EmbedResponseSchema, {
      provider: this.#provider,
      requestedModel: this.#request.model,
      servedModel: frame.model,
      upstreamId: typeof frame.id === "string" ? frame.id : "",
      usage: readUsage(frame.usage),
    });
  }
}

/** What stands for a vector. */
const placeholder = 0;

function isInItsPlace(entry: JsonValue, position: number): boolean {
  return isJsonObject(entry) && entry.object === "embedding" && entry.index === position && entry.embedding === placeholder;
}

const marks = {
  base64: { opens: 0x22, closes: 0x22, begins: /"embedding"\s*:\s*"$/ },
  float: { opens: 0x5b, closes: 0x5d, begins: /"embedding"\s*:\s*\[$/ },
} as const;

/** What may stand before a vector, with white space; a longer beginning is not found, and the answer then read whole. */
const longestBeginning = 64;
/** An answer has more vectors than other text; where it has not, it is none of those that are cut. */
const maxFrameLength = 4 << 20;

/** Leaves the vectors out of an answer, wherever its chunks are cut. */
class VectorCutter {
  readonly #marks: (typeof marks)[Encoding];
  /** What stands around the vectors, a character for each byte. */
  #text = "";
  /** Bytes of the vector that goes on; undefined outside. */
  #inside: number | undefined;
  /** Bytes of each vector. */
  #length: number | undefined;
  #isOdd = false;

  constructor(encoding: Encoding) {
    this.#marks = marks[encoding];
  }

  cut(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#isOdd) at = this.#inside === undefined ? this.#readText(chunk, at) : this.#skipVector(chunk, at);
  }

  /** The answer with a placeholder for each vector; undefined where it is not JSON, or not what was to be cut. */
  frame(): JsonValue | undefined {
    if (this.#isOdd || this.#inside !== undefined) return undefined;
    const bytes = Buffer.from(this.#text, "latin1");
    if (!isUtf8(bytes)) return undefined;
    try {
      return parseJson(bytes.toString("utf8"), upstreamJsonLimits);
    } catch {
      return undefined;
    }
  }

  #readText(chunk: Buffer, from: number): number {
    const { opens, begins } = this.#marks;
    const mark = chunk.indexOf(opens, from);
    const end = mark === -1 ? chunk.length : mark + 1;
    this.#text += chunk.toString("latin1", from, end);
    if (this.#text.length > maxFrameLength) this.#isOdd = true;
    if (mark !== -1 && begins.test(this.#text.slice(-longestBeginning))) {
      this.#text = this.#text.slice(0, -1) + placeholder;
      this.#inside = 0;
    }
    return end;
  }

  #skipVector(chunk: Buffer, from: number): number {
    const mark = chunk.indexOf(this.#marks.closes, from);
    const end = mark === -1 ? chunk.length : mark;
    const length = (this.#inside ?? 0) + end - from;
    this.#inside = length;
    if (mark === -1) return end;
    // Text of vectors that are equally long is equally long in base64, which shows at once that all are.
    if (length === 0 || (this.#marks === marks.base64 && (this.#length ??= length) !== length)) this.#isOdd = true;
    this.#inside = undefined;
    return end + 1;
  }
}
