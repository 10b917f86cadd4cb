/** Keeps a credential out of what a provider says: some repeat the key they refuse. */
import { type ErrorDetails, GatewayError } from "../core/error.ts";
import type { Secret } from "../core/secret.ts";

/** Shorter credentials are too likely to be ordinary words. */
const shortestSecret = 8;
/** Where a provider shows the beginning of a key and masks the rest. */
const prefixLength = 12;

export class Redactor {
  readonly #patterns: readonly RegExp[];

  constructor(secrets: readonly Secret[]) {
    this.#patterns = secrets.flatMap((secret) => patternsOf(secret.reveal()));
  }

  text(text: string): string {
    let redacted = text;
    for (const pattern of this.#patterns) redacted = redacted.replace(pattern, "[secret]");
    return redacted;
  }

  /** The same error without credentials; the very error where it held none. */
  error(error: GatewayError): GatewayError {
    const { upstream } = error.details;
    const message = this.text(error.message);
    const words = upstream && {
      ...upstream,
      message: this.text(upstream.message),
      bodyJson: this.text(upstream.bodyJson),
      type: this.text(upstream.type),
      code: this.text(upstream.code),
      param: this.text(upstream.param),
    };
    const clean = message === error.message && (upstream === undefined || JSON.stringify(words) === JSON.stringify(upstream));
    if (clean) return error;
    const details: ErrorDetails = { ...error.details, ...(words === undefined ? {} : { upstream: words }) };
    return new GatewayError(error.reason, message, details);
  }
}

function patternsOf(secret: string): RegExp[] {
  if (secret.length < shortestSecret) return [];
  const forms = [secret, encodeURIComponent(secret), Buffer.from(secret).toString("base64")];
  const patterns = [...new Set(forms)].map((form) => new RegExp(escapePattern(form), "g"));
  if (secret.length >= 2 * prefixLength) patterns.push(new RegExp(`${escapePattern(secret.slice(0, prefixLength))}[\\w*.…-]*`, "g"));
  return patterns;
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}
