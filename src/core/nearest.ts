/** The candidate that was probably meant by a mistyped word; undefined where none is near. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const asked = fold(word);
  let best: string | undefined;
  let least = Math.max(1, Math.floor(asked.length / 3)) + 1;
  for (const candidate of candidates) {
    const known = fold(candidate);
    const distance = asked === known ? 0 : editDistance(asked, known);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

/** `; did you mean "x"?`, or nothing. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const meant = nearest(word, candidates);
  return meant === undefined ? "" : `; did you mean "${meant}"?`;
}

/** Case and separators are the commonest slips. */
function fold(word: string): string {
  return word
    .slice(0, 80)
    .toLowerCase()
    .replaceAll(/[-_.\s]/g, "");
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment). */
function editDistance(left: string, right: string): number {
  let before: number[] = [];
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      let distance = Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1);
      if (i > 1 && j > 1 && left[i - 1] === right[j - 2] && left[i - 2] === right[j - 1])
        distance = Math.min(distance, (before[j - 2] ?? 0) + 1);
      next.push(distance);
    }
    before = row;
    row = next;
  }
  return row[right.length] ?? 0;
}
