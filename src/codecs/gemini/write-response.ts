/** A whole answer as the reply of `generateContent`. */
import type { Candidate, CompleteResponse, Part } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { AnswerFacts, DialectRequest } from "../../core/dialect.ts";
import { mergeExtras, type WritableObject, writeJson } from "../../core/json.ts";
import { formatName } from "./wire.ts";
import { writeCandidate, writeFeedback, writeHead } from "./write-answer.ts";
import { writeAnswerPart } from "./write-answer-part.ts";
import { GroundingWriter } from "./write-grounding.ts";
import { writeLogprobs } from "./write-logprobs.ts";
import { writeUsage } from "./write-usage.ts";

/** JSON text. */
export function writeResponse(response: CompleteResponse, facts: AnswerFacts, request: DialectRequest): string {
  const blocked = response.candidates.find(({ finished }) => finished?.promptBlocked === true)?.finished;
  const usage = response.usage ?? response.settled?.usage;
  const reply: WritableObject = {
    candidates: blocked === undefined ? response.candidates.map(writeWhole) : undefined,
    promptFeedback: blocked === undefined ? undefined : writeFeedback(blocked),
    usageMetadata: usage === undefined ? undefined : writeUsage(usage),
    ...writeHead(response.started, facts, request.generate.model),
  };
  for (const { format, dataJson } of response.opaque) if (format === formatName) mergeExtras(reply, dataJson);
  mergeExtras(reply, response.extrasJson[formatName]);
  return writeJson(reply);
}

function writeWhole({ index, message, finished, extrasJson }: Candidate): WritableObject {
  const grounding = new GroundingWriter();
  const parts: WritableObject[] = [];
  let before: Part | undefined;
  for (const part of message?.parts ?? []) {
    const written = writeAnswerPart(part);
    if (written === undefined) continue;
    const last = parts.at(-1);
    // Neighbouring texts are one: readers take them for one anyway, and citations count bytes of the part.
    const joins = before !== undefined && last !== undefined && isPlainText(before) && isPlainText(part);
    const base = joins ? Buffer.byteLength(String(last.text)) : 0;
    if (joins) last.text = String(last.text) + String(written.text);
    else parts.push(written);
    if (part.part.case === "text") grounding.add(part.annotations, { text: part.part.value, base, part: parts.length - 1 });
    before = part;
  }
  const content: WritableObject = { parts: parts.length === 0 ? undefined : parts, role: "model" };
  const candidate = writeCandidate(content, finished, index, grounding.metadata(), extrasJson);
  candidate.logprobsResult ??= writeLogprobs((message?.parts ?? []).flatMap(({ logprobs }) => logprobs));
  return candidate;
}

function isPlainText({ part, signature, extrasJson }: Part): boolean {
  return (part.case === "text" || part.case === "refusal") && signature === undefined && extrasJson[formatName] === undefined;
}
