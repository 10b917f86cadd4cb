/** A folded answer as a `response` object: the one that the last event of its stream would hold. */
import { BlockKind, type CompleteResponse, type Part } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { AnswerFacts, DialectRequest } from "../../core/dialect.ts";
import { writeJson } from "../../core/json.ts";
import { writeLogprobs } from "../../core/openai-logprobs.ts";
import { codePoints, writeAnnotation } from "./annotations.ts";
import { answerHead, incompleteReason, writeAnswer } from "./answer-object.ts";
import { type Opening, OutputItems, writeItem } from "./output-items.ts";
import { type ResponsesRendering, renderingOf } from "./rendering.ts";
import { format } from "./wire.ts";

/** JSON text. */
export function writeResponse(response: CompleteResponse, facts: AnswerFacts, request: DialectRequest): string {
  const rendering = renderingOf(request);
  const items = new OutputItems({ generationId: facts.generationId, keeps: !rendering.isStored });
  const [candidate] = response.candidates;
  for (const part of candidate?.message?.parts ?? []) addPart(items, part, rendering);
  const reason = incompleteReason(candidate?.finished, hasRefusal(items));
  const last = items.all.at(-1);
  if (reason === "max_output_tokens" && last !== undefined) last.isIncomplete = true;
  const content = {
    status: reason === undefined ? "completed" : "incomplete",
    output: items.all.map(writeItem),
    usage: response.usage ?? response.settled?.usage,
    incompleteReason: reason,
    extras: [candidate?.extrasJson[format], response.extrasJson[format]],
  } as const;
  return writeJson(writeAnswer(answerHead(response.started, facts, request), content, request));
}

export function hasRefusal({ all }: OutputItems): boolean {
  return all.some(({ contents }) => contents.some(({ isRefusal }) => isRefusal));
}

const kinds: Readonly<Record<string, BlockKind>> = {
  text: BlockKind.TEXT,
  refusal: BlockKind.REFUSAL,
  reasoning: BlockKind.REASONING,
  toolCall: BlockKind.TOOL_CALL,
  image: BlockKind.IMAGE,
  opaque: BlockKind.OPAQUE,
};

function addPart(items: OutputItems, part: Part, rendering: ResponsesRendering): void {
  const { case: kind, value } = part.part;
  const opening: Opening = {
    kind: kinds[kind ?? ""] ?? BlockKind.UNSPECIFIED,
    id: part.id,
    toolCall: kind === "toolCall" ? value : undefined,
    opaque: kind === "opaque" ? value : undefined,
    extras: part.extrasJson[format],
  };
  // An image that is only known by its address has no form here.
  if (kind === "image" && value.source.case !== "data") return;
  const item = items.open(opening)?.item;
  if (item === undefined) return;
  switch (kind) {
    case "text":
    case "refusal": {
      const content = item.contents.at(-1);
      if (content === undefined) break;
      content.text = value;
      const length = codePoints(value);
      for (const annotation of part.annotations) {
        const written = writeAnnotation(annotation, length);
        if (written !== undefined) content.annotations.push(written);
      }
      content.logprobs.push(...writeLogprobs(part.logprobs));
      break;
    }
    case "reasoning":
      item.signature = part.signature;
      if (value.redacted) items.markRedacted(item);
      if (rendering.summarizes && value.text !== "") item.summaries.push(value.text, ...value.summaries);
      else {
        item.summaries.push(...value.summaries);
        item.text = value.text;
        item.hasText = value.text !== "";
      }
      break;
    case "toolCall":
      item.text = item.type === "custom_tool_call" ? value.inputText : value.argumentsJson || "{}";
      break;
    case "image":
      if (value.source.case === "data") item.image = Buffer.from(value.source.value).toString("base64");
      break;
    default:
      break;
  }
}
