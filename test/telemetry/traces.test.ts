import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { AttemptSchema } from "../../gen/dragoman/v1/usage_pb.ts";
import { silentLog } from "../../src/core/log.ts";
import { StartError } from "../../src/core/start-error.ts";
import { traceFields } from "../../src/core/tracing.ts";
import { openTraces, type TracesOptions } from "../../src/telemetry/traces.ts";

function options(more: Partial<TracesOptions> = {}, warnings: unknown[] = []): TracesOptions {
  const log = { ...silentLog, warn: (_: string, fields?: object) => void warnings.push(fields) };
  return { content: false, env: {}, version: "1.2.3", typeOf: () => undefined, originOf: () => undefined, log, ...more };
}

const asked = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9" };
const traceId = "0af7651916cd43dd8448eb211c80319c";
const call = {
  requestId: "r",
  operation: "generate",
  surface: "v1",
  dialect: "openai-chat",
  path: "/v1/chat/completions",
  sessionId: "",
  context: { traceparent: "", tracestate: "" },
};

describe("whether calls are traced", () => {
  test.each([
    ["nobody asks", {}],
    ["the environment switches it off", { env: { ...asked, OTEL_SDK_DISABLED: "true" } }],
    ["the configuration switches it off", { env: asked, enabled: false }],
  ])("not where %s", async (_, more) => {
    expect(await openTraces(options(more))).toBeUndefined();
  });

  test("a transport that is not there is told: by a warning, or by no start where it was configured", async () => {
    const env = { ...asked, OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" };
    const warnings: unknown[] = [];
    expect(await openTraces(options({ env }, warnings))).toBeUndefined();
    expect(warnings).toEqual([{ reason: expect.stringContaining("OTEL_EXPORTER_OTLP_PROTOCOL") }]);
    await expect(openTraces(options({ env, enabled: true }))).rejects.toThrow(StartError);
  });
});

describe("samplers", () => {
  const remote = (flags: string) => ({ ...call, context: { traceparent: `00-${traceId}-b7ad6b7169203331-${flags}`, tracestate: "" } });

  test.each([
    ["always_off", undefined, call, "00"],
    ["always_on", undefined, remote("00"), "01"],
    ["parentbased_always_on", undefined, remote("00"), "00"],
    ["parentbased_always_off", undefined, remote("01"), "01"],
    ["parentbased_always_off", undefined, call, "00"],
    ["traceidratio", "0", remote("01"), "00"],
    ["parentbased_traceidratio", "0", remote("01"), "01"],
    ["not_a_sampler", undefined, call, "01"],
  ])("%s %s", async (name, share, traced, flags) => {
    const env = { ...asked, OTEL_TRACES_SAMPLER: name, ...(share === undefined ? {} : { OTEL_TRACES_SAMPLER_ARG: share }) };
    const traces = await openTraces(options({ env }));
    const span = traces?.startCall(traced);
    expect(span?.traceparent).toMatch(new RegExp(`^00-[0-9a-f]{32}-[0-9a-f]{16}-${flags}$`));
    if (traced !== call) expect(traceFields({ traceparent: span?.traceparent ?? "" }).trace_id).toBe(traceId);
    // Nothing was sampled that would have to be sent.
    span?.startAttempt(create(AttemptSchema), { id: "p/m", provider: "p", model: "m", traits: {} });
    await traces?.close();
  });
});

test("ids for the log", () => {
  expect(traceFields({ traceparent: `00-${traceId}-b7ad6b7169203331-01` })).toEqual({ trace_id: traceId, span_id: "b7ad6b7169203331" });
  expect(traceFields({ traceparent: "" })).toEqual({});
});
