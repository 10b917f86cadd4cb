/** How much is taken in: calls at once, and the JSON of one. */
import { z } from "zod";
import { count } from "../field.ts";

export const admission = z.strictObject({
  max_queue: count(0, 1_000_000).default(4_096).describe("Most calls of one model in flight"),
});

export const json = z.strictObject({
  max_depth: count(1, 10_000).default(64).describe("Deepest nesting of a request's JSON"),
  max_nodes: count(10, 100_000_000).default(200_000).describe("Most values in a request's JSON"),
});
