/** Places in the core request in the words of a chat completion request. */

const topLevel: Readonly<Record<string, string>> = {
  "sampling.max_output_tokens": "max_completion_tokens",
  "sampling.candidate_count": "n",
  "tool_choice.parallel": "parallel_tool_calls",
  "tool_choice.mode": "tool_choice",
  "tool_choice.tool_name": "tool_choice",
  "tool_choice.allowed_tools": "tool_choice.allowed_tools",
  output_format: "response_format",
  "output_format.kind": "response_format.type",
  "output_format.schema_json": "response_format.json_schema.schema",
  "output_format.name": "response_format.json_schema.name",
  "output_format.description": "response_format.json_schema.description",
  "output_format.strict": "response_format.json_schema.strict",
  "output_format.grammar": "response_format",
  "output_format.verbosity": "verbosity",
  "output_format.modalities": "modalities",
  "output_format.audio": "audio",
  reasoning: "reasoning_effort",
  "reasoning.effort": "reasoning_effort",
  "reasoning.mode": "reasoning_effort",
  "attribution.end_user_id": "user",
  "cache.key": "prompt_cache_key",
  "cache.ttl_seconds": "prompt_cache_options.ttl",
  "cache.automatic": "cache_control",
  "server_state.store": "store",
  server_state: "store",
};

/** What follows `messages[i].parts[j]`, by its beginning; the longest first. */
const partMembers: readonly (readonly [RegExp, (message: string, part: string) => string])[] = [
  [/^\.image\.detail$/, (message, part) => `${message}.content[${part}].image_url.detail`],
  [/^\.image/, (message, part) => `${message}.content[${part}].image_url`],
  [/^\.audio/, (message, part) => `${message}.content[${part}].input_audio`],
  [/^\.file/, (message, part) => `${message}.content[${part}].file`],
  [/^\.text$/, (message, part) => `${message}.content[${part}].text`],
  [/^\.cache/, (message, part) => `${message}.content[${part}].prompt_cache_breakpoint`],
  [/^\.reasoning/, (message) => `${message}.reasoning_content`],
  [/^\.refusal$/, (message) => `${message}.refusal`],
  [/^\.annotations/, (message) => `${message}.annotations`],
  [/^\.signature/, (message) => `${message}.tool_calls`],
  [/^\.tool_call(?!_)/, (message) => `${message}.tool_calls`],
  [/^\.tool_result\.tool_call_id$/, (message) => `${message}.tool_call_id`],
  [/^\.tool_result\.content\[(\d+)\]/, (message) => `${message}.content`],
  [/^\.tool_result/, (message) => message],
];

const toolMembers: Readonly<Record<string, string>> = {
  ".function.parameters_json": ".function.parameters",
  ".custom.grammar": ".custom.format.grammar",
  ".cache": ".cache_control",
};

/** The path itself where Chat has no other word for it. */
export function clientPath(path: string): string {
  const known = topLevel[path];
  if (known !== undefined) return known;
  const part = /^(messages\[\d+\])\.parts\[(\d+)\](.*)$/.exec(path);
  if (part !== null) {
    const [, message = "", index = "", rest = ""] = part;
    for (const [member, write] of partMembers) if (member.test(rest)) return write(message, index);
    return `${message}.content[${index}]${rest}`;
  }
  const tool = /^(tools\[\d+\])(\..*)$/.exec(path);
  if (tool !== null) return `${tool[1]}${toolMembers[tool[2] ?? ""] ?? tool[2]}`;
  const member = /^(?:sampling)\.(\w+.*)$/.exec(path);
  if (member !== null) return member[1] ?? path;
  const longest = Object.keys(topLevel).find((known) => path.startsWith(`${known}.`));
  return longest === undefined ? path : (topLevel[longest] ?? path);
}
