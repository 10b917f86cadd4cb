/** Places in the core request in the words of a messages request. */
import { isJsonObject, type JsonObject } from "../../core/json.ts";
import { betasHeader, betasMember } from "./wire.ts";

const topLevel: Readonly<Record<string, string>> = {
  "sampling.max_output_tokens": "max_tokens",
  "sampling.stop": "stop_sequences",
  "tool_choice.mode": "tool_choice.type",
  "tool_choice.tool_name": "tool_choice.name",
  "tool_choice.parallel": "tool_choice.disable_parallel_tool_use",
  output_format: "output_config.format",
  "output_format.kind": "output_config.format.type",
  "output_format.schema_json": "output_config.format.schema",
  reasoning: "thinking",
  "reasoning.mode": "thinking.type",
  "reasoning.budget_tokens": "thinking.budget_tokens",
  "reasoning.display": "thinking.display",
  "reasoning.effort": "output_config.effort",
  "attribution.end_user_id": "metadata.user_id",
  cache: "cache_control",
  "cache.automatic": "cache_control",
  "cache.ttl_seconds": "cache_control.ttl",
  [betasMember]: betasHeader,
};

/** What follows a part, by its beginning; the longest first. The kind of the part has no name of its own in a block. */
const partMembers: readonly (readonly [RegExp, string])[] = [
  [/^\.cache\.ttl_seconds$/, ".cache_control.ttl"],
  [/^\.cache$/, ".cache_control"],
  [/^(?:\.(?:image|file))?\.mime_type$/, ".source.media_type"],
  [/^\.(?:image|file)\.(?:filename|document\.title)$/, ".title"],
  [/^\.(?:image|file)\.document\.context$/, ".context"],
  [/^\.(?:image|file)\.document\.citations$/, ".citations"],
  [/^\.(?:image|file)\.document$/, ""],
  [/^\.(?:image|file)/, ".source"],
  [/^\.reasoning(?:\.text)?$/, ".thinking"],
  [/^(?:\.tool_call)?\.arguments_json$/, ".input"],
  [/^\.tool_result\.tool_call_id$/, ".tool_use_id"],
  [/^\.annotations/, ".citations"],
  [/^\.(?:tool_call|tool_result)/, ""],
  [/^\.opaque(?:\.data_json)?$/, ""],
];

const toolMembers: Readonly<Record<string, string>> = { parameters_json: "input_schema", cache: "cache_control" };

/** How the core's messages lie in the client's body. */
interface Layout {
  /** Messages of the core that the client's `system` became. */
  readonly systemMessages: number;
  /** Whether member `content` of the message (`system`, where there is no index) is one string and so has no blocks. */
  isString(index: number | undefined): boolean;
}

/** For errors and notes about this very request: the client's `system` is the core's first message. */
export function createClientPath({ system, messages }: JsonObject): (path: string) => string {
  const hasSystem = typeof system === "string" || (Array.isArray(system) && system.length > 0);
  const layout: Layout = {
    systemMessages: hasSystem ? 1 : 0,
    isString: (index) => {
      if (index === undefined) return typeof system === "string";
      const message = Array.isArray(messages) ? messages[index] : undefined;
      return isJsonObject(message) && typeof message.content === "string";
    },
  };
  return (path) => writePath(path, layout);
}

const plain: Layout = { systemMessages: 0, isString: () => false };

/** For requests that are not at hand: as if there were no system text. The path itself where the API has no other word for it. */
export function clientPath(path: string): string {
  return writePath(path, plain);
}

function writePath(path: string, layout: Layout): string {
  const message = /^messages\[(\d+)\](?:\.parts\[(\d+)\])?(.*)$/.exec(path);
  if (message !== null) return writeMessagePath(Number(message[1]), message[2], message[3] ?? "", layout);
  const tool = /^(tools\[\d+\])\.(?:(?:function|custom|hosted)(?:\.|$))?(.*)$/.exec(path);
  if (tool !== null) {
    const [, place = "", member = ""] = tool;
    if (member === "" || member === "config_json") return place;
    return `${place}.${toolMembers[member] ?? member}`;
  }
  const known = topLevel[path];
  if (known !== undefined) return known;
  const longest = Object.keys(topLevel)
    .filter((name) => path.startsWith(`${name}.`) || path.startsWith(`${name}[`))
    .sort((left, right) => right.length - left.length)[0];
  if (longest !== undefined) return `${topLevel[longest]}${path.slice(longest.length).startsWith("[") ? path.slice(longest.length) : ""}`;
  return /^sampling\.(\w+)$/.exec(path)?.[1] ?? path;
}

function writeMessagePath(message: number, part: string | undefined, member: string, layout: Layout): string {
  const isSystem = message < layout.systemMessages;
  const index = isSystem ? undefined : message - layout.systemMessages;
  const owner = index === undefined ? "system" : `messages[${index}]`;
  if (part === undefined) return owner + member;
  const content = index === undefined ? owner : `${owner}.content`;
  if (layout.isString(index)) return content;
  return writeBlockPath(`${content}[${part}]`, member);
}

function writeBlockPath(block: string, member: string): string {
  const inner = /^\.tool_result\.content\[(\d+)\](.*)$/.exec(member);
  if (inner !== null) return writeBlockPath(`${block}.content[${inner[1]}]`, inner[2] ?? "");
  const known = partMembers.find(([beginning]) => beginning.test(member));
  return block + (known === undefined ? member : known[1]);
}
