/** Joins the detectors: secrets first, then personal data, each in the text that the one before left. */
import type { Redaction, Redactor, SensitiveKind } from "../core/redactor.ts";
import { sensitiveKinds } from "../core/redactor.ts";
import { redactCards } from "./cards.ts";
import type { Detector } from "./detector.ts";
import { redactIbans } from "./ibans.ts";
import { createKnownSecrets } from "./known-secrets.ts";
import { redactEmails, redactPhones, redactSocialSecurityNumbers } from "./personal-data.ts";
import { redactPrivateKeys, redactSecrets, redactWebTokens } from "./secrets.ts";

export interface RedactorOptions {
  /** Secrets that the program holds, such as providers' keys: found whatever they look like, and in base64 and URL encoding. */
  readonly secrets?: readonly string[];
}

const detectors: Readonly<Record<SensitiveKind, Detector>> = {
  private_key: redactPrivateKeys,
  jwt: redactWebTokens,
  secret: redactSecrets,
  email: redactEmails,
  ssn: redactSocialSecurityNumbers,
  iban: redactIbans,
  card: redactCards,
  phone: redactPhones,
};

/**
 * What stood beside something that was taken out may be found now: a key that began in the last digit of a phone number.
 * One more look finds nothing in almost every text; the bound keeps the time in proportion to its length.
 */
const maxRounds = 8;

export function createRedactor({ secrets = [] }: RedactorOptions = {}): Redactor {
  const redactKnown = createKnownSecrets(secrets);

  return {
    redact(text, kinds = sensitiveKinds) {
      const found: Partial<Record<SensitiveKind, number>> = {};
      let rest = text;
      for (let round = 0; round < maxRounds; round++) {
        const before = rest;
        if (kinds.includes("secret")) rest = redactKnown(rest, counting(found, "secret"));
        for (const kind of sensitiveKinds) if (kinds.includes(kind)) rest = detectors[kind](rest, counting(found, kind));
        if (rest === before) break;
      }
      return { text: rest, found } satisfies Redaction;
    },
  };
}

function counting(found: Partial<Record<SensitiveKind, number>>, kind: SensitiveKind): () => string {
  const label = `[REDACTED_${kind.toUpperCase()}]`;
  return () => {
    found[kind] = (found[kind] ?? 0) + 1;
    return label;
  };
}
