/** A piece of a text: whether it also stands, in this order, in another text. */
export interface Piece {
  readonly text: string;
  readonly same: boolean;
}

const most = 600;
const words = new Intl.Segmenter(undefined, { granularity: "word" });

/**
 * A text in pieces that stand in the other text too, in the same order, and pieces that do not: by words, a longest common
 * subsequence. Texts of more than 600 words, or with little in common, are one piece, marked as the same.
 */
export function difference(text: string, other: string): readonly Piece[] {
  const whole = [{ text, same: true }];
  const [left, right] = [text, other].map((one) => [...words.segment(one)].map(({ segment }) => segment));
  if (!left || !right || left.length > most || right.length > most) return whole;
  const common = longestCommon(left, right);
  const real = (word: string): boolean => /[\p{L}\p{N}]/u.test(word);
  const shared = left.filter((word, i) => common[i] && real(word)).length;
  if (shared < 0.25 * left.filter(real).length) return whole;
  const pieces: { text: string; same: boolean }[] = [];
  for (const [i, word] of left.entries()) {
    const last = pieces.at(-1);
    // a space between two words that differ differs with them
    const between = word.trim() === "" && last?.same === false && common[i + 1] === false;
    const same = word.trim() === "" ? !between : common[i] === true;
    if (last?.same === same) last.text += word;
    else pieces.push({ text: word, same });
  }
  return pieces;
}

/** Which words of the first list are in a longest common subsequence. */
function longestCommon(left: readonly string[], right: readonly string[]): boolean[] {
  const width = right.length + 1;
  const length = new Uint16Array((left.length + 1) * width);
  const at = (i: number, j: number): number => length[i * width + j] ?? 0;
  for (let i = left.length - 1; i >= 0; i--)
    for (let j = right.length - 1; j >= 0; j--)
      length[i * width + j] = left[i] === right[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const found = left.map(() => false);
  for (let i = 0, j = 0; i < left.length && j < right.length; )
    if (left[i] === right[j]) {
      found[i++] = true;
      j++;
    } else if (at(i + 1, j) >= at(i, j + 1)) i++;
    else j++;
  return found;
}
