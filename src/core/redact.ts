/**
 * Takes credentials out of text that a provider sent: vendors quote the key they refuse, and proxies quote headers.
 * What is left may go into errors and logs (surfaces.md 2.7, last line).
 */

const mark = "[redacted]";

/** Keys by their vendors' prefixes (OpenAI, Anthropic, Google, Groq, xAI, AWS, Hugging Face, ...), masked ones too. */
const prefixed =
  /\b(?:sk|pk|rk|gsk|xai|pplx|nvapi|hf|fw|tgp|r8|AIza|ya29\.|AKIA|ASIA|ghp|github_pat|csk)(?:[-_]|(?<=AIza|AKIA|ASIA|ya29\.))[\w*.-]{8,}/g;
/** The value of an auth header or scheme. */
const scheme = /\b(Bearer|Basic)\s+[\w+/=*.~-]{8,}/gi;
/** `api_key: ...`, `"x-api-key": "..."`, and `?key=...`; a text about some "key: name" is no credential. */
const assigned =
  /\b((?:x-)?(?:goog-)?api[-_]?key|access[-_]token|secret|password|(?:key|token)(?==))(\\?["']?\s*[=:]\s*\\?["']?)([\w*.~+/-]{8,})/gi;
/** Three base64url parts: a JSON web token. */
const webToken = /\beyJ[\w-]{6,2000}\.[\w-]{6,}(?:\.[\w-]*)?/g;
/** Any word that could be a key: long, with letters and digits. */
const keyLike = /(?<![\w*-])(?=[\w*-]*[A-Za-z])(?=[\w*-]*[\d*])[\w*-]{16,}/g;

/**
 * The text without what looks like a credential. `strict` takes out every long word of letters and digits, for replies
 * that are about the credential itself. JSON text stays JSON text.
 */
export function redact(text: string, { strict = false }: { readonly strict?: boolean } = {}): string {
  const clean = text
    .replace(webToken, mark)
    .replace(prefixed, mark)
    .replace(scheme, `$1 ${mark}`)
    .replace(assigned, (_, name: string, between: string) => `${name}${between}${mark}`);
  return strict ? clean.replace(keyLike, mark) : clean;
}
