import { isOwnSignature } from "../signature.ts";

/** Signatures that scripts chose themselves: what was sent may come back. Forgets the oldest. */
const issued = new Map<string, Set<string>>();
const most = 10_000;

/** Those that the sim makes need no noting: they prove themselves, and their text. */
export function noteScripted(family: string, signature: string): void {
  if (isOwnSignature(family, signature)) return;
  const known = issued.get(family) ?? new Set();
  issued.set(family, known);
  known.add(signature);
  const [oldest] = known;
  if (known.size > most && oldest !== undefined) known.delete(oldest);
}

export function isScripted(family: string, signature: string): boolean {
  return issued.get(family)?.has(signature) ?? false;
}
