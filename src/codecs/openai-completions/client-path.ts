/** Places in the core request in the words of a completion request. */
const names: Readonly<Record<string, string>> = {
  "sampling.max_output_tokens": "max_tokens",
  "sampling.candidate_count": "n",
  "sampling.top_logprobs": "logprobs",
  "attribution.end_user_id": "user",
};

/** The path itself where completions have no other word for it. `prompt` is where the prompt stands. */
export function clientPath(path: string, prompt = "prompt"): string {
  const known = names[path];
  if (known !== undefined) return known;
  if (/^messages\b/.test(path)) return prompt;
  return path.replace(/^sampling\./, "");
}
