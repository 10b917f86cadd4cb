/** At most four cache markers reach a target: which ones go (contract.md 3.2, cache). */
import { type GenerateRequest, type Part, Role, type Tool } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { TranslationReport } from "../../core/translation.ts";

const maxMarkers = 4;

interface Marked {
  readonly path: string;
  readonly owner: Part | Tool;
  readonly isSystem: boolean;
}

/**
 * The parts and tools whose markers are written; the others are reported. The last of the tools and the last of the
 * system messages stand for the longest stable prefixes, then the latest of the rest. `onTools`: tools can carry one.
 */
export function chooseCacheMarkers(request: GenerateRequest, onTools: boolean, report: TranslationReport): ReadonlySet<object> {
  const tools = request.tools.flatMap((tool, index) =>
    tool.cache === undefined ? [] : [{ path: `tools[${index}].cache`, owner: tool, isSystem: false }],
  );
  const parts = request.messages.flatMap((message, index) => {
    const isSystem = message.role === Role.SYSTEM || message.role === Role.DEVELOPER;
    return message.parts.flatMap((part, at) => markedParts(part, `messages[${index}].parts[${at}]`, isSystem));
  });
  for (const { path } of parts.filter(({ owner }) => !canCarry(owner))) report.dropped(path, "the target cannot mark this kind of part");
  const carried = parts.filter(({ owner }) => canCarry(owner));
  if (!onTools) for (const { path } of tools.splice(0)) report.dropped(path, "the target has no cache markers on tools");
  const ranked: Marked[] = [];
  for (const first of [tools.at(-1), carried.findLast(({ isSystem }) => isSystem)]) if (first !== undefined) ranked.push(first);
  for (const marked of [...tools, ...carried].reverse()) if (!ranked.includes(marked)) ranked.push(marked);
  for (const { path } of ranked.slice(maxMarkers)) report.dropped(path, `the target takes ${maxMarkers} cache markers`);
  return new Set(ranked.slice(0, maxMarkers).map(({ owner }) => owner));
}

/** A marker on a result counts for its content, which is what Chat can mark. */
function markedParts(part: Part, path: string, isSystem: boolean): Marked[] {
  const own = part.cache === undefined ? [] : [{ path: `${path}.cache`, owner: part, isSystem }];
  if (part.part.case !== "toolResult") return own;
  const inner = part.part.value.content.flatMap((content, at) => markedParts(content, `${path}.tool_result.content[${at}]`, false));
  return [...inner, ...own];
}

const carriers: ReadonlySet<string | undefined> = new Set(["text", "image", "audio", "file", "toolResult"]);

function canCarry(owner: Part | Tool): boolean {
  return owner.$typeName === "dragoman.v1.Tool" || carriers.has(owner.part.case);
}
