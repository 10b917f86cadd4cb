/** How much is taken in: calls at once, and the JSON of one. */
import { z } from "zod";
import { count } from "../field.ts";

const share = z.number().gt(0, "must be more than 0").max(1, "is a share of the heap: at most 1");

const overload = z.strictObject({
  event_loop_ms: count(0, 60_000)
    .default(200)
    .describe("Calls are refused while one in a hundred waits longer than this for its turn in the process; 0: never"),
  shed_heap: share.default(0.85).describe("Calls are refused from this share of the process's memory limit (--max-old-space-size) on"),
  restart_heap: share
    .default(0.95)
    .describe("From this share on the process lets its calls finish and ends, to be started again; 1: never"),
});

export const admission = z.strictObject({
  max_queue: count(0, 1_000_000).default(4_096).describe("Most calls of one model in flight"),
  overload: overload.prefault({}).describe("When the process has too much to do"),
});

export const json = z.strictObject({
  max_depth: count(1, 10_000).default(64).describe("Deepest nesting of a request's JSON"),
  max_nodes: count(10, 100_000_000).default(200_000).describe("Most values in a request's JSON"),
});
