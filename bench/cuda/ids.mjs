/** Token `i` of every side's input: the multiples of a primitive root modulo a prime, which spread over the vocabulary. */
export const tokenAt = (i, vocabSize) => (((i + 1) * 48271) % 2147483647) % vocabSize;

/** The same micro-batch whenever it is asked for, each place a target. */
export function fixedBatch({ batch, seq, vocabSize }) {
  const places = batch * seq;
  const tokens = Int32Array.from({ length: places }, (_, i) => tokenAt(i, vocabSize));
  return {
    batch,
    seq,
    tokens,
    targets: Int32Array.from({ length: places }, (_, i) => tokens[(i + 1) % places]),
    positions: Int32Array.from({ length: places }, (_, i) => i % seq),
    segments: new Int32Array(places).fill(1),
    targetTokens: places,
    rows: [0],
  };
}
