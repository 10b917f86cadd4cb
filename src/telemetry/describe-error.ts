/** An error as the log shows it: names, codes, messages and the chain of causes; no bodies, no query strings. */
import { GatewayError } from "../core/error.ts";
import { redact } from "../core/redact.ts";

export interface DescribedError {
  readonly name: string;
  readonly message: string;
  /** GatewayError's reason. */
  readonly reason?: string;
  /** The system's or a library's code. */
  readonly code?: string;
  /** Where it was thrown; only for faults of the program itself. */
  readonly stack?: string;
  readonly cause?: DescribedError;
}

/** More is a body. */
const maxMessageLength = 1_024;
/** What is beyond is not looked at: names that clients make up may have megabytes. */
const maxSearchedLength = 16_384;
const maxCauses = 5;
const maxFrames = 8;

/** Whatever was thrown. Never throws. */
export function describeThrown(thrown: unknown, depth = 0): DescribedError {
  if (!(thrown instanceof Error)) return { name: typeof thrown, message: typeof thrown === "string" ? safeText(thrown) : "[not an error]" };
  const { name, cause } = thrown;
  const message = thrown instanceof GatewayError ? thrown.messageForLog : thrown.message;
  const reason = "reason" in thrown && typeof thrown.reason === "string" ? thrown.reason : undefined;
  const code = "code" in thrown && (typeof thrown.code === "string" || typeof thrown.code === "number") ? String(thrown.code) : undefined;
  return {
    name,
    message: safeText(message),
    ...(reason === undefined ? {} : { reason }),
    ...(code === undefined ? {} : { code }),
    ...(isOwnFault(thrown, reason) ? { stack: frames(thrown) } : {}),
    ...(cause === undefined || depth >= maxCauses ? {} : { cause: describeThrown(cause, depth + 1) }),
  };
}

/** Addresses in the text lose what stands after `?` and before `@`: both may hold credentials. */
export function withoutQueries(text: string): string {
  return text.replaceAll(/\b([a-z][a-z0-9+.-]{0,30}:\/\/)(?:[^\s/?#@"'<>]*@)?([^\s?#"'<>]*)(?:[?#][^\s"'<>]*)?/gi, "$1$2");
}

/** Text without queries and without what looks like a credential, cut to a length that is no body. */
export function safeText(text: string): string {
  const clean = redact(withoutQueries(text.slice(0, maxSearchedLength)));
  return clean.length > maxMessageLength ? `${clean.slice(0, maxMessageLength)}...` : clean;
}

/** TypeErrors and the like say too little without where they happened. */
function isOwnFault(error: Error, reason: string | undefined): boolean {
  return reason === undefined && !("code" in error) && error.stack !== undefined;
}

/** Where, without the message again. */
function frames(error: Error): string {
  const lines = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
  return lines
    .slice(0, maxFrames)
    .map((line) => line.trim())
    .join("\n");
}
