/** Signature algorithms of tokens that have a public key (RFC 7518, RFC 8037): none with a shared secret, and not "none". */
export const tokenAlgorithms = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
] as const;

export type TokenAlgorithm = (typeof tokenAlgorithms)[number];
