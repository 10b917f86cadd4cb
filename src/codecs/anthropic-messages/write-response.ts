/** A folded answer as a message. */
import { type CompleteResponse, type Part, ToolKind } from "../../../gen/dragoman/v1/generate_pb.ts";
import { customToolArgument } from "../../core/custom-tool.ts";
import type { AnswerFacts, DialectRequest } from "../../core/dialect.ts";
import { mergeExtras, RawJson, type Writable, type WritableObject, writeJson } from "../../core/json.ts";
import { writeAnswerCitation } from "./citations.ts";
import { writeUsage } from "./usage.ts";
import { formatName } from "./wire.ts";
import { completeFinish, writeFinish, writeHead, writeInput } from "./write-answer.ts";

/** JSON text of the first candidate: the API gives one answer. Usage is always there; counts that nobody knows are 0. */
export function writeResponse(response: CompleteResponse, facts: AnswerFacts, request: DialectRequest): string {
  const [candidate] = response.candidates;
  const written: WritableObject = {
    ...writeHead(response.started, facts, request.generate.model),
    content: (candidate?.message?.parts ?? []).flatMap((part) => writePart(part) ?? []),
    ...writeFinish(candidate?.finished),
    usage: writeUsage(response.usage ?? response.settled?.usage),
  };
  mergeExtras(written, candidate?.extrasJson[formatName]);
  mergeExtras(written, response.extrasJson[formatName]);
  completeFinish(written);
  return writeJson(written);
}

/** Undefined for what has no form here: blocks of other formats, media, and blocks that hold nothing. */
function writePart(part: Part): Writable | undefined {
  const { case: kind, value } = part.part;
  switch (kind) {
    case "text":
    case "refusal":
      return value === "" && part.annotations.length === 0 ? undefined : extend(writeText(value, part), part);
    case "reasoning": {
      const block = writeReasoning(part);
      return block === undefined ? undefined : extend(block, part);
    }
    case "toolCall": {
      const { id, name, argumentsJson, inputText } = value;
      const input = value.kind === ToolKind.CUSTOM ? { [customToolArgument]: inputText } : writeInput(argumentsJson);
      return extend({ type: "tool_use", id, name, input }, part);
    }
    case "opaque":
      return value.format === formatName ? new RawJson(value.dataJson) : undefined;
    default:
      return undefined;
  }
}

function extend(block: WritableObject, { extrasJson }: Part): WritableObject {
  mergeExtras(block, extrasJson[formatName]);
  return block;
}

function writeText(text: string, { annotations }: Part): WritableObject {
  const citations = annotations.flatMap((annotation) => writeAnswerCitation(annotation) ?? []);
  return { type: "text", text, citations: citations.length === 0 ? undefined : citations };
}

/** Whoever signed it: the client only keeps the value, and the signature store finds its issuer again. */
function writeReasoning({ part, signature }: Part): WritableObject | undefined {
  if (part.case !== "reasoning") return undefined;
  const { text, summaries, redacted } = part.value;
  const value = signature?.value ?? "";
  const thinking = [text, ...summaries].filter((section) => section !== "").join("\n\n");
  if (thinking === "" && value === "") return undefined;
  return redacted && thinking === "" ? { type: "redacted_thinking", data: value } : { type: "thinking", thinking, signature: value };
}
