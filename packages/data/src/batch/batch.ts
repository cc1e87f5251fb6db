import { type Example, ignoredTarget } from "../encode/example.ts";

/** One micro-batch, everything a model and its loss need, as plain arrays of shape [batch, sequence], row-major. */
export interface Batch {
  readonly batch: number;
  readonly seq: number;
  /** Token ids; padding is 0. */
  readonly tokens: Int32Array<ArrayBuffer>;
  /** Next token of each position, or -100 where there is no loss. */
  readonly targets: Int32Array<ArrayBuffer>;
  /** Position within the segment, from 0; padding is 0. */
  readonly positions: Int32Array<ArrayBuffer>;
  /** Which example of its row a position belongs to, from 1; padding is 0. Attention stays within a segment. */
  readonly segments: Int32Array<ArrayBuffer>;
  /** Number of positions with a loss: what the sum of losses is divided by. */
  readonly targetTokens: number;
  /** Indices of the examples, row by row and in the order of their segments. */
  readonly rows: readonly number[];
}

/** Lengths are rounded up to this, so that kernels meet whole vectors and few different shapes. */
export const lengthMultiple = 8;

/** The padded length of a batch whose longest row has `longest` tokens; never above `maxLength`. */
export function paddedLength(longest: number, maxLength: number): number {
  return Math.min(Math.ceil(longest / lengthMultiple) * lengthMultiple, Math.max(maxLength, longest));
}

/**
 * Lays examples out in rows: each inner list is one row of the batch, its examples one after the other.
 * @param layout example indices by row
 */
export function assembleBatch(
  examples: readonly Example[],
  layout: readonly (readonly number[])[],
  maxLength: number,
): Batch {
  const lengthOf = (row: readonly number[]): number =>
    row.reduce((sum, i) => sum + (examples[i]?.tokens.length ?? 0), 0);
  const batch = layout.length;
  const seq = paddedLength(Math.max(0, ...layout.map(lengthOf)), maxLength);
  const tokens = new Int32Array(batch * seq);
  const targets = new Int32Array(batch * seq).fill(ignoredTarget);
  const positions = new Int32Array(batch * seq);
  const segments = new Int32Array(batch * seq);
  let targetTokens = 0;
  layout.forEach((row, r) => {
    let at = r * seq;
    row.forEach((index, segment) => {
      const example = examples[index];
      if (example === undefined) return;
      tokens.set(example.tokens, at);
      targets.set(example.targets, at);
      for (let i = 0; i < example.tokens.length; i++) {
        positions[at + i] = i;
        segments[at + i] = segment + 1;
        if (example.targets[i] !== ignoredTarget) targetTokens++;
      }
      at += example.tokens.length;
    });
  });
  return { batch, seq, tokens, targets, positions, segments, targetTokens, rows: layout.flat() };
}
