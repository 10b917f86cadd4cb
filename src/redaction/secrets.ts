/**
 * Credentials by their looks. Every expression is linear: it begins only where a word begins, and its parts share no
 * characters with what follows them.
 */
import type { Detector } from "./detector.ts";

const keyBegins = /-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/g;
const keyEnds = /-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----/g;

/** PEM private keys (RFC 7468). One that does not end goes on to the end of the text: it was cut off. */
export const redactPrivateKeys: Detector = (text, replace) => {
  if (!text.includes("-----BEGIN ")) return text;
  let clean = "";
  let from = 0;
  for (;;) {
    keyBegins.lastIndex = from;
    const begin = keyBegins.exec(text);
    if (begin === null) return clean + text.slice(from);
    clean += text.slice(from, begin.index) + replace();
    keyEnds.lastIndex = keyBegins.lastIndex;
    if (keyEnds.exec(text) === null) return clean;
    from = keyEnds.lastIndex;
  }
};

/** Two to five base64url parts, the first of them a JSON object: JSON Web Signature and Encryption. */
const webToken = /(?<![\w-])eyJ[\w-]{6,}\.[\w-]{6,}(?:\.[\w-]*){0,3}/g;

export const redactWebTokens: Detector = (text, replace) => (text.includes("eyJ") ? text.replace(webToken, replace) : text);

/** A word that nobody writes by hand: eight characters with a digit, or twenty. */
const keyWord = String.raw`(?:(?=[A-Za-z_-]*\d)[\w-]{8,}|[\w-]{20,})`;
/** The same with what bearer tokens, passwords and base64 may hold. */
const tokenWord = String.raw`(?:(?=[A-Za-z_.~+/=*!@#$%^&-]*\d)[\w.~+/=*!@#$%^&-]{8,}|[\w.~+/=*!@#$%^&-]{20,})`;

/** By the prefixes that their makers gave them, so that they are found. */
const prefixes = [
  // OpenAI, Anthropic, OpenRouter, DeepSeek and many others; Stripe.
  "(?:sk|pk|rk)-",
  "(?:sk|pk|rk)_(?:live|test)_",
  "whsec_",
  // GitHub, GitLab, npm, PyPI, Hugging Face.
  "gh[pousr]_",
  "github_pat_",
  "glpat-",
  "npm_",
  "pypi-",
  "hf_",
  // Google: API keys and OAuth tokens.
  "AIza",
  "ya29\\.",
  // Groq, xAI, Perplexity, NVIDIA, Replicate, Together, Fireworks, Cerebras.
  "gsk_",
  "xai-",
  "pplx-",
  "nvapi-",
  "r8_",
  "tgp_",
  "fw_",
  "csk-",
  // Slack.
  "xox[abeoprs]-",
  // Keys of this gateway, and of those whose keys it takes over.
  "dgm_",
  "cgn-",
  "nk-",
  "agk_",
  "kr_live_",
];
const prefixed = new RegExp(String.raw`(?<![A-Za-z0-9_-])(?:${prefixes.join("|")})${keyWord}(?:\.[\w-]{8,})?`, "g");

/** Access key ids of AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html */
const awsKey = /(?<![A-Za-z0-9])(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{12,}/g;

const bearer = new RegExp(String.raw`(?<![A-Za-z0-9])([Bb]earer\s{1,4})${tokenWord}`, "g");

/** `api_key: ...`, `"x-api-key": "..."`, `AWS_SECRET_ACCESS_KEY=...`: the name stays. */
const names =
  "(?:proxy-)?authorization|(?:x-)?(?:goog-)?api[-_]?key|(?:access|auth|refresh|session|id)[-_]?token|client[-_]?secret|secret(?:[-_]?access)?[-_]?key|password|passwd";
/** Code that says where a key comes from, as in `apiKey: this.options.apiKey`, holds none. */
const member = String.raw`(?![A-Za-z_$]{1,40}(?:\??\.[A-Za-z_$]{1,40}){1,8}(?![\w.~+/=*!@#$%^&-]))`;
const assigned = new RegExp(
  String.raw`(?<![A-Za-z0-9])((?:[A-Za-z0-9]{1,20}[-_]){0,3}(?:${names})\\?["']?\s{0,4}[=:]\s{0,4}\\?["']?(?:(?:bearer|basic|token)\s{1,4})?)${member}${tokenWord}`,
  "gi",
);
/** In the query of an address. */
const queried = /([?&](?:key|api[-_]?key|token|access_token|sig|signature)=)[^&\s"'<>#[\]]{8,}/gi;

export const redactSecrets: Detector = (text, replace) => {
  const keepName = (_: string, name: string) => name + replace();
  return text
    .replace(prefixed, replace)
    .replace(awsKey, replace)
    .replace(bearer, keepName)
    .replace(assigned, keepName)
    .replace(queried, keepName);
};
