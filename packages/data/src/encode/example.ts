import type { RowSource } from "../rows/conversation.ts";

/** Target of a position that takes no part in the loss: the `ignore_index` of PyTorch. */
export const ignoredTarget: number = -100;

/** One tokenised row. */
export interface Example {
  /** Token ids, [sequence]. */
  readonly tokens: Int32Array<ArrayBuffer>;
  /** For each position the id that comes next where it is learnt, otherwise -100; [sequence]. The last is always -100. */
  readonly targets: Int32Array<ArrayBuffer>;
  /** How many tokens were cut off the end to fit the length; 0 when the row is whole. */
  readonly cut: number;
  readonly source: RowSource;
}

/** Number of positions that take part in the loss. */
export function countTargets(targets: Int32Array): number {
  let count = 0;
  for (const target of targets) if (target !== ignoredTarget) count++;
  return count;
}
