/** A folded answer as a `chat.completion` object. */
import {
  type Candidate,
  type CompleteResponse,
  FinishReason,
  type Message,
  type Part,
  type TokenLogprob,
  ToolKind,
} from "../../../gen/dragoman/v1/generate_pb.ts";
import type { AnswerFacts } from "../../core/dialect.ts";
import { mergeExtras, RawJson, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { writeLogprobs } from "../../core/openai-logprobs.ts";
import { serviceTiers, wordFor } from "../../core/openai-words.ts";
import { codePoints, writeAnnotation } from "./annotations.ts";
import { answerHead } from "./answer-head.ts";
import { writeUsage } from "./usage.ts";
import { finishWord, format } from "./wire.ts";
import { imageEntry, toBase64 } from "./write-media.ts";

/** JSON text. Usage is always there; counts that nobody knows are 0. */
export function writeResponse(response: CompleteResponse, facts: AnswerFacts): string {
  const { id, created, model, systemFingerprint } = answerHead(response.started, facts, "");
  const usage = response.usage ?? response.settled?.usage;
  const written: WritableObject = {
    id,
    object: "chat.completion",
    created,
    model,
    choices: response.candidates.map(writeChoice),
    usage: usage === undefined ? { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 } : writeUsage(usage),
  };
  const serviceTier = wordFor(serviceTiers, usage?.serviceTier);
  if (serviceTier !== undefined) written.service_tier = serviceTier;
  if (systemFingerprint !== "") written.system_fingerprint = systemFingerprint;
  mergeExtras(written, response.extrasJson[format]);
  for (const { format: itsFormat, type, dataJson } of response.opaque) {
    if (itsFormat === format && type === "chunk") mergeExtras(written, dataJson);
  }
  return writeJson(written);
}

function writeChoice({ index, message, finished, extrasJson }: Candidate): WritableObject {
  const parts = message?.parts ?? [];
  const refused = parts.some(({ part }) => part.case === "refusal");
  const choice: WritableObject = {
    index,
    message: writeMessage(message),
    logprobs: writeChoiceLogprobs(parts),
    finish_reason: finishWord(finished?.reason ?? FinishReason.UNSPECIFIED, refused),
  };
  mergeExtras(choice, extrasJson[format]);
  return choice;
}

function writeChoiceLogprobs(parts: readonly Part[]): Writable {
  const content: TokenLogprob[] = [];
  const refusal: TokenLogprob[] = [];
  for (const { part, logprobs } of parts) (part.case === "refusal" ? refusal : content).push(...logprobs);
  if (content.length === 0 && refusal.length === 0) return null;
  return {
    content: content.length === 0 ? null : writeLogprobs(content),
    refusal: refusal.length === 0 ? null : writeLogprobs(refusal),
  };
}

/** The answer's pieces by kind: Chat knows no order among them. */
class AnswerPieces {
  readonly text: string[] = [];
  readonly reasoning: string[] = [];
  readonly refusal: string[] = [];
  readonly annotations: Writable[] = [];
  readonly images: Writable[] = [];
  readonly calls: Writable[] = [];
  readonly opaque: Writable[] = [];
  audio: WritableObject | undefined;
  #length = 0;

  add(part: Part): void {
    const { case: kind, value } = part.part;
    switch (kind) {
      case "text": {
        const length = codePoints(value);
        for (const annotation of part.annotations) {
          const written = writeAnnotation(annotation, this.#length, length);
          if (written !== undefined) this.annotations.push(written);
        }
        this.#length += length;
        this.text.push(value);
        break;
      }
      case "reasoning":
        this.reasoning.push(value.text || value.summaries.join("\n\n"));
        break;
      case "refusal":
        this.refusal.push(value);
        break;
      case "toolCall":
        this.calls.push(writeToolCall(part));
        break;
      case "audio":
        this.audio = { id: part.id, data: value.source.case === "data" ? toBase64(value.source.value) : "", transcript: value.transcript };
        mergeExtras(this.audio, audioExtras(part));
        break;
      case "image": {
        const entry = imageEntry(value.source, value.mimeType);
        if (entry !== undefined) this.images.push(entry);
        break;
      }
      case "opaque":
        if (value.format === format) this.opaque.push(new RawJson(value.dataJson));
        break;
      default:
        break; // files and videos have no form in this dialect
    }
  }
}

/** The reader keeps the unknown members under `audio`, where a delta has them. */
function audioExtras(part: Part): string | undefined {
  const holder: WritableObject = {};
  mergeExtras(holder, part.extrasJson[format]);
  return holder.audio === undefined ? undefined : writeJson(holder.audio);
}

function writeMessage(message: Message | undefined): WritableObject {
  const pieces = new AnswerPieces();
  for (const part of message?.parts ?? []) pieces.add(part);
  const written: WritableObject = { role: "assistant", content: writeContent(pieces), refusal: joined(pieces.refusal) };
  const reasoning = pieces.reasoning.join("");
  if (reasoning !== "") written.reasoning_content = reasoning;
  if (pieces.annotations.length > 0) written.annotations = pieces.annotations;
  if (pieces.images.length > 0) written.images = pieces.images;
  if (pieces.audio !== undefined) written.audio = pieces.audio;
  if (pieces.calls.length > 0) written.tool_calls = pieces.calls;
  return written;
}

function writeContent({ text, opaque, calls, refusal, audio }: AnswerPieces): Writable {
  if (opaque.length > 0) return [...opaque, ...(text.length === 0 ? [] : [{ type: "text", text: text.join("") }])];
  if (text.length > 0) return text.join("");
  return calls.length > 0 || refusal.length > 0 || audio !== undefined ? null : "";
}

function joined(texts: readonly string[]): string | null {
  return texts.length === 0 ? null : texts.join("");
}

function writeToolCall({ part, signature, extrasJson }: Part): Writable {
  if (part.case !== "toolCall") return null;
  const { id, name, kind, argumentsJson, inputText } = part.value;
  const call: WritableObject =
    kind === ToolKind.CUSTOM
      ? { id, type: "custom", custom: { name, input: inputText } }
      : { id, type: "function", function: { name, arguments: argumentsJson === "" ? "{}" : argumentsJson } };
  // Chat clients send back what they got on a call; Gemini refuses calls without it.
  if (signature?.format === "gemini") call.extra_content = { google: { thought_signature: signature.value } };
  mergeExtras(call, extrasJson[format]);
  return call;
}
