/** Secrets that the program holds itself, however they are written. */
import type { Detector } from "./detector.ts";

/** Shorter ones would be found everywhere. */
const minLength = 8;
/** Of base64, where the first and last characters depend on what stands beside: fewer would be found everywhere. */
const minEncodedLength = 10;

export function createKnownSecrets(secrets: readonly string[]): Detector {
  const forms = [...new Set(secrets.filter(({ length }) => length >= minLength).flatMap(formsOf))];
  // A form that holds another goes first, or its ends would stay.
  forms.sort((left, right) => right.length - left.length);
  return (text, replace) => {
    let rest = text;
    for (const form of forms) if (rest.includes(form)) rest = rest.replaceAll(form, replace);
    return rest;
  };
}

function formsOf(secret: string): string[] {
  const encoded = encodeUrl(secret);
  return [secret, encoded, encoded.replaceAll(/%[\dA-F]{2}/g, (code) => code.toLowerCase()), JSON.stringify(secret).slice(1, -1)].concat(
    [0, 1, 2].flatMap((offset) => base64Forms(secret, offset)),
  );
}

/** As the middle of any text that is in base64: how it looks there depends on how many bytes stand before it. */
function base64Forms(secret: string, offset: number): string[] {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)]);
  const text = bytes.toString("base64");
  const start = Math.ceil((offset * 4) / 3);
  const end = Math.floor((bytes.length * 8) / 6);
  const middle = text.slice(start, end);
  if (middle.length < minEncodedLength) return [];
  return [middle, middle.replaceAll("+", "-").replaceAll("/", "_"), encodeUrl(middle)];
}

/** encodeURIComponent that does not fail on half a surrogate pair. */
function encodeUrl(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}
