/**
 * The log: JSON lines by pino, on stderr, so that stdout stays for what people asked for. Only listed fields are
 * written (reliability.md 2.7): a new field must be added here, after asking whether it can hold a secret or a client's words.
 */
import pino, { type DestinationStream } from "pino";
import type { LogFields, Logger } from "../core/log.ts";
import { describeThrown, safeText, withoutQueries } from "./describe-error.ts";

/** Fields that may be seen. Names, numbers, ids, addresses without queries; never keys, bodies or headers. */
const listed: ReadonlySet<string> = new Set([
  // who and which call
  ...["request_id", "client_request_id", "usage_id", "generation_id", "upstream_request_id", "principal", "key_id", "trace_id", "span_id"],
  ...["surface", "dialect", "operation", "method", "path", "procedure", "protocol", "peer"],
  // what was asked of whom
  ...[
    "model",
    "requested_model",
    "served_model",
    "provider",
    "providers",
    "target",
    "targets",
    "route",
    "type",
    "models",
    "server",
    "servers",
  ],
  // how it went
  ...["number", "attempt", "attempts", "status", "http_status", "grpc_code", "reason", "error_reason", "error_message", "error", "code"],
  ...["committed", "outcome", "state", "dropped", "translation", "remaining", "listener"],
  // how much and how long
  ...["duration_ms", "started_after_ms", "first_content_ms", "elapsed_ms", "timeout_ms", "notice_ms", "grace_ms", "after_ms"],
  ...["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "usage_basis", "cost_nano_usd"],
  ...["bytes", "count", "limit", "connections", "sessions", "streams", "calls", "in_flight", "resets"],
  // the process
  ...[
    "version",
    "node_version",
    "node",
    "worker",
    "worker_pid",
    "pid",
    "signal",
    "exit_code",
    "event",
    "url",
    "data_url",
    "admin_url",
    "origin",
    "host",
    "port",
    "address",
  ],
  ...["file", "field", "fields", "variable", "setting", "name", "names", "auth_enabled"],
]);

const maxItems = 100;
const maxDepth = 4;

export interface LogOptions {
  /** Least level that is written: trace, debug, info, warn, error, fatal, silent. */
  readonly level: string;
  /** By default stderr, written synchronously so that the last line before an exit is not lost. */
  readonly destination?: DestinationStream | undefined;
  /** Name of this instance, in every line. */
  readonly node?: string | undefined;
}

/** Field names may be camelCase; they are written in snake_case. */
export function createLogger({ level, destination = stderr(), node }: LogOptions): Logger {
  const base = node === undefined ? { pid: process.pid } : { pid: process.pid, node };
  const sink = pino(
    { level, base, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    destination,
  );
  const write = (name: "debug" | "info" | "warn" | "error") => (message: string, fields?: LogFields) => {
    if (!sink.isLevelEnabled(name)) return;
    if (fields === undefined) sink[name](message);
    else sink[name](visible(fields, 0), message);
  };
  return { debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error") };
}

/** A reader that went away must not end the program. */
function stderr(): DestinationStream {
  const destination = pino.destination({ dest: 2, sync: true });
  destination.on("error", () => {});
  return destination;
}

function visible(fields: object, depth: number): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue;
    const snake = name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    shown[snake] = listed.has(snake) ? show(value, depth) : "[not listed]";
  }
  return shown;
}

function show(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case "string":
      return safeText(value);
    case "number":
    case "boolean":
      return value;
    case "bigint":
      return String(value);
    case "object":
      return value === null ? null : showObject(value, depth);
    default:
      return undefined;
  }
}

function showObject(value: object, depth: number): unknown {
  if (value instanceof Error) return describeThrown(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof URL) return withoutQueries(value.href);
  if (depth >= maxDepth) return "[too deep]";
  if (Array.isArray(value)) return value.slice(0, maxItems).map((item) => show(item, depth + 1));
  // Secrets, buffers and other classes have no fields that a log should know.
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? visible(value, depth + 1) : `[${value.constructor.name}]`;
}
