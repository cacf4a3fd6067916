/**
 * The nearest of a list of names, for "Did you mean …?".
 *
 * @module
 */

/**
 * Damerau–Levenshtein distance in its restricted form (optimal string alignment): insertions,
 * deletions, substitutions and swaps of neighbours that turn `a` into `b`.
 */
export function editDistance(a: string, b: string): number {
  const rows = Array.from(
    { length: a.length + 1 },
    (_, i) => Array.from({ length: b.length + 1 }, (_, j) => i === 0 ? j : j === 0 ? i : 0),
  );
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      rows[i]![j] = Math.min(
        rows[i - 1]![j]! + 1,
        rows[i]![j - 1]! + 1,
        rows[i - 1]![j - 1]! + cost,
        swapped ? rows[i - 2]![j - 2]! + 1 : Infinity,
      );
    }
  }
  return rows[a.length]![b.length]!;
}

/**
 * The name nearest to `name`, if one is so near that the one was surely typed for the other: a letter in four at most is
 * wrong. A name that begins with it comes first, since people shorten options; ties go to the first in the list.
 */
export function nearest(name: string, names: Iterable<string>): string | undefined {
  let best: string | undefined;
  let shortest = Math.max(1, Math.floor(name.length / 4)) + 0.5;
  for (const candidate of names) {
    const begins = name.length >= 3 && candidate.startsWith(name);
    // Below one, so that it beats every edit, and the shorter completion beats the longer.
    const distance = begins ? 1 - 1 / candidate.length : editDistance(name, candidate);
    if (distance < shortest) [best, shortest] = [candidate, distance];
  }
  return best;
}
