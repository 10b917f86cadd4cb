/** Places in the core request in the words of a generateContent request. */
import type { ReadMessage } from "./read-contents.ts";

/** How the core's messages and tools lie in the client's body. */
export interface Layout {
  /** In the order of the core's messages: the system instruction is the first of them. */
  readonly contents: readonly Pick<ReadMessage, "path" | "hasParts">[];
  /** Paths of the core's tools, in their order. */
  readonly tools: readonly string[];
}

const topLevel: Readonly<Record<string, string>> = {
  messages: "contents",
  sampling: "generationConfig",
  "sampling.stop": "generationConfig.stopSequences",
  "sampling.logprobs": "generationConfig.responseLogprobs",
  "sampling.top_logprobs": "generationConfig.logprobs",
  output_format: "generationConfig.responseMimeType",
  "output_format.schema_json": "generationConfig.responseJsonSchema",
  "output_format.modalities": "generationConfig.responseModalities",
  "output_format.audio": "generationConfig.speechConfig",
  reasoning: "generationConfig.thinkingConfig",
  "reasoning.mode": "generationConfig.thinkingConfig.thinkingBudget",
  "reasoning.budget_tokens": "generationConfig.thinkingConfig.thinkingBudget",
  "reasoning.effort": "generationConfig.thinkingConfig.thinkingLevel",
  "reasoning.display": "generationConfig.thinkingConfig.includeThoughts",
  tool_choice: "toolConfig.functionCallingConfig",
  "tool_choice.mode": "toolConfig.functionCallingConfig.mode",
  "tool_choice.tool_name": "toolConfig.functionCallingConfig.allowedFunctionNames",
  "tool_choice.allowed_tools": "toolConfig.functionCallingConfig.allowedFunctionNames",
  cache: "cachedContent",
  server_state: "store",
  service_tier: "serviceTier",
  metadata: "labels",
};

/** What follows a part, by its beginning; the longest first. */
const partMembers: readonly (readonly [RegExp, string])[] = [
  [/^\.(?:image|audio|video|file)\.detail$/, ".mediaResolution"],
  [/^\.(?:image|audio|video|file)(?=\.|$)/, ""],
  [/^\.signature/, ".thoughtSignature"],
  [/^\.reasoning(?:\.text)?$/, ".text"],
  [/^\.(?:tool_call\.)?arguments_json$/, ".functionCall.args"],
  [/^\.tool_call(?=\.|$)/, ".functionCall"],
  [/^\.tool_result\.tool_call_id$/, ".functionResponse.id"],
  [/^\.tool_result\.result_json$/, ".functionResponse.response"],
  [/^\.tool_result\.is_error$/, ".functionResponse.response.error"],
  [/^\.tool_result\.content(?:\[\d+\])?/, ".functionResponse"],
  [/^\.tool_result(?=\.|$)/, ".functionResponse"],
  [/^\.opaque(?:\.data_json)?$/, ""],
];

const toolMembers: Readonly<Record<string, string>> = {
  "function.parameters_json": "parametersJsonSchema",
  "function.result_schema_json": "responseJsonSchema",
};

const plain: Layout = { contents: [], tools: [] };

/** For errors and notes about one request. */
export function createClientPath(layout: Layout): (path: string) => string {
  return (path) => writePath(path, layout);
}

/** For requests that are not at hand: as if there were no system instruction. The path itself where the API has no other word. */
export function clientPath(path: string): string {
  return writePath(path, plain);
}

function writePath(path: string, layout: Layout): string {
  const message = /^messages\[(\d+)\](?:\.parts\[(\d+)\])?(.*)$/.exec(path);
  if (message !== null) {
    const [, index = "", part, member = ""] = message;
    const content = layout.contents[Number(index)] ?? { path: `contents[${index}]`, hasParts: true };
    if (part === undefined) return content.path + member;
    const place = content.hasParts ? `${content.path}.parts[${part}]` : `${content.path}.parts`;
    const known = partMembers.find(([beginning]) => beginning.test(member));
    return place + (known === undefined ? member : member.replace(...known));
  }
  const tool = /^tools\[(\d+)\](?:\.(.*))?$/.exec(path);
  if (tool !== null) {
    const [, index = "", member = ""] = tool;
    const known = toolMembers[member] ?? member.replace(/^(?:function|hosted)(?:\.config_json)?(?:\.|$)/, "");
    return `${layout.tools[Number(index)] ?? `tools[${index}]`}${known === "" ? "" : `.${known}`}`;
  }
  const known = topLevel[path];
  if (known !== undefined) return known;
  const owner = path.split(/[.[]/, 1)[0] ?? path;
  if (owner === "sampling")
    return `generationConfig.${path.slice(owner.length + 1).replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())}`;
  return topLevel[owner] ?? path;
}
