/**
 * Signatures of simulated reasoning. They hold their own proof, so that any sim of this version knows what a sim
 * issued, and bind the text, so that changed reasoning is found. They keep nothing secret.
 */
import { createHash, createHmac } from "node:crypto";

const magic = Buffer.from("SIM1");
const key = "dragoman simulated upstream";

/** `family` is who accepts it: anthropic, gemini, openai, sim. Base64. */
export function signReasoning(family: string, text: string): string {
  const digest = createHash("sha256").update(text).digest().subarray(0, 16);
  return Buffer.concat([magic, digest, seal(family, digest)]).toString("base64");
}

/** Whether a sim issued the signature to this family, for this text; an empty text is one that was not shown. */
export function isOwnSignature(family: string, signature: string, text = ""): boolean {
  const bytes = Buffer.from(signature, "base64");
  if (bytes.length !== 36 || !bytes.subarray(0, 4).equals(magic)) return false;
  const digest = bytes.subarray(4, 20);
  if (!bytes.subarray(20).equals(seal(family, digest))) return false;
  return text === "" || createHash("sha256").update(text).digest().subarray(0, 16).equals(digest);
}

function seal(family: string, digest: Buffer): Buffer {
  return createHmac("sha256", key).update(family).update(digest).digest().subarray(0, 16);
}
