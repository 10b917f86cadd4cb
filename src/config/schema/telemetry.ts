/** What the gateway tells about itself. */
import { z } from "zod";
import { baseUrl, count } from "../field.ts";

export const telemetry = z.strictObject({
  public: z.boolean().default(false).describe("Whether /metrics and /statsz also answer on a data port that other machines can reach"),
  metrics: z
    .strictObject({
      enabled: z.boolean().default(true).describe("Whether anything is counted; without it there is no /metrics and no /statsz"),
      max_models: count(1, 10_000).default(200).describe("Most models that have series of their own; the others are counted as `other`"),
    })
    .prefault({})
    .describe("Counts and latencies"),
  traces: z
    .strictObject({
      enabled: z
        .boolean()
        .optional()
        .describe("Whether calls are traced; by default exactly when OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_TRACES_EXPORTER asks for it"),
      endpoint: baseUrl
        .optional()
        .describe("Where spans are sent by OTLP over HTTP, as in http://localhost:4318; by default as OTEL_* says"),
      content: z
        .boolean()
        .default(false)
        .describe("Whether spans hold what clients and models said, credentials taken out; never without asking them"),
    })
    .prefault({})
    .describe("OpenTelemetry spans; their packages are optional"),
});
