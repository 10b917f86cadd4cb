/** Places in the core request in the words of a Responses request. */

const topLevel: Readonly<Record<string, string>> = {
  "sampling.logprobs": "include",
  "tool_choice.parallel": "parallel_tool_calls",
  "tool_choice.mode": "tool_choice",
  "tool_choice.tool_name": "tool_choice",
  "tool_choice.allowed_tools": "tool_choice.tools",
  output_format: "text.format",
  "output_format.kind": "text.format.type",
  "output_format.schema_json": "text.format.schema",
  "output_format.name": "text.format.name",
  "output_format.description": "text.format.description",
  "output_format.strict": "text.format.strict",
  "output_format.verbosity": "text.verbosity",
  reasoning: "reasoning",
  "reasoning.effort": "reasoning.effort",
  "reasoning.mode": "reasoning.effort",
  "reasoning.display": "reasoning.summary",
  "reasoning.encrypted": "include",
  "attribution.end_user_id": "user",
  "cache.key": "prompt_cache_key",
  "cache.ttl_seconds": "prompt_cache_options.ttl",
  "server_state.store": "store",
  "server_state.previous_id": "previous_response_id",
  "server_state.conversation_id": "conversation",
  server_state: "store",
};

const toolMembers: Readonly<Record<string, string>> = {
  ".function.name": ".name",
  ".function.strict": ".strict",
  ".function.parameters_json": ".parameters",
  ".function.result_schema_json": ".output_schema",
  ".custom.grammar": ".format",
};

/**
 * The path itself where Responses has no other word for it. Messages are named as the core numbers them: several input
 * items may be one message.
 */
export function clientPath(path: string): string {
  const known = topLevel[path];
  if (known !== undefined) return known;
  const tool = /^(tools\[\d+\])(\..*)$/.exec(path);
  if (tool !== null) return `${tool[1]}${toolMembers[tool[2] ?? ""] ?? tool[2]}`;
  const member = /^sampling\.(\w+.*)$/.exec(path);
  if (member !== null) return member[1] ?? path;
  const longest = Object.keys(topLevel).find((known) => path.startsWith(`${known}.`));
  return longest === undefined ? path : (topLevel[longest] ?? path);
}
