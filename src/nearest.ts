/** Names for "did you mean": by edit distance, a name that contains the word first. */

/** The names closest to `name` by edit distance: at most three. */
export function nearest(name: string, names: readonly string[]): string[] {
  return names
    .map((candidate) => ({
      candidate,
      // Names are often said without their prefix: 'tcp_tw_reuse'
      distance:
        Math.min(
          editDistance(name, candidate),
          editDistance(name, candidate.slice(candidate.lastIndexOf('.') + 1)),
        ) - (candidate.includes(name) ? name.length : 0),
    }))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substituted = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substituted, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
