/** Tokens of the simulated upstream: every 4 code points of a text are one token. Deterministic, and no model's tokenizer. */

export const codePointsPerToken = 4;
/** What a message costs beside its texts. */
export const tokensPerMessage = 4;

export function codePointsOf(text: string): number {
  let count = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // The second half of a surrogate pair belongs to the code point that its first half began.
    if (code < 0xdc00 || code > 0xdfff || at === 0 || !isHighSurrogate(text.charCodeAt(at - 1))) count++;
  }
  return count;
}

export function tokensOf(text: string): number {
  return tokensOfCodePoints(codePointsOf(text));
}

export function tokensOfCodePoints(codePoints: number): number {
  return Math.ceil(codePoints / codePointsPerToken);
}

/** Cuts a text into pieces of `size` code points; the last may be shorter. */
export function* cutText(text: string, size: number = codePointsPerToken): Generator<string> {
  let start = 0;
  let count = 0;
  let at = 0;
  while (at < text.length) {
    at += isHighSurrogate(text.charCodeAt(at)) && at + 1 < text.length ? 2 : 1;
    if (++count === size) {
      yield text.slice(start, at);
      start = at;
      count = 0;
    }
  }
  if (start < text.length) yield text.slice(start);
}

/** The first `count` code points of a text. */
export function firstCodePoints(text: string, count: number): string {
  if (count <= 0) return "";
  for (const piece of cutText(text, count)) return piece;
  return "";
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
