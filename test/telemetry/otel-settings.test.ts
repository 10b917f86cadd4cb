import { describe, expect, test } from "vitest";
import { readOtelSettings } from "../../src/telemetry/otel-settings.ts";

describe("OTEL_* variables", () => {
  test("nothing said, nothing asked for", () => {
    expect(readOtelSettings({}, undefined)).toMatchObject({
      isAsked: false,
      isDisabled: false,
      url: "http://localhost:4318/v1/traces",
      resource: { "service.name": "dragoman" },
      sampler: { name: "parentbased_always_on", ratio: 1 },
      content: false,
    });
  });

  test.each([
    ["a base", { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c:4318/" }, undefined, "http://c:4318/v1/traces"],
    [
      "the traces' own, as it stands",
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://t/x" },
      undefined,
      "http://t/x",
    ],
    ["the configured one, which wins", { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://t/x" }, "http://mine:1", "http://mine:1/v1/traces"],
  ])("the address: %s", (_, env, endpoint, url) => {
    expect(readOtelSettings(env, endpoint)).toMatchObject({ url, isAsked: true });
  });

  test.each([{ OTEL_SDK_DISABLED: "TRUE" }, { OTEL_TRACES_EXPORTER: "none" }])("switched off: %o", (env) => {
    expect(readOtelSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://c", ...env }, undefined).isDisabled).toBe(true);
  });

  test("names, headers, sampler and batches", () => {
    const env = {
      OTEL_SERVICE_NAME: "front",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment=prod,service.name=lost,team=a%20b",
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20x",
      OTEL_TRACES_SAMPLER: "traceidratio",
      OTEL_TRACES_SAMPLER_ARG: "0.25",
      OTEL_BSP_SCHEDULE_DELAY: "100",
      OTEL_BSP_MAX_QUEUE_SIZE: "many",
    };
    expect(readOtelSettings(env, undefined)).toMatchObject({
      resource: { "service.name": "front", "deployment.environment": "prod", team: "a b" },
      headers: { authorization: "Bearer x" },
      sampler: { name: "traceidratio", ratio: 0.25 },
      batch: { delayMs: 100, maxQueue: 2_048 },
    });
  });
});
