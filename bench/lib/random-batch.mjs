import { philox } from "@ft/tensor";

/** Micro-batch `n` of random tokens, each place a target: what uploadBatch and train() need of one. */
export function randomBatch(n, { batch, seq, vocabSize }) {
  const places = batch * seq;
  const ids = (stream) => {
    const draw = philox(0, stream, n);
    return Int32Array.from({ length: places }, (_, i) => Math.floor(draw(i) * vocabSize));
  };
  return {
    batch,
    seq,
    tokens: ids(1),
    targets: ids(2),
    positions: Int32Array.from({ length: places }, (_, i) => i % seq),
    segments: new Int32Array(places).fill(1),
    targetTokens: places,
    rows: [n],
  };
}
