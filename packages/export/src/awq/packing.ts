/**
 * Which of eight neighbouring output columns lies in the 4 bits from 4·i on of a word: the order of AutoAWQ's GEMM kernel, which
 * unpacks even and odd halves of a word at once.
 */
const order = [0, 2, 4, 6, 1, 3, 5, 7] as const;

/** How many 4-bit integers a word holds. */
export const perWord = 8;

/** 4-bit integers [rows, columns] to words [rows, columns / 8], as AutoAWQ packs them. Rows hold whole words. */
export function packWords(integers: Uint8Array): Int32Array<ArrayBuffer> {
  const words = new Int32Array(integers.length / perWord);

  for (let w = 0; w < words.length; w++) {
    let word = 0;
    for (let i = 0; i < perWord; i++) word |= integers[w * perWord + order[i]!]! << (4 * i);
    words[w] = word;
  }
  return words;
}

/** The inverse: words [rows, columns / 8] to 4-bit integers [rows, columns]. */
export function unpackWords(words: Int32Array): Uint8Array<ArrayBuffer> {
  const integers = new Uint8Array(words.length * perWord);
  for (let w = 0; w < words.length; w++)
    for (let i = 0; i < perWord; i++) integers[w * perWord + order[i]!] = (words[w]! >>> (4 * i)) & 15;
  return integers;
}
