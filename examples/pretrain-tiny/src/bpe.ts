/*
 * Byte-level byte-pair encoding (Sennrich et al. 2016; bytes as in GPT-2), trained on counted pieces of text.
 *
 * Two rules keep a small vocabulary useful. A merge never crosses a character outside ASCII, so a Chinese character is
 * one token wherever it stands, and a digit never merges. Names, words and numbers then look alike in every context,
 * which is what a small model needs in order to copy them.
 */

/** GPT-2's split of text into words, as Hugging Face's ByteLevel pre-tokenizer applies it. */
const words = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
/** Inside a word: a digit, a run of other ASCII, or one character of any other script. */
const pieces = /[0-9]|(?:(?![0-9])\p{ASCII})+|\P{ASCII}/gu;

/** GPT-2's printable stand-in for each byte. */
export const byteSigns: readonly string[] = (() => {
  const signs: string[] = [];
  let extra = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    signs.push(String.fromCodePoint(printable ? byte : extra++));
  }
  return signs;
})();

/** One merge: the two neighbours that become one token, spelled in byte signs. */
export type Merge = readonly [left: string, right: string];

/** Counts the pieces of `texts` within which merges may happen, each spelled in byte signs. */
export function countPieces(texts: Iterable<string>): Map<string, number> {
  const encoder = new TextEncoder();
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const [word] of text.matchAll(words)) {
      for (const [piece] of word.matchAll(pieces)) counts.set(piece, (counts.get(piece) ?? 0) + 1);
    }
  }
  const spelled = new Map<string, number>();
  for (const [piece, count] of counts) {
    spelled.set(Array.from(encoder.encode(piece), (byte) => byteSigns[byte]!).join(""), count);
  }
  return spelled;
}

/**
 * Learns merges, in order of rank, until they make `count` different tokens: the most frequent pair first, and of equally
 * frequent pairs the one that sorts first. Stops early when no pair occurs twice.
 */
export function trainBpe(counts: ReadonlyMap<string, number>, count: number): Merge[] {
  const items = Array.from(counts, ([piece, times]) => ({ parts: Array.from(piece), times }));
  const pairs = new Map<string, number>();
  const tally = ({ parts, times }: { parts: string[]; times: number }, sign: 1 | -1): void => {
    for (let i = 1; i < parts.length; i++) {
      const pair = `${parts[i - 1]} ${parts[i]}`;
      pairs.set(pair, (pairs.get(pair) ?? 0) + sign * times);
    }
  };
  for (const item of items) tally(item, 1);

  const merges: Merge[] = [];
  const made = new Set<string>();
  while (made.size < count) {
    let best = "";
    let most = 1;
    for (const [pair, times] of pairs) {
      if (times > most || (times === most && pair < best)) [best, most] = [pair, times];
    }
    if (best === "") break;
    const [left, right] = best.split(" ") as [string, string];
    merges.push([left, right]);
    made.add(left + right);
    for (const item of items) {
      if (!item.parts.includes(left)) continue;
      const merged = merge(item.parts, left, right);
      if (merged.length === item.parts.length) continue;
      tally(item, -1);
      item.parts = merged;
      tally(item, 1);
    }
  }
  return merges;
}

function merge(parts: string[], left: string, right: string): string[] {
  const merged: string[] = [];
  for (let i = 0; i < parts.length; i++) {
    const joins = parts[i] === left && parts[i + 1] === right;
    merged.push(joins ? left + right : parts[i]!);
    if (joins) i++;
  }
  return merged;
}
