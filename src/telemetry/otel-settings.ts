/** The standard variables of OpenTelemetry, as far as traces need them: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ */

export interface OtelSettings {
  /** Whether the environment asks for traces. */
  readonly isAsked: boolean;
  /** Switched off, whatever else is said. */
  readonly isDisabled: boolean;
  /** Of the traces, with their path. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly protocol: string;
  readonly isCompressed: boolean;
  readonly timeoutMs: number;
  readonly resource: Readonly<Record<string, string>>;
  /** Name of a standard sampler and its share, from 0 to 1. */
  readonly sampler: { readonly name: string; readonly ratio: number };
  readonly batch: { readonly delayMs: number; readonly maxQueue: number; readonly maxBatch: number; readonly timeoutMs: number };
  /** OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT. */
  readonly content: boolean;
}

const defaultEndpoint = "http://localhost:4318";
const tracesPath = "v1/traces";

/** `endpoint` is the configured one and wins. What is malformed counts as absent, as the specification has it. */
export function readOtelSettings(env: NodeJS.ProcessEnv, endpoint: string | undefined): OtelSettings {
  const read = (name: string): string | undefined => {
    const text = env[name]?.trim();
    return text === "" ? undefined : text;
  };
  const count = (name: string, otherwise: number): number => {
    const text = read(name);
    return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : otherwise;
  };
  const exporters = read("OTEL_TRACES_EXPORTER");
  const ofTraces = read("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
  const ofAll = read("OTEL_EXPORTER_OTLP_ENDPOINT");
  return {
    isAsked: ofTraces !== undefined || ofAll !== undefined || exporters !== undefined,
    isDisabled: read("OTEL_SDK_DISABLED")?.toLowerCase() === "true" || exporters === "none",
    url: endpoint === undefined ? (ofTraces ?? withPath(ofAll ?? defaultEndpoint)) : withPath(endpoint),
    headers: { ...readPairs(read("OTEL_EXPORTER_OTLP_HEADERS")), ...readPairs(read("OTEL_EXPORTER_OTLP_TRACES_HEADERS")) },
    protocol: read("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") ?? read("OTEL_EXPORTER_OTLP_PROTOCOL") ?? "http/protobuf",
    isCompressed: (read("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION") ?? read("OTEL_EXPORTER_OTLP_COMPRESSION")) === "gzip",
    timeoutMs: count("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", count("OTEL_EXPORTER_OTLP_TIMEOUT", 10_000)),
    resource: readResource(read("OTEL_RESOURCE_ATTRIBUTES"), read("OTEL_SERVICE_NAME")),
    sampler: readSampler(read("OTEL_TRACES_SAMPLER"), read("OTEL_TRACES_SAMPLER_ARG")),
    batch: {
      delayMs: count("OTEL_BSP_SCHEDULE_DELAY", 5_000),
      maxQueue: count("OTEL_BSP_MAX_QUEUE_SIZE", 2_048),
      maxBatch: count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
      timeoutMs: count("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
    },
    content: read("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT")?.toLowerCase() === "true",
  };
}

function withPath(endpoint: string): string {
  return `${endpoint.replace(/(?<!\/)\/+$/, "")}/${tracesPath}`;
}

function readResource(attributes: string | undefined, serviceName: string | undefined): Record<string, string> {
  const pairs = readPairs(attributes);
  return { "service.name": "dragoman", ...pairs, ...(serviceName === undefined ? {} : { "service.name": serviceName }) };
}

function readSampler(name = "parentbased_always_on", share: string | undefined): OtelSettings["sampler"] {
  const ratio = Number(share ?? 1);
  return { name: name.toLowerCase(), ratio: Number.isFinite(ratio) && ratio >= 0 && ratio <= 1 ? ratio : 1 };
}

/** `a=1,b=two%20words`. */
function readPairs(text = ""): Record<string, string> {
  const pairs: Record<string, string> = {};
  for (const pair of text.split(",")) {
    const sign = pair.indexOf("=");
    const name = pair.slice(0, sign).trim();
    if (sign > 0 && name !== "") pairs[name] = decode(pair.slice(sign + 1).trim());
  }
  return pairs;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
