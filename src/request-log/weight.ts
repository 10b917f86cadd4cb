/** About how many bytes a call that is over keeps in memory until it is written. */
import type { Part } from "../../gen/dragoman/v1/generate_pb.ts";
import type { EndedCall } from "./recorder.ts";

const recordBytes = 2_048;
const bytesPerCharacter = 2;
const partBytes = 256;

/** Without walking into texts: their lengths are known. */
export function weightOf({ request, retention, seen }: EndedCall): number {
  if (request === undefined || retention === "none") return recordBytes;
  let weight = recordBytes + bytesPerCharacter * (seen.text.length + seen.answerLength);
  if (request.$typeName === "dragoman.v1.EmbedRequest") {
    for (const { input } of request.inputs) weight += input.case === "text" ? bytesPerCharacter * input.value.length : partBytes;
    return weight;
  }
  for (const { parts } of request.messages) for (const part of parts) weight += weightOfPart(part);
  return weight;
}

function weightOfPart({ part }: Part): number {
  switch (part.case) {
    case "text":
    case "refusal":
      return partBytes + bytesPerCharacter * part.value.length;
    case "toolCall":
      return partBytes + bytesPerCharacter * part.value.argumentsJson.length;
    case "toolResult":
      return part.value.content.reduce(
        (sum, inner) => sum + weightOfPart(inner),
        partBytes + bytesPerCharacter * part.value.resultJson.length,
      );
    case "image":
    case "audio":
    case "video":
    case "file":
      return partBytes + (part.value.source.case === "data" ? part.value.source.value.length : 0);
    default:
      return partBytes;
  }
}
