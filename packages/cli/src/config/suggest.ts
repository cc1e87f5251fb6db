/** The known name nearest to a mistyped one, if it is near enough to be meant. Compares letters only, in lower case. */
export function suggest(wrong: string, known: readonly string[]): string | undefined {
  const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "");
  const [best] = known
    .map((name) => ({ name, distance: editDistance(plain(wrong), plain(name)) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.max(1, Math.floor(best.name.length / 3)) ? best.name : undefined;
}

/** What others call values of ours. */
const otherWords: ReadonlyMap<string, string> = new Map(
  Object.entries({
    gpu: "cuda",
    nvidia: "cuda",
    float32: "f32",
    float: "f32",
    bfloat16: "bf16",
    float16: "f16",
    half: "f16",
  }),
);

/** The choice that a wrong value stands for, or is nearest to. */
export function suggestValue(wrong: unknown, choices: readonly string[]): string | undefined {
  if (typeof wrong !== "string") return undefined;
  const meant = otherWords.get(wrong.toLowerCase());
  return meant !== undefined && choices.includes(meant) ? meant : suggest(wrong, choices);
}

/** Insertions, deletions, substitutions and swaps of neighbours between two words (Damerau and Levenshtein). */
function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1, swapped ? before[j - 2]! + 1 : change));
    }
    [before, row] = [row, next];
  }
  return row[b.length]!;
}
