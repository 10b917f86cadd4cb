/** Where models are, where their names lead, and what is known of them. */
import { z } from "zod";
import { baseUrl, count, providerName, seconds } from "../field.ts";
import { unknownPrice } from "./limits.ts";

const routeTarget = z.strictObject({
  provider: providerName.describe("A configured provider's name"),
  model: z.string().min(1).describe("The model's name there"),
});

export const route = z.strictObject({
  strategy: z
    .enum(["fallback", "round-robin"])
    .default("round-robin")
    .describe("fallback: always the first that works; round-robin: begin with the next one every time"),
  targets: z.array(routeTarget).min(1, "is empty; name at least one target").describe("In order"),
  max_attempts: count(1, 100).default(3).describe("Most tries of one call"),
  unknown_price: unknownPrice
    .optional()
    .describe("What its models are taken to cost where their price is not known; by default as limits.unknown_price says"),
});

export const modelOverride = z.strictObject({
  context_window: count(1, 4_294_967_295).optional().describe("Tokens of input and output together"),
  max_output_tokens: count(1, 4_294_967_295).optional().describe("Most output tokens"),
  embedding_dimensions: count(1, 1_000_000).optional().describe("Length of the vectors of an embedding model"),
  sampling: z.boolean().optional().describe("Takes temperature, top_p and top_k"),
  mid_system: z.boolean().optional().describe("Takes system messages after the first user message"),
  prefill: z.boolean().optional().describe("Continues a final assistant message"),
  structured_output: z.boolean().optional().describe("Follows a JSON schema by itself"),
  tools: z.boolean().optional().describe("Calls tools"),
  vision: z.boolean().optional().describe("Takes images"),
  reasoning: z.enum(["none", "effort", "budget", "both", "adaptive"]).optional().describe("How it is told to think"),
  image_urls: z.boolean().optional().describe("Takes images by URL"),
  tool_result_images: z.boolean().optional().describe("Takes images inside tool results"),
});

const discoveredServer = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether it is looked for"),
  base_url: baseUrl.optional().describe("Where it is looked for instead of its default port"),
});

export const discovery = z.strictObject({
  enabled: z.boolean().default(true).describe("Whether local OpenAI-compatible servers are looked for at start"),
  timeout_ms: count(10, 60_000).default(500).describe("How long one of them may take to answer"),
  refresh_seconds: seconds(1, 86_400).default(300).describe("How often providers are asked for their models"),
  servers: z.record(providerName, discoveredServer).default({}).describe("What differs, by the server's name"),
});
