/**
 * Merge rules that make BPE by rank do what SentencePiece does by score: every way of cutting a piece into two pieces, the
 * better-scored results first, and for one result in the order in which Hugging Face's converter puts them.
 * @param pieces token text by id
 * @param scores score by id, higher merges first
 * @param mergeable which ids take part: ordinary pieces, not control, byte or unknown tokens
 */
export function mergesFromScores(
  pieces: readonly string[],
  scores: ArrayLike<number>,
  mergeable: (id: number) => boolean,
): [string, string][] {
  const idOf = new Map<string, number>();
  pieces.forEach((piece, id) => {
    if (mergeable(id)) idOf.set(piece, id);
  });
  const rules: { left: string; right: string; leftId: number; rightId: number; score: number }[] = [];
  for (const [piece, id] of idOf) {
    // Cuts fall between code points: half a surrogate pair is no piece.
    for (let cut = step(piece, 0); cut < piece.length; cut = step(piece, cut)) {
      const left = piece.slice(0, cut);
      const right = piece.slice(cut);
      const leftId = idOf.get(left);
      const rightId = idOf.get(right);
      if (leftId === undefined || rightId === undefined) continue;
      rules.push({ left, right, leftId, rightId, score: scores[id] ?? 0 });
    }
  }
  rules.sort(
    (a, b) =>
      b.score - a.score ||
      a.left.length - b.left.length ||
      a.right.length - b.right.length ||
      a.leftId - b.leftId ||
      a.rightId - b.rightId,
  );
  return rules.map(({ left, right }) => [left, right]);
}

function step(text: string, at: number): number {
  return at + ((text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1);
}
