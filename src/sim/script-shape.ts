/** What a script may hold as JSON. */
import { faultNames } from "./faults.ts";
import { finishWords } from "./script.ts";
import { either, flag, integer, list, number, object, required, string, word } from "./shape.ts";

const milliseconds = integer(0, 3_600_000);
const call = object({
  name: required(string({ min: 1 })),
  arguments: either(string(), object({}, { open: true })),
  id: string({ min: 1 }),
});
const step = object({
  text: string(),
  reasoning: string(),
  refusal: string(),
  citations: list(
    object({
      url: required(string({ min: 1 })),
      title: required(string()),
      start: required(integer(0, 1_000_000)),
      end: required(integer(0, 1_000_000)),
    }),
    1,
    100,
  ),
  new_block: flag,
  signature: either(string({ min: 1 }), flag),
  redacted: flag,
  tool_call: call,
  parallel: list(object({ tool_call: required(call) }), 1, 128),
  delay_ms: milliseconds,
  error: object({
    status: required(integer(400, 599)),
    type: string(),
    code: string(),
    message: string(),
    retry_after: either(number(), string()),
  }),
  fault: word(...faultNames),
  flood_bytes: integer(1, 1 << 30),
  bytes: integer(0, 1 << 30),
  count: integer(1, 1_000_000),
  interval_ms: integer(0, 60_000),
  status: integer(300, 399),
  location: string(),
  retry_after: either(number(), string()),
});
const steps = list(step, 0, 100_000);
const finish = word(...finishWords);
const count = integer(0, 1_000_000_000);
const answer = {
  steps,
  candidates: list(object({ steps: required(steps), finish }), 1, 128),
  finish,
  usage: object({
    input_tokens: count,
    output_tokens: count,
    cache_read_tokens: count,
    cache_write_tokens: count,
    reasoning_tokens: count,
  }),
  ttft_ms: milliseconds,
  tokens_per_second: number(0, 1_000_000),
  n: integer(1, 128),
  delta_size: integer(1, 1_000_000),
};
const attempts = list(object(answer), 1, 100);
/** A whole script. */
export const scriptShape = object({ ...answer, attempts, turns: list(object({ ...answer, attempts }), 1, 1000), id: string() });
