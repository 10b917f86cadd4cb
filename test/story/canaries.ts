/** Secrets that are planted, and every way in which one could be written down (reliability.md 2.7). */

export interface Canary {
  readonly name: string;
  readonly value: string;
}

/** Where something was written, and what. */
export interface Place {
  readonly name: string;
  readonly text: string;
}

const prefixLength = 12;

/** A line for every canary in every place, in any form; bytes of files are given as latin1. */
export function findCanaries(places: readonly Place[], canaries: readonly Canary[]): string[] {
  const hits: string[] = [];
  for (const { name, value } of canaries) {
    for (const [form, written] of formsOf(value)) {
      for (const place of places) {
        const at = place.text.indexOf(written);
        if (at !== -1) hits.push(`${name} (${form}) in ${place.name}: ...${place.text.slice(Math.max(0, at - 60), at + 40)}`);
      }
    }
  }
  return hits;
}

function formsOf(value: string): readonly (readonly [string, string])[] {
  const url = encodeURIComponent(value);
  return [
    ["as it is", value],
    ["its first characters", value.slice(0, prefixLength)],
    ["URL-encoded", url],
    ["hex", Buffer.from(value).toString("hex")],
    ...[0, 1, 2].flatMap((offset) => base64Forms(value, offset)),
  ];
}

/** The middle of any base64 text that holds it: what it looks like depends on how many bytes stand before. */
function base64Forms(value: string, offset: number): readonly (readonly [string, string])[] {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)]);
  const middle = bytes.toString("base64").slice(Math.ceil((offset * 4) / 3), Math.floor((bytes.length * 8) / 6));
  return [
    ["base64", middle],
    ["base64url", middle.replaceAll("+", "-").replaceAll("/", "_")],
  ];
}
