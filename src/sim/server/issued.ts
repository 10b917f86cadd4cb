/** Signatures that scripts chose themselves: what was sent may come back. Forgets the oldest. */
const issued = new Map<string, Set<string>>();
const most = 10_000;

export function noteScripted(family: string, signature: string): void {
  const known = issued.get(family) ?? new Set();
  issued.set(family, known);
  known.add(signature);
  const [oldest] = known;
  if (known.size > most && oldest !== undefined) known.delete(oldest);
}

export function isScripted(family: string, signature: string): boolean {
  return issued.get(family)?.has(signature) ?? false;
}
