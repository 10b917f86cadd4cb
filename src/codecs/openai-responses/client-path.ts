/** Places in the core request in the words of a Responses request. */
import { itemExtras } from "./wire.ts";

const topLevel: Readonly<Record<string, string>> = {
  messages: "input",
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

/** What follows a part, by its beginning. */
const partMembers: readonly (readonly [RegExp, string])[] = [
  [/^\.cache\.ttl_seconds$/, ".prompt_cache_breakpoint.ttl"],
  [/^\.cache/, ".prompt_cache_breakpoint"],
  [/^\.image\.detail$/, ".detail"],
  [/^\.image\.provider_file/, ".file_id"],
  [/^\.image/, ".image_url"],
  [/^\.file\.provider_file/, ".file_id"],
  [/^\.file\.filename/, ".filename"],
  [/^\.file/, ".file_data"],
  [/^\.audio/, ".input_audio"],
  [/^\.signature/, ".encrypted_content"],
  [/^\.tool_call\.arguments_json$/, ".arguments"],
  [/^\.tool_call\.input_text$/, ".input"],
  [/^\.tool_call(?!_)/, ""],
  [/^\.tool_result\.tool_call_id$/, ".call_id"],
  [/^\.reasoning|^\.tool_result\.is_error|^\.opaque/, ""],
];

/** `places`: where each part of each message of the request stood. Several input items may be one message of the core. */
export function placeInInput(path: string, places: readonly (readonly string[])[]): string {
  const found = /^messages\[(\d+)\](?:\.parts\[(\d+)\])?(.*)$/.exec(path);
  const parts = found === null ? undefined : places[Number(found[1])];
  if (found === null || parts === undefined) return clientPath(path);
  const [, , part, rest = ""] = found;
  // Of a whole message, the item it came in: parts stand in its content.
  if (part === undefined) return (parts[0] ?? path).replace(/\.content(?:\[\d+\])?$/, "") + rest;
  const place = parts[Number(part)];
  return place === undefined ? clientPath(path) : place + memberOfPart(rest);
}

function memberOfPart(rest: string): string {
  const inner = /^\.tool_result\.content(\[\d+\])(.*)$/.exec(rest);
  if (inner !== null) return `.output${inner[1]}${memberOfPart(inner[2] ?? "")}`;
  for (const [member, written] of partMembers) if (member.test(rest)) return written;
  // Unknown fields of a message item stand under a name of ours.
  return rest.startsWith(`.${itemExtras}`) ? "" : rest;
}

/** The path itself where Responses has no other word for it; messages as the core numbers them. */
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
