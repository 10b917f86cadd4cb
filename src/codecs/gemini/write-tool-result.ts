/** What a tool answered, as a `functionResponse`: always an object, with `output` or `error` where the result is none. */
import type { Part, ToolResult } from "../../../gen/dragoman/v1/generate_pb.ts";
import { invalidField } from "../../core/error.ts";
import { reportForeignExtras } from "../../core/extras.ts";
import { isJsonObject, mergeExtras, RawJson, tryParseJson, type Writable, type WritableObject } from "../../core/json.ts";
import { formatName, madeIdPrefix } from "./wire.ts";
import type { WriteContext } from "./write-context.ts";
import { writeMedia } from "./write-media.ts";

export interface FunctionResponse {
  readonly functionResponse: WritableObject;
  /** Media that the model takes only after all results. */
  readonly after: readonly WritableObject[];
}

export function writeToolResult(result: ToolResult, path: string, context: WriteContext): FunctionResponse {
  const { quirks, state, target, report } = context;
  const texts: string[] = [];
  const media: WritableObject[] = [];
  result.content.forEach((part, index) => {
    const contentPath = `${path}.tool_result.content[${index}]`;
    const text = readText(part);
    if (text !== undefined) texts.push(text);
    else media.push(...writeContent(part, contentPath, context));
    reportForeignExtras(part.extrasJson, formatName, contentPath, report);
    if (part.cache !== undefined) report.dropped(`${contentPath}.cache`, "prefixes are cached without markers");
  });
  const takesMedia = target.traits.toolResultImages !== false;
  if (media.length > 0 && !takesMedia) report.emulated(`${path}.tool_result.content`, "media in the user message, after the results");
  if (result.resultJson !== "" && texts.length > 0) report.dropped(`${path}.tool_result.content`, "the result is one JSON value");
  const { toolCallId: id } = result;
  const sentId = quirks.toolCallIds === false || id.startsWith(madeIdPrefix) || id === "" ? undefined : id;
  const functionResponse: WritableObject = {
    id: sentId,
    name: state.legalName(result.name),
    response: writeResponse(result, texts.join("\n"), path),
    parts: takesMedia && media.length > 0 ? media : undefined,
  };
  return { functionResponse, after: takesMedia ? [] : media };
}

function readText({ part }: Part): string | undefined {
  return part.case === "text" || part.case === "refusal" ? part.value : undefined;
}

function writeContent({ part, extrasJson }: Part, path: string, context: WriteContext): WritableObject[] {
  switch (part.case) {
    case "image":
    case "audio":
    case "video":
    case "file": {
      const written = writeMedia(part.value, part.case, path, context);
      if (written === undefined) return [];
      mergeExtras(written, extrasJson[formatName]);
      return [written];
    }
    default:
      context.report.dropped(path, "a result holds text and media");
      return [];
  }
}

function writeResponse({ resultJson, isError }: ToolResult, text: string, path: string): Writable {
  const value = resultJson === "" ? tryParseJson(text) : tryParseJson(resultJson);
  if (resultJson !== "" && value === undefined) throw invalidField(`${path}.tool_result.result_json`, "must be JSON text of one value");
  const isObject = isJsonObject(value);
  const written: Writable = isObject || resultJson !== "" ? new RawJson(resultJson === "" ? text : resultJson) : text;
  if (isError) return isObject && Object.hasOwn(value, "error") ? written : { error: written };
  return isObject ? written : { output: written };
}
