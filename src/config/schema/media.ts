/** Fetching what clients name by URL. */
import { z } from "zod";
import { count, hostAndPort, seconds } from "../field.ts";

export const media = z.strictObject({
  fetch: z.boolean().default(false).describe("Whether media that clients name by URL is fetched for providers that take only data"),
  max_bytes: count(1_024, 1_073_741_824).default(10_485_760).describe("Largest file that is fetched"),
  timeout_seconds: seconds(0.05, 600).default(10).describe("Longest fetch of one file"),
  max_per_request: count(1, 1_000).default(10).describe("Most addresses of one request"),
  private_hosts: z
    .array(hostAndPort)
    .default([])
    .describe("Hosts with ports, as in images.local:8000, that are asked although they are inside; all others must be public"),
});
