/** At most four cache markers are written: which ones (contract.md 3.2, cache). */
import { type GenerateRequest, type Part, Role } from "../../../gen/dragoman/v1/generate_pb.ts";
import type { TranslationReport } from "../../core/translation.ts";

const maxMarkers = 4;

interface Marked {
  readonly path: string;
  readonly part: Part;
  readonly isSystem: boolean;
}

const carriers: ReadonlySet<string | undefined> = new Set(["text", "image", "file", "toolResult"]);

/**
 * The parts whose markers are written; the others are reported. The last of the system messages stands for the longest
 * stable prefix, then the latest of the rest.
 */
export function chooseCacheMarkers(request: GenerateRequest, report: TranslationReport): ReadonlySet<object> {
  request.tools.forEach(({ cache }, index) => {
    if (cache !== undefined) report.dropped(`tools[${index}].cache`, "the target has no cache markers on tools");
  });
  const all = request.messages.flatMap(({ role, parts }, index) => {
    const isSystem = role === Role.SYSTEM || role === Role.DEVELOPER;
    return parts.flatMap((part, at) => markedParts(part, `messages[${index}].parts[${at}]`, isSystem, role === Role.ASSISTANT));
  });
  const carried = all.filter(({ part, path }) => {
    const can = part !== undefined;
    if (!can) report.dropped(path, "the target cannot mark this kind of part");
    return can;
  }) as Marked[];
  const first = carried.findLast(({ isSystem }) => isSystem);
  const ranked = [...(first === undefined ? [] : [first]), ...carried.filter((one) => one !== first).reverse()];
  for (const { path } of ranked.slice(maxMarkers)) report.dropped(path, `the target takes ${maxMarkers} cache markers`);
  return new Set(ranked.slice(0, maxMarkers).map(({ part }) => part));
}

/** `part` is undefined for a marker that this format cannot carry: what the model wrote has no place for one. */
function markedParts(
  part: Part,
  path: string,
  isSystem: boolean,
  isModels: boolean,
): (Omit<Marked, "part"> & { part: Part | undefined })[] {
  const can = !isModels && carriers.has(part.part.case);
  const own = part.cache === undefined ? [] : [{ path: `${path}.cache`, part: can ? part : undefined, isSystem }];
  if (part.part.case !== "toolResult") return own;
  const inner = part.part.value.content.flatMap((content, at) =>
    markedParts(content, `${path}.tool_result.content[${at}]`, false, isModels),
  );
  return [...inner, ...own];
}
