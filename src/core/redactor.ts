/** Taking secrets and personal data out of text: for logs, and for guards. Implemented in src/redaction. */

/** What can be found, in the order in which it is looked for: a key or an account may hold what looks like a card, a card what looks like a phone. */
export const sensitiveKinds = ["private_key", "jwt", "secret", "email", "ssn", "iban", "card", "phone"] as const;
export type SensitiveKind = (typeof sensitiveKinds)[number];

/** Credentials of any kind. */
export const secretKinds = ["private_key", "jwt", "secret"] as const satisfies readonly SensitiveKind[];

export interface Redaction {
  /** The text with `[REDACTED_SECRET]`, `[REDACTED_EMAIL]` and so on in place of what was found. */
  readonly text: string;
  /** How often each kind was found. */
  readonly found: Readonly<Partial<Record<SensitiveKind, number>>>;
}

export interface Redactor {
  /** Looks for some kinds, by default for all. Takes time in proportion to the text; redacting twice changes nothing. */
  redact(text: string, kinds?: readonly SensitiveKind[]): Redaction;
}
