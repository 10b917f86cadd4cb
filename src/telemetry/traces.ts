/**
 * Traces by OpenTelemetry, whose packages are optional and loaded only where traces are asked for. Spans are made by hand
 * and nothing is registered globally, so the packages change nothing else in the process.
 */
import type { Sampler, SpanExporter } from "@opentelemetry/sdk-trace";
import type { Logger } from "../core/log.ts";
import { StartError } from "../core/start-error.ts";
import type { Tracing } from "../core/tracing.ts";
import { type OtelSettings, readOtelSettings } from "./otel-settings.ts";
import { OtelCallSpan, type SpanOptions } from "./spans.ts";

export interface TracesOptions extends Pick<SpanOptions, "typeOf" | "originOf"> {
  /** Undefined: as the environment says. */
  readonly enabled?: boolean | undefined;
  /** Of OTLP over HTTP; undefined: as the environment says. */
  readonly endpoint?: string | undefined;
  readonly content: boolean;
  readonly env: NodeJS.ProcessEnv;
  readonly version: string;
  readonly log: Logger;
}

export interface Traces extends Tracing {
  /** Sends what is left, and gives up after 2 seconds. Never throws. */
  close(): Promise<void>;
}

type SdkTrace = typeof import("@opentelemetry/sdk-trace");

const flushMs = 2_000;
const protocols: ReadonlySet<string> = new Set(["http/protobuf"]);

/** Undefined where calls are not traced. Throws StartError where the configuration asks for what cannot be. */
export async function openTraces(options: TracesOptions): Promise<Traces | undefined> {
  const settings = readOtelSettings(options.env, options.endpoint);
  const isConfigured = options.enabled === true || (options.enabled === undefined && options.endpoint !== undefined);
  if (options.enabled === false || settings.isDisabled || !(isConfigured || settings.isAsked)) return undefined;
  const refuse = (message: string): undefined => {
    if (isConfigured) throw new StartError(message);
    options.log.warn("calls are not traced", { reason: message });
    return undefined;
  };
  if (!protocols.has(settings.protocol))
    return refuse(`spans are sent by http/protobuf, not by ${settings.protocol}; set OTEL_EXPORTER_OTLP_PROTOCOL`);
  const packages = await loadPackages();
  return packages === undefined
    ? refuse("traces need the packages @opentelemetry/api, sdk-trace, resources and exporter-trace-otlp-proto; install them")
    : startTraces(packages, settings, options);
}

async function loadPackages() {
  try {
    const [api, sdk, resources, exporter] = await Promise.all([
      import("@opentelemetry/api"),
      import("@opentelemetry/sdk-trace"),
      import("@opentelemetry/resources"),
      import("@opentelemetry/exporter-trace-otlp-proto"),
    ]);
    return { api, sdk, resources, exporter };
  } catch (thrown) {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ERR_MODULE_NOT_FOUND") return undefined;
    throw thrown;
  }
}

function startTraces(
  { api, sdk, resources, exporter }: NonNullable<Awaited<ReturnType<typeof loadPackages>>>,
  settings: OtelSettings,
  { typeOf, originOf, content, version, log }: TracesOptions,
): Traces {
  const { url, headers, timeoutMs, isCompressed, batch } = settings;
  const compression = isCompressed ? { compression: "gzip" as NonNullable<ExporterConfig["compression"]> } : {};
  const sender = reportChanges(
    new exporter.OTLPTraceExporter({ url, headers: { ...headers }, timeoutMillis: timeoutMs, ...compression }),
    log,
  );
  const provider = new sdk.TracerProvider({
    resource: resources.resourceFromAttributes({ "service.version": version, ...settings.resource }),
    sampler: createSampler(settings.sampler, sdk),
    spanProcessors: [
      new sdk.BatchSpanProcessor({
        exporter: sender,
        scheduledDelayMillis: batch.delayMs,
        maxQueueSize: batch.maxQueue,
        maxExportBatchSize: Math.min(batch.maxBatch, batch.maxQueue),
        exportTimeoutMillis: batch.timeoutMs,
      }),
    ],
  });
  const tracer = provider.getTracer("dragoman", version);
  const spanOptions: SpanOptions = { api, tracer, typeOf, originOf, content: content || settings.content };
  return {
    startCall: (call) => new OtelCallSpan(call, spanOptions),
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const tooLate = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, flushMs);
      });
      // A failure to send has been logged.
      await Promise.race([provider.shutdown().catch(() => undefined), tooLate]);
      clearTimeout(timer);
    },
  };
}

type ExporterConfig = NonNullable<ConstructorParameters<typeof import("@opentelemetry/exporter-trace-otlp-proto").OTLPTraceExporter>[0]>;

/** The standard names; an unknown one is the default, as the specification has it. */
function createSampler({ name, ratio }: OtelSettings["sampler"], sdk: SdkTrace): Sampler {
  const root = name.endsWith("always_off")
    ? new sdk.AlwaysOffSampler()
    : name.endsWith("traceidratio")
      ? new sdk.TraceIdRatioBasedSampler(ratio)
      : new sdk.AlwaysOnSampler();
  const isRootOnly = name === "always_on" || name === "always_off" || name === "traceidratio";
  return isRootOnly ? root : new sdk.ParentBasedSampler({ root });
}

/** One line when spans begin to get lost and one when they arrive again, none for each of them. */
function reportChanges(exporter: SpanExporter, log: Logger): SpanExporter {
  let isFailing = false;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        const failed = result.code !== 0;
        if (failed && !isFailing) log.warn("spans cannot be sent", { error: result.error });
        if (!failed && isFailing) log.info("spans are sent again");
        isFailing = failed;
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}
